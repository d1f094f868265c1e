// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redislimit_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit/ratelimittest"
	"github.com/dify-sso/dify-sso/pkg/ratelimit/redislimit"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

func open(t *testing.T, o redisdb.Options) *redisdb.DB {
	t.Helper()
	db, err := redisdb.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func single(t *testing.T) (db *redisdb.DB, raw *redis.Client, prefix string) {
	t.Helper()
	url, prefix := testserver.Redis(t)
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	raw = redis.NewClient(o)
	t.Cleanup(func() { _ = raw.Close() })
	return open(t, redisdb.Options{URL: secret.New(url), KeyPrefix: prefix}), raw, prefix
}

func TestConformance(t *testing.T) {
	t.Run("without a prefix", func(t *testing.T) {
		ratelimittest.Conformance(t, func(t *testing.T) ratelimit.Store {
			return redislimit.Store{DB: open(t, redisdb.Options{URL: secret.New(testserver.StartRedis(t).URL())}), CallersClock: true}
		})
	})
	t.Run("with a prefix", func(t *testing.T) {
		ratelimittest.Conformance(t, func(t *testing.T) ratelimit.Store {
			db, _, _ := single(t)
			return redislimit.Store{DB: db, CallersClock: true}
		})
	})
	t.Run("on a cluster", func(t *testing.T) {
		if testing.Short() {
			t.Skip("starts a cluster")
		}
		ratelimittest.Conformance(t, func(t *testing.T) ratelimit.Store {
			addrs, prefix := testserver.RedisCluster(t)
			o := redisdb.Options{URL: secret.New("redis://" + strings.Join(addrs, ",")), Mode: redisdb.Cluster, KeyPrefix: prefix}
			return redislimit.Store{DB: open(t, o), CallersClock: true}
		})
	})
}

// Whatever is asked at whatever time, Redis and memory answer alike.
func TestEqualToMemory(t *testing.T) {
	db, _, _ := single(t)
	there, here := redislimit.Store{DB: db, CallersClock: true}, ratelimit.NewMemory(1000)
	policies := []ratelimit.Policy{
		{Name: "a", Limit: 3, Window: time.Minute},
		{Name: "b", Limit: 1, Window: time.Hour},
		{Name: "c", Limit: 7, Window: time.Second, Lock: 10 * time.Second},
		{Name: "d", Limit: 2, Window: 15 * time.Minute, Lock: 15 * time.Minute},
		{Name: "e", Limit: 1_000_000, Window: 31 * 24 * time.Hour},
		{Name: "f", Limit: 0, Window: time.Minute},
		{Name: "a", Limit: 9, Window: 10 * time.Second, Lock: time.Second}, // as after a change of settings
		{Name: "d", Limit: 2, Window: 15 * time.Minute},
	}
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		now := time.UnixMicro(1_772_366_400_123_456)
		for i := range 1500 {
			p := policies[r.IntN(len(policies))]
			scope := fmt.Sprint(seed, "-", r.IntN(2))
			switch r.IntN(12) {
			case 0:
				now = now.Add(-time.Duration(r.Int64N(int64(time.Hour)))) // a clock is set back
			case 1:
				now = now.Add(time.Duration(r.Int64N(int64(20 * time.Minute))))
			case 2, 3, 4, 5:
				now = now.Add(time.Duration(r.Int64N(int64(2 * time.Second))))
			}
			act := r.IntN(3)
			ask := func(s ratelimit.Store) (ratelimit.Result, error) {
				if act == 0 {
					return s.Take(t.Context(), p, scope, now)
				}
				return s.Settle(t.Context(), p, scope, act == 1, now)
			}
			want, _ := ask(here)
			got, err := ask(there)
			if err != nil || got != want {
				t.Fatalf("seed %d, step %d, %+v, act %d: %+v and %v, in memory %+v", seed, i, p, act, got, err, want)
			}
		}
	}
}

func TestTheServersClockCounts(t *testing.T) {
	db, raw, prefix := single(t)
	s := redislimit.Store{DB: db}
	p := ratelimit.Policy{Name: "x", Limit: 2, Window: time.Hour, Lock: 2 * time.Hour}
	t.Run("OUT-03 callers whose clocks are days apart share one budget", func(t *testing.T) {
		for i, now := range []time.Time{time.Now().Add(-48 * time.Hour), {}, time.Now().Add(48 * time.Hour)} {
			if r, err := s.Take(t.Context(), p, "a", now); err != nil || r.Allowed != (i < 2) {
				t.Fatalf("call %d: %+v, %v", i+1, r, err)
			}
		}
	})
	t.Run("LIM-10 RL-06 a scope leaves no key beyond its life", func(t *testing.T) {
		life := func(scope string) time.Duration {
			t.Helper()
			d, err := raw.PTTL(t.Context(), prefix+ratelimit.Key(p.Name, scope)).Result()
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if d := life("a"); d <= 0 || d > p.Window {
			t.Errorf("a used up budget lives %s", d)
		}
		if _, err := s.Settle(t.Context(), p, "a", true, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if d := life("a"); d <= p.Window || d > p.Lock {
			t.Errorf("a lock lives %s", d)
		}
		if _, err := s.Take(t.Context(), p, "b", time.Time{}); err != nil {
			t.Fatal(err)
		}
		if d := life("b"); d <= 0 || d > p.Window/2 {
			t.Errorf("one call of two lives %s", d)
		}
		if r, err := s.Settle(t.Context(), p, "b", false, time.Time{}); err != nil || r.Remaining != 2 {
			t.Fatalf("%+v, %v", r, err)
		}
		if keys := testserver.RedisKeys(t, raw, prefix); len(keys) != 1 {
			t.Errorf("what is whole again is kept: %q", keys)
		}
	})
	t.Run("a value that is not ours is a whole budget", func(t *testing.T) {
		key := prefix + ratelimit.Key(p.Name, "c")
		for _, junk := range []string{"", "x", "12", "1e300 1e300", "nan inf"} {
			if err := raw.Set(t.Context(), key, junk, time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			if r, err := s.Take(t.Context(), p, "c", time.Time{}); err != nil || !r.Allowed || r.Remaining != 1 {
				t.Errorf("%q: %+v, %v", junk, r, err)
			}
		}
	})
	t.Run("an outage is an error", func(t *testing.T) {
		own := testserver.StartRedis(t)
		gone := redislimit.Store{DB: open(t, redisdb.Options{URL: secret.New(own.URL())})}
		own.Kill()
		if _, err := gone.Take(t.Context(), p, "a", time.Time{}); err == nil {
			t.Fatal("it counted")
		}
	})
}

func TestAReplyOfAnotherShape(t *testing.T) {
	for _, reply := range [][]any{nil, {}, {int64(1)}, {int64(1), int64(1), int64(1), int64(1), "1"}} {
		if r, err := redislimit.Result(ratelimit.Policy{Limit: 1}, reply); err == nil || r.Allowed {
			t.Errorf("%v: %+v, %v", reply, r, err)
		}
	}
}
