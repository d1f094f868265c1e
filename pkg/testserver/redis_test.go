// SPDX-License-Identifier: Apache-2.0

//go:build unix

package testserver_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

func TestRedisLeavesNothingBehind(t *testing.T) {
	url, other := testserver.Redis(t)
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }()
	var prefix string
	t.Run("a test of its own", func(t *testing.T) {
		_, prefix = testserver.Redis(t)
		if prefix == other {
			t.Fatal("two tests have one prefix")
		}
		for _, key := range []string{prefix + "a", prefix + "b"} {
			if err := client.Set(t.Context(), key, "x", time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
		}
		testserver.RedisAge(t, client, prefix, 59*time.Second)
		if ttl := client.PTTL(t.Context(), prefix+"a").Val(); ttl <= 0 || ttl > time.Second {
			t.Fatalf("lives %s more", ttl)
		}
		if n := len(testserver.RedisKeys(t, client, prefix)); n != 2 {
			t.Fatalf("%d keys", n)
		}
		testserver.RedisAge(t, client, prefix+"b", time.Second)
		if n := len(testserver.RedisKeys(t, client, prefix)); n != 1 {
			t.Fatalf("%d keys", n)
		}
	})
	if n := len(testserver.RedisKeys(t, client, prefix)); n != 0 {
		t.Fatalf("%d keys are left", n)
	}
}

func TestStartRedis(t *testing.T) {
	s := testserver.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, ReadTimeout: 200 * time.Millisecond, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	ping := func(want bool) {
		t.Helper()
		if err := client.Ping(context.Background()).Err(); (err == nil) != want {
			t.Fatalf("ping: %v", err)
		}
	}
	ping(true)
	s.Pause()
	ping(false)
	s.Resume()
	ping(true)
	s.Kill()
	ping(false)
	s.Start(t)
	ping(true)
	s.Stop()
	ping(false)
}

func TestRedisGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("starts six servers")
	}
	t.Run("a cluster spreads keys over its masters", func(t *testing.T) {
		addrs, prefix := testserver.RedisCluster(t)
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
		defer func() { _ = client.Close() }()
		for _, tag := range []string{"{a}", "{b}", "{c}", "{d}", "{e}"} {
			if err := client.Set(t.Context(), prefix+tag, "x", time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(testserver.RedisKeys(t, client, prefix)); n != 5 {
			t.Fatalf("%d keys", n)
		}
	})
	t.Run("a sentinel makes the replica the master", func(t *testing.T) {
		g := testserver.RedisSentinel(t)
		client := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: g.MasterName, SentinelAddrs: []string{g.Sentinel.Addr}})
		defer func() { _ = client.Close() }()
		if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := client.Wait(t.Context(), 1, 5*time.Second).Result(); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		g.Master.Kill()
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		for client.Set(ctx, "k", "w", 0).Err() != nil {
			if ctx.Err() != nil {
				t.Fatal("no failover")
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}
