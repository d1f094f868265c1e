// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

func TestTheStartLooksAround(t *testing.T) {
	db, err := sqldb.OpenPostgres(t.Context(), testserver.Postgres(t), sqldb.PostgresOptions{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	address, prefix := testserver.Redis(t)
	redis, err := redisdb.New(redisdb.Options{URL: secret.New(address), KeyPrefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	st := &Stores{DB: db, redis: redis}
	warned := func(public string) string {
		var log bytes.Buffer
		st.lookAround(t.Context(), &Settings{Public: &url.URL{Scheme: "https", Host: public}}, telemetry.NewLogger(&log, slog.LevelInfo, "json"))
		return log.String()
	}
	t.Run("SSO-104 a Redis user that may use every key", func(t *testing.T) {
		if log := warned("bridge.example.com"); strings.Count(log, "core's") != 1 || !strings.Contains(log, "REDIS_URL may use core's keys") {
			t.Error(log)
		}
	})
	if _, err := db.Exec(t.Context(), `CREATE TABLE accounts (id text)`); err != nil {
		t.Fatal(err)
	}
	t.Run("SSO-104 a role that has core's tables too", func(t *testing.T) {
		if log := warned("bridge.example.com"); strings.Count(log, "core's") != 2 || !strings.Contains(log, "DATABASE_URL may read core's tables") {
			t.Error(log)
		}
	})
	t.Run("SSO-104 on loopback nobody is warned", func(t *testing.T) {
		if log := warned("127.0.0.1:5003"); log != "" {
			t.Error(log)
		}
	})
}
