// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// StoresEnv chooses what the servers of a run stand on: "fleet" is Postgres and Redis,
// anything else the embedded stores. The same tests pass on both.
const StoresEnv = "APITEST_STORES"

// OnFleet reports whether servers stand on Postgres and Redis unless a test says so.
func OnFleet() bool { return os.Getenv(StoresEnv) == "fleet" }

// Pair is a database on Postgres and a key prefix on Redis, for any number of servers
// of one test.
type Pair struct {
	// Database is the address of the database, Redis that of Redis.
	Database, Redis string
	// Prefix begins every key.
	Prefix string
	// Client speaks to Redis beside the servers.
	Client redis.UniversalClient

	settings []string // as an environment has them
	aged     func(d time.Duration)
}

// NewPair makes both, empty but for the schema; they are gone with the test.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{Database: testserver.PostgresLike(t, "core", migrated)}
	p.Redis, p.Prefix = testserver.Redis(t)
	o, err := redis.ParseURL(p.Redis)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	p.Client = client
	sealing := filepath.Join(t.TempDir(), "sealing.key")
	if err := os.WriteFile(sealing, seal.NewKeyFile("k1"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.settings = []string{
		"DATABASE_URL=" + p.Database, "DATABASE_MAX_CONNS=8", "REDIS_URL=" + p.Redis, "REDIS_KEY_PREFIX=" + p.Prefix,
		"SECRET_KEY=" + strings.Repeat("a key of a test ", 3), "SEALING_KEY_FILE=" + sealing,
	}
	p.aged = func(d time.Duration) { testserver.RedisAge(t, client, p.Prefix, d) }
	return p
}

// On puts a server on a pair.
func On(p *Pair) Option { return func(s *Server) { s.Pair = p } }

// Embedded puts a server on the embedded stores whatever the run stands on.
func Embedded() Option { return func(s *Server) { s.embedded = true } }

// LiveGrants counts the device authorizations that the server's store holds.
func (s *Server) LiveGrants(t testing.TB) int {
	t.Helper()
	if s.Pair == nil {
		return s.App.Stores.LiveGrants()
	}
	return len(testserver.RedisKeys(t, s.Pair.Client, s.Pair.Prefix+"dg:g:"))
}

func migrated(address string) error {
	ctx := context.Background()
	db, err := sqldb.OpenPostgres(ctx, address, sqldb.PostgresOptions{})
	if err != nil {
		return err
	}
	m, err := sqlstore.NewMigrator(db)
	if err == nil {
		_, err = m.Up(ctx)
	}
	return errors.Join(err, db.Close())
}
