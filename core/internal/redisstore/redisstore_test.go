// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisstore

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// place is one fresh, empty Redis, open twice as two processes would, and a way around
// the stores.
type place struct {
	a, b   *redisdb.DB
	raw    redis.UniversalClient
	prefix string
	log    *bytes.Buffer
	logger *slog.Logger
}

func newPlace(t *testing.T, o redisdb.Options, raw redis.UniversalClient) *place {
	t.Helper()
	p := &place{raw: raw, prefix: o.KeyPrefix, log: &bytes.Buffer{}}
	p.logger = slog.New(slog.NewTextHandler(p.log, nil))
	for _, db := range []**redisdb.DB{&p.a, &p.b} {
		opened, err := redisdb.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		*db = opened
		t.Cleanup(func() { _ = opened.Close() })
	}
	t.Cleanup(func() { _ = raw.Close() })
	return p
}

// withPrefix is on the Redis that all tests share.
func withPrefix(t *testing.T) *place {
	t.Helper()
	url, prefix := testserver.Redis(t)
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return newPlace(t, redisdb.Options{URL: secret.New(url), KeyPrefix: prefix}, redis.NewClient(o))
}

// eachPlace runs a test without a prefix, with one, and on a cluster.
func eachPlace(t *testing.T, test func(t *testing.T, open func(t *testing.T) *place)) {
	t.Run("without a prefix", func(t *testing.T) {
		server := testserver.StartRedis(t)
		test(t, func(t *testing.T) *place {
			p := newPlace(t, redisdb.Options{URL: secret.New(server.URL())}, redis.NewClient(&redis.Options{Addr: server.Addr}))
			if err := p.raw.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			return p
		})
	})
	t.Run("with a prefix", func(t *testing.T) { test(t, withPrefix) })
	t.Run("on a cluster", func(t *testing.T) {
		if testing.Short() {
			t.Skip("starts a cluster")
		}
		test(t, func(t *testing.T) *place {
			addrs, prefix := testserver.RedisCluster(t)
			o := redisdb.Options{URL: secret.New("redis://" + strings.Join(addrs, ",")), Mode: redisdb.Cluster, KeyPrefix: prefix}
			return newPlace(t, o, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs}))
		})
	})
}

func (p *place) grants() storetest.GrantStore {
	return storetest.GrantStore{A: Grants{DB: p.a, Log: p.logger}, B: Grants{DB: p.b, Log: p.logger}}
}

// held counts the grants that are more than a denial which was told.
func (p *place) held(t *testing.T) func() int {
	return func() int {
		t.Helper()
		n := 0
		for _, key := range testserver.RedisKeys(t, p.raw, p.prefix+"dg:g:") {
			if p.raw.HGet(t.Context(), key, "told").Val() == "" {
				n++
			}
		}
		return n
	}
}

func TestGrants(t *testing.T) {
	eachPlace(t, func(t *testing.T, open func(t *testing.T) *place) {
		storetest.DeviceGrants(t, func(t *testing.T) storetest.GrantStore {
			p := open(t)
			s := p.grants()
			s.Held = p.held(t)
			t.Cleanup(func() { p.isQuiet(t) })
			return s
		})
	})
}

func TestBearers(t *testing.T) {
	eachPlace(t, func(t *testing.T, open func(t *testing.T) *place) {
		storetest.Bearers(t, func(t *testing.T) storetest.BearerStore {
			p := open(t)
			a, b := Bearers{DB: p.a, Log: p.logger}, Bearers{DB: p.b, Log: p.logger}
			t.Cleanup(func() { p.isQuiet(t) })
			return storetest.BearerStore{
				A: a, B: b, GateA: Gate{Bearers: a, CallersClock: true}, GateB: Gate{Bearers: b, CallersClock: true},
				Age: func(by time.Duration) { testserver.RedisAge(t, p.raw, p.prefix, by) },
			}
		})
	})
}

// isQuiet fails when a store complained.
func (p *place) isQuiet(t *testing.T) {
	t.Helper()
	if p.log.Len() > 0 {
		t.Errorf("the log holds %s", p.log)
	}
}
