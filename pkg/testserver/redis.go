// SPDX-License-Identifier: Apache-2.0

//go:build unix

package testserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// RedisEnv names the address of a Redis for tests; unset, the usual local port is
// tried, then a process of our own.
const RedisEnv = "TEST_REDIS_URL"

const usualRedis = "redis://127.0.0.1:6379"

// sharedRedis is found or started once for all tests of a process.
var sharedRedis = sync.OnceValues(func() (string, error) {
	if url := os.Getenv(RedisEnv); url != "" {
		return url, nil
	}
	if conn, err := net.DialTimeout("tcp", "127.0.0.1:6379", time.Second); err == nil {
		_ = conn.Close()
		return usualRedis, nil
	}
	s, err := launchRedis()
	if err != nil {
		return "", err
	}
	return s.URL(), nil
})

// quietRedis ends the client library's own log, which would fill the output of tests
// that stop servers.
var quietRedis = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// Redis gives the address of a Redis and a key prefix that no other test uses. The keys
// under it are removed with the test.
func Redis(t testing.TB) (url, prefix string) {
	t.Helper()
	quietRedis()
	url, err := sharedRedis()
	if err != nil {
		Missing(t, "Redis", err)
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatalf("%s: no address of a Redis", RedisEnv)
	}
	prefix = RedisPrefix()
	removeKeys(t, redis.NewClient(o), prefix)
	return url, prefix
}

// RedisPrefix draws a key prefix.
func RedisPrefix() string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return "t" + hex.EncodeToString(b[:]) + ":"
}

// removeKeys plans to remove what a test leaves, on every master.
func removeKeys(t testing.TB, client redis.UniversalClient, prefix string) {
	t.Helper()
	t.Cleanup(func() {
		defer func() { _ = client.Close() }()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := eachRedisKey(ctx, client, prefix, func(c *redis.Client, key string) error { return c.Del(ctx, key).Err() }); err != nil {
			t.Errorf("removing the keys of the test: %v", err)
		}
	})
}

// RedisKeys lists what lies under a prefix, on every master of a cluster.
func RedisKeys(t testing.TB, client redis.UniversalClient, prefix string) []string {
	t.Helper()
	var mu sync.Mutex
	var keys []string
	err := eachRedisKey(t.Context(), client, prefix, func(_ *redis.Client, key string) error {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// RedisAge lets time pass for the keys under a prefix: each lives as much shorter, and
// one whose life is over is gone.
func RedisAge(t testing.TB, client redis.UniversalClient, prefix string, by time.Duration) {
	t.Helper()
	ctx := t.Context()
	err := eachRedisKey(ctx, client, prefix, func(c *redis.Client, key string) error {
		left, err := c.PTTL(ctx, key).Result()
		if err != nil || left < 0 { // it lives for ever, or is gone
			return err
		}
		return c.PExpire(ctx, key, left-by).Err() // nothing left: it is deleted
	})
	if err != nil {
		t.Fatal(err)
	}
}

func eachRedisKey(ctx context.Context, client redis.UniversalClient, prefix string, do func(c *redis.Client, key string) error) error {
	walk := func(ctx context.Context, c *redis.Client) error {
		for it := c.Scan(ctx, 0, prefix+"*", 1000).Iterator(); ; {
			if !it.Next(ctx) {
				return it.Err()
			}
			if err := do(c, it.Val()); err != nil {
				return err
			}
		}
	}
	switch c := client.(type) {
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, walk)
	case *redis.Client:
		return walk(ctx, c)
	}
	return nil
}
