// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

var tokenLimit = ratelimit.Policy{Name: "bearer.token", Limit: 60, Window: time.Minute}

// In every kind of outage what would write says that it could not, gives no verdict,
// and changes nothing.
func TestOutages(t *testing.T) {
	server := testserver.StartRedis(t, "--save", "3600", "1000000") // saved when it is stopped
	raw := redis.NewClient(&redis.Options{Addr: server.Addr})
	p := newPlace(t, redisdb.Options{URL: secret.New(server.URL())}, raw)
	admin := func(t *testing.T, args ...any) {
		t.Helper()
		if err := raw.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name       string
		begin, end func(t *testing.T)
		reads      bool // what only reads still works
	}{
		{"down", func(*testing.T) { server.Stop() }, func(t *testing.T) { server.Start(t) }, false},
		{"hanging", func(*testing.T) { server.Pause() }, func(*testing.T) { server.Resume() }, false},
		{"read-only", func(t *testing.T) { admin(t, "replicaof", "127.0.0.1", "1") }, func(t *testing.T) { admin(t, "replicaof", "no", "one") }, true},
		{"full", func(t *testing.T) { admin(t, "config", "set", "maxmemory", "1") }, func(t *testing.T) { admin(t, "config", "set", "maxmemory", "0") }, true},
	} {
		t.Run("OUT-01 INV-6 "+c.name, func(t *testing.T) {
			admin(t, "flushall")
			s := Grants{DB: p.a, Log: p.logger}
			bearers := Bearers{DB: p.a, Log: p.logger}
			gate := Gate{Bearers: bearers}
			o := &one{place: p, Grants: s, t: t, g: grant(1)}
			o.create(o.g)
			pending := grant(2)
			o.create(pending)
			o.decide(devicegrant.Approved, now)
			if err := bearers.Remember(t.Context(), secret.Digest{1}, someContext, now, token.LiveFor); err != nil {
				t.Fatal(err)
			}

			c.begin(t)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // for each: a hanging server costs no more
			defer cancel()
			_, _, poll := s.Poll(ctx, devicegrant.Poll{Ref: o.g.Ref, ClientID: "difyctl", Owner: "o", Now: now})
			_, _, enter := gate.Enter(ctx, tokenLimit, secret.Digest{1}, now)
			for name, err := range map[string]error{
				"create":   s.Create(ctx, grant(3)),
				"poll":     poll,
				"decide":   s.Decide(ctx, devicegrant.Decision{Ref: pending.Ref, To: devicegrant.Denied, Transition: "t", Now: now}),
				"enter":    enter,
				"remember": bearers.Remember(ctx, secret.Digest{2}, someContext, now, token.LiveFor),
				"unknown":  bearers.RememberUnknown(ctx, secret.Digest{3}, now),
				"bury":     bearers.Bury(ctx, now, secret.Digest{1}, secret.Digest{4}),
			} {
				if fault.Of(fault.Store(err)).Kind() != fault.Unavailable || errors.Is(err, devicegrant.ErrFull) {
					t.Errorf("%s: %v", name, err)
				}
			}
			_, find := s.Find(ctx, o.g.UserMAC, now)
			_, get := bearers.Get(ctx, secret.Digest{1}, now)
			for name, err := range map[string]error{"find": find, "get": get, "ping": s.Ping(ctx)} {
				if (err == nil) != c.reads {
					t.Errorf("%s: %v", name, err)
				}
			}
			c.end(t)

			if n := o.held(t)(); n != 2 {
				t.Errorf("%d grants", n)
			}
			o.poll("o", now, devicegrant.PollClaimed) // its repeat is neither lost nor "too soon", whether it came through or not
			if g, err := s.Find(t.Context(), pending.UserMAC, now); err != nil || g.State != devicegrant.Pending {
				t.Errorf("%s, %v", g.State, err)
			}
			if r, found, err := gate.Enter(t.Context(), tokenLimit, secret.Digest{1}, now); err != nil || r.Remaining != tokenLimit.Limit-1 || found.Finding != token.Live {
				t.Errorf("%+v, %+v, %v", r, found, err)
			}
			for _, n := range []byte{2, 3, 4} {
				if r, err := bearers.Get(t.Context(), secret.Digest{n}, now); err != nil || r.Finding != token.Missing {
					t.Errorf("number %d: %d, %v", n, r.Finding, err)
				}
			}
		})
	}
}

// eventually repeats what a failover keeps from succeeding.
func eventually(t *testing.T, what string, act func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := act(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("starts six servers")
	}
	t.Run("INV-8 a sentinel's: an acknowledged approval is redeemed, a tombstone stands", func(t *testing.T) {
		group := testserver.RedisSentinel(t)
		raw := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: group.MasterName, SentinelAddrs: []string{group.Sentinel.Addr}})
		p := newPlace(t, redisdb.Options{URL: secret.New(group.Sentinel.URL()), Mode: redisdb.Sentinel, MasterName: group.MasterName, KeyPrefix: "core:"}, raw)
		o := &one{place: p, Grants: Grants{DB: p.a, Log: p.logger}, t: t, g: grant(1)}
		bearers := Bearers{DB: p.a, Log: p.logger}
		o.create(o.g)
		o.decide(devicegrant.Approved, now)
		if err := bearers.Bury(t.Context(), now, secret.Digest{1}); err != nil {
			t.Fatal(err)
		}
		if n, err := p.a.Do(t.Context(), "wait", 1, 5000); err != nil || n != int64(1) {
			t.Fatal(n, err)
		}
		group.Master.Kill()
		eventually(t, "bury", func(ctx context.Context) error { return bearers.Bury(ctx, now, secret.Digest{2}) })
		o.poll("owner", now, devicegrant.PollClaimed)
		for _, n := range []byte{1, 2} {
			if r, err := bearers.Get(t.Context(), secret.Digest{n}, now); err != nil || r.Finding != token.Buried {
				t.Fatal(r.Finding, err)
			}
		}
		p.isQuiet(t)
	})

	t.Run("OUT-01 one master of a cluster goes and comes back", func(t *testing.T) {
		servers := testserver.StartRedisCluster(t)
		var addrs []string
		for _, s := range servers {
			addrs = append(addrs, s.Addr)
		}
		raw := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
		p := newPlace(t, redisdb.Options{URL: secret.New("redis://" + strings.Join(addrs, ",")), Mode: redisdb.Cluster}, raw)
		bearers := Bearers{DB: p.a, Log: p.logger}
		var all []secret.Digest
		for i := range byte(64) { // on every master some
			all = append(all, secret.DigestOf(fmt.Sprint(i)))
		}
		bury := func(ctx context.Context) error { return bearers.Bury(ctx, now, all...) }
		if err := bury(t.Context()); err != nil {
			t.Fatal(err)
		}
		servers[0].Kill()
		if err := bury(t.Context()); err == nil {
			t.Fatal("some tombstones were not written, and nobody says so")
		}
		if err := (Grants{DB: p.a}).Ping(t.Context()); err == nil {
			t.Fatal("a master is gone, and nobody says so")
		}
		servers[0].Start(t)
		eventually(t, "bury", bury)
		for _, d := range all {
			if r, err := bearers.Get(t.Context(), d, now); err != nil || r.Finding != token.Buried {
				t.Fatal(r.Finding, err)
			}
		}
	})
}
