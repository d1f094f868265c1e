// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisreplay_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/replay/redisreplay"
	"github.com/dify-sso/dify-sso/pkg/replay/replaytest"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

func TestConformance(t *testing.T) {
	replaytest.Conformance(t, func(t *testing.T) replaytest.Stores {
		url, prefix := testserver.Redis(t)
		open := func() redisreplay.Store {
			db, err := redisdb.Open(t.Context(), redisdb.Options{URL: secret.New(url), KeyPrefix: prefix})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return redisreplay.Store{DB: db}
		}
		o, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		raw := redis.NewClient(o)
		t.Cleanup(func() { _ = raw.Close() })
		return replaytest.Stores{A: open(), B: open(), Age: func(d time.Duration) { age(t, raw, prefix, d) }}
	})
}

// age shortens what is left of every key's life: Redis measures it by its own clock.
func age(t *testing.T, raw *redis.Client, prefix string, d time.Duration) {
	t.Helper()
	keys, err := raw.Keys(t.Context(), prefix+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		left, err := raw.PTTL(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.PExpire(t.Context(), key, left-d).Err(); err != nil {
			t.Fatal(err)
		}
	}
}
