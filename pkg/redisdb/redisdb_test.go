// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

func open(t *testing.T, o Options) *DB {
	t.Helper()
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// everywhere runs a test on a single server and on a cluster.
func everywhere(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("single", func(t *testing.T) {
		url, prefix := testserver.Redis(t)
		test(t, Options{URL: secret.New(url), KeyPrefix: prefix})
	})
	t.Run("cluster", func(t *testing.T) {
		if testing.Short() {
			t.Skip("starts a cluster")
		}
		addrs, prefix := testserver.RedisCluster(t)
		test(t, Options{URL: secret.New("redis://" + strings.Join(addrs, ",")), Mode: Cluster, KeyPrefix: prefix})
	})
}

func TestCalls(t *testing.T) {
	everywhere(t, func(t *testing.T, o Options) {
		db := open(t, o)
		ctx := t.Context()
		key := db.Key("k", "a")
		if v, err := db.Do(ctx, "get", key); v != nil || err != nil {
			t.Fatal("a key that is not there: ", v, err)
		}
		// A comment nobody else writes: no server knows this script.
		s := NewScript("redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000) return {1, 'x', false} --" + o.KeyPrefix)
		for range 2 {
			v, err := db.Run(ctx, s, []string{key}, "value")
			list, ok := v.([]any)
			if err != nil || !ok || len(list) != 3 || list[0] != int64(1) || list[1] != "x" || list[2] != nil {
				t.Fatalf("%#v, %v", v, err)
			}
		}
		other := NewScript("return redis.call('GET', KEYS[1]) --" + o.KeyPrefix)
		var calls []Call
		for _, tag := range []string{"a", "b", "c", "d", "a"} {
			calls = append(calls, Call{Script: other, Keys: []string{db.Key("k", tag)}})
		}
		calls = append(calls, Call{Args: []any{"set", db.Key("l", "b"), "y", "px", 60_000}}, Call{Args: []any{"lpush", key, "y"}})
		replies, err := db.All(ctx, calls...)
		if !WrongType(err) || !WrongType(replies[6].Err) {
			t.Fatal("the failure of one call is told: ", err)
		}
		if replies[0].Value != "value" || replies[1].Value != nil || replies[4].Value != "value" || replies[5].Value != "OK" || replies[5].Err != nil {
			t.Fatalf("%+v", replies)
		}

		done, cancel := context.WithCancel(ctx)
		cancel()
		_, err = db.Do(done, "set", key, "changed")
		_, all := db.All(done, Call{Args: []any{"set", key, "changed"}})
		for name, err := range map[string]error{"do": err, "all": all, "ping": db.Ping(done)} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s with a context that has ended: %v", name, err)
			}
		}
		if v, _ := db.Do(ctx, "get", key); v != "value" {
			t.Fatal("it was written all the same")
		}
		if err := db.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

// lossy loses the reply to each message that holds a word, as a broken network does.
type lossy struct {
	net.Conn
	word []byte
	lost *atomic.Int64
	cut  atomic.Bool
}

func (c *lossy) Write(b []byte) (int, error) {
	if bytes.Contains(b, c.word) {
		c.lost.Add(1)
		c.cut.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *lossy) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b) // the server has answered
	if c.cut.Load() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func TestNothingIsSentTwice(t *testing.T) {
	everywhere(t, func(t *testing.T, o Options) {
		ctx := t.Context()
		whole := open(t, o)
		target, problems := o.resolve()
		if problems != nil {
			t.Fatal(problems)
		}
		var lost atomic.Int64
		target.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &lossy{Conn: conn, word: []byte("lose-my-reply"), lost: &lost}, err
		}
		broken := connect(o, target)
		defer func() { _ = broken.Close() }()
		count := NewScript("return redis.call('INCR', KEYS[1])")
		key := whole.Key("count", "a")
		if _, err := whole.Run(ctx, count, []string{key}); err != nil {
			t.Fatal(err)
		}
		for name, call := range map[string]func() error{
			"run": func() error { _, err := broken.Run(ctx, count, []string{key}, "lose-my-reply"); return err },
			"all": func() error {
				_, err := broken.All(ctx, Call{Script: count, Keys: []string{key}, Args: []any{"lose-my-reply"}})
				return err
			},
			"do": func() error { _, err := broken.Do(ctx, "set", key, "lose-my-reply", "nx"); return err },
		} {
			lost.Store(0)
			before, _ := whole.Do(ctx, "get", key)
			if err := call(); err == nil {
				t.Errorf("%s: an answer in spite of all", name)
			}
			after, _ := whole.Do(ctx, "get", key)
			if lost.Load() != 1 || (name != "do" && after == before) {
				t.Errorf("%s: sent %d times, the count went from %v to %v", name, lost.Load(), before, after)
			}
		}
	})
}

func TestPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"kept":              {nil, PolicyKeep},
		"evicting":          {[]string{"--maxmemory-policy", "allkeys-lru"}, "allkeys-lru"},
		"CONFIG is refused": {[]string{"--maxmemory-policy", "volatile-ttl", "--rename-command", "CONFIG", ""}, "volatile-ttl"},
	} {
		t.Run(name, func(t *testing.T) {
			s := testserver.StartRedis(t, c.args...)
			if got, err := open(t, Options{URL: secret.New(s.URL())}).Policy(t.Context()); err != nil || got != c.want {
				t.Fatalf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
	t.Run("one master of a cluster", func(t *testing.T) {
		if testing.Short() {
			t.Skip("starts a cluster")
		}
		servers := testserver.StartRedisCluster(t)
		db := open(t, Options{URL: secret.New(servers[0].URL()), Mode: Cluster})
		if got, err := db.Policy(t.Context()); err != nil || got != PolicyKeep {
			t.Fatal(got, err)
		}
		one := open(t, Options{URL: secret.New(servers[2].URL())})
		if _, err := one.Do(t.Context(), "config", "set", "maxmemory-policy", "allkeys-lfu"); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Policy(t.Context()); err != nil || got != "allkeys-lfu" {
			t.Fatal(got, err)
		}
		servers[1].Kill()
		if err := db.Ping(t.Context()); err == nil {
			t.Fatal("a master is gone, and nobody says so")
		}
	})
}

func TestOutage(t *testing.T) {
	s := testserver.StartRedis(t)
	db := open(t, Options{URL: secret.New(s.URL())})
	t.Run("OUT-01 a server that hangs is given up when the context ends", func(t *testing.T) {
		s.Pause()
		defer s.Resume()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := db.Do(ctx, "get", "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
	t.Run("OUT-01 one that hangs for ever is given up too", func(t *testing.T) {
		s.Pause()
		defer s.Resume()
		if _, err := db.Do(context.Background(), "get", "k"); err == nil {
			t.Fatal("it answered")
		}
	})
	t.Run("OUT-01 one that is back answers at once, over connections that died and with scripts that it forgot", func(t *testing.T) {
		script := NewScript("return 'here'")
		for range 2 {
			if v, err := db.Run(t.Context(), script, []string{"k"}); err != nil || v != "here" {
				t.Fatal(v, err)
			}
			s.Kill()
			if _, err := db.Run(t.Context(), script, []string{"k"}); err == nil {
				t.Fatal("it answered")
			}
			s.Start(t)
		}
	})
}

func TestSentinel(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers")
	}
	g := testserver.RedisSentinel(t)
	db := open(t, Options{URL: secret.New(g.Sentinel.URL()), Mode: Sentinel, MasterName: g.MasterName})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := db.Do(ctx, "set", "k", "v"); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Do(ctx, "wait", 1, 5000); err != nil || n != int64(1) {
		t.Fatal(n, err)
	}
	g.Master.Kill()
	for {
		if _, err := db.Do(ctx, "set", "l", "w"); err == nil {
			break
		} else if ctx.Err() != nil {
			t.Fatal("no failover: ", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if v, err := db.Do(ctx, "get", "k"); err != nil || v != "v" {
		t.Fatal(v, err)
	}
}

func TestAClusterThatIsBack(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers")
	}
	var addrs []string
	servers := testserver.StartRedisCluster(t)
	for _, s := range servers {
		addrs = append(addrs, s.Addr)
	}
	db := open(t, Options{URL: secret.New("redis://" + strings.Join(addrs, ",")), Mode: Cluster})
	t.Run("OUT-01 M-16 it answers no ping before it serves", func(t *testing.T) {
		servers[0].Kill()
		servers[0].Start(t)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		refused := 0
		for ; db.Ping(ctx) != nil; time.Sleep(20 * time.Millisecond) {
			if refused++; ctx.Err() != nil {
				t.Fatal("it never serves again")
			}
		}
		if refused == 0 {
			t.Error("it was ready at once")
		}
		for i := range 100 { // on every master some
			if _, err := db.Do(ctx, "set", fmt.Sprint("key ", i), "v"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
