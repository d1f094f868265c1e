// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/redisstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// place is one Redis, open twice as two replicas would, and a way around the store.
type place struct {
	a, b   redisstore.Records
	raw    redis.UniversalClient
	prefix string
}

func newPlace(t *testing.T, o redisdb.Options, raw redis.UniversalClient) place {
	t.Helper()
	p := place{raw: raw, prefix: o.KeyPrefix}
	for _, s := range []*redisstore.Records{&p.a, &p.b} {
		db, err := redisdb.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		s.DB = db
		t.Cleanup(func() { _ = db.Close() })
	}
	t.Cleanup(func() { _ = raw.Close() })
	return p
}

func onServer(t *testing.T) place {
	t.Helper()
	url, prefix := testserver.Redis(t)
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return newPlace(t, redisdb.Options{URL: secret.New(url), KeyPrefix: prefix}, redis.NewClient(o))
}

func onCluster(t *testing.T) place {
	t.Helper()
	addrs, prefix := testserver.RedisCluster(t)
	o := redisdb.Options{URL: secret.New("redis://" + strings.Join(addrs, ",")), Mode: redisdb.Cluster, KeyPrefix: prefix}
	return newPlace(t, o, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs}))
}

func TestRecords(t *testing.T) {
	for name, open := range map[string]func(*testing.T) place{"on a server": onServer, "on a cluster": onCluster} {
		t.Run(name, func(t *testing.T) {
			storetest.Records(t, func(t *testing.T) storetest.RecordStore {
				p := open(t)
				return storetest.RecordStore{A: p.a, B: p.b, Age: func(by time.Duration) { testserver.RedisAge(t, p.raw, p.prefix, by) }}
			})
		})
	}
}

func TestKeysAreThoseOfTheSpecification(t *testing.T) {
	p := onServer(t)
	d := secret.DigestOf("ticket")
	for _, on := range []login.Shelf{login.Tickets, login.Handles, login.Results} {
		if err := p.a.Put(t.Context(), on, d, []byte("sealed"), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	got := testserver.RedisKeys(t, p.raw, p.prefix)
	slices.Sort(got)
	want := map[string]bool{}
	for _, key := range []string{
		"sso:t:{" + d.Hex() + "}", "sso:h:{" + d.Hex() + "}", "sso:v:{" + d.Hex() + "}",
	} {
		want[p.prefix+key] = true
	}
	if !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("keys %q", got)
	}
	for _, key := range got {
		if life := p.raw.PTTL(t.Context(), key).Val(); life <= 0 || life > time.Minute {
			t.Errorf("%s lives %s", key, life)
		}
	}
}

func TestAValueThatIsNotOursIsMissing(t *testing.T) {
	p := onServer(t)
	d := secret.Digest{1}
	if err := p.raw.LPush(t.Context(), p.prefix+"sso:h:{"+d.Hex()+"}", "x").Err(); err != nil {
		t.Fatal(err)
	}
	_, read := p.a.Read(t.Context(), login.Handles, d)
	_, taken := p.a.Take(t.Context(), login.Handles, d)
	if !errors.Is(read, login.ErrNoRecord) || !errors.Is(taken, login.ErrNoRecord) {
		t.Errorf("%v, %v", read, taken)
	}
}

// Whatever is wrong with Redis, nobody gets a record, and the failure
// is no verdict.
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
	d := secret.Digest{1}
	for _, c := range []struct {
		name       string
		begin, end func(t *testing.T)
	}{
		{"down", func(*testing.T) { server.Stop() }, func(t *testing.T) { server.Start(t) }},
		{"hanging", func(*testing.T) { server.Pause() }, func(*testing.T) { server.Resume() }},
		{"read-only", func(t *testing.T) { admin(t, "replicaof", "127.0.0.1", "1") }, func(t *testing.T) { admin(t, "replicaof", "no", "one") }},
		{"full", func(t *testing.T) { admin(t, "config", "set", "maxmemory", "1") }, func(t *testing.T) { admin(t, "config", "set", "maxmemory", "0") }},
	} {
		t.Run("OUT-01 SSO-94 "+c.name, func(t *testing.T) {
			admin(t, "flushall")
			if err := p.a.Put(t.Context(), login.Handles, d, []byte("sealed"), time.Hour); err != nil {
				t.Fatal(err)
			}
			c.begin(t)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			got, take := p.a.Take(ctx, login.Handles, d)
			put := p.a.Put(ctx, login.Tickets, d, []byte("sealed"), time.Minute)
			for what, err := range map[string]error{"take": take, "put": put} {
				if err == nil || errors.Is(err, login.ErrTaken) || errors.Is(err, login.ErrNoRecord) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if got != nil {
				t.Errorf("%q", got)
			}
			c.end(t)
		})
	}
}
