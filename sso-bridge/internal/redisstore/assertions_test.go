// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisstore_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/redisstore"
)

func TestAssertions(t *testing.T) {
	p := onServer(t)
	mark := secret.DigestOf("https://idp.example\x1f_id").Hex()
	replicas := []redisstore.Assertions{{DB: p.a.DB}, {DB: p.b.DB}}
	t.Run("SAML-29 SAML-30 of 50 at once on two replicas one is the first, and none after it", func(t *testing.T) {
		var first atomic.Int32
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				fresh, err := replicas[i%2].First(t.Context(), mark, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if fresh {
					first.Add(1)
				}
			})
		}
		all.Wait()
		if first.Load() != 1 {
			t.Errorf("%d were", first.Load())
		}
		if fresh, err := replicas[1].First(t.Context(), mark, time.Minute); fresh || err != nil {
			t.Errorf("%t, %v", fresh, err)
		}
	})
	t.Run("the key is that of the specification, and ends with the assertion", func(t *testing.T) {
		keys := testserver.RedisKeys(t, p.raw, p.prefix)
		if len(keys) != 1 || keys[0] != p.prefix+"sso:r:{"+mark+"}" {
			t.Fatalf("%q", keys)
		}
		if life := p.raw.PTTL(t.Context(), keys[0]).Val(); life <= 0 || life > time.Minute {
			t.Errorf("it lives %s", life)
		}
		testserver.RedisAge(t, p.raw, p.prefix, time.Minute)
		if fresh, err := replicas[0].First(t.Context(), mark, time.Minute); !fresh || err != nil {
			t.Errorf("after its end: %t, %v", fresh, err)
		}
	})
	t.Run("SAML-29 a store that is down lets nothing through", func(t *testing.T) {
		server := testserver.StartRedis(t)
		p := newPlace(t, redisdb.Options{URL: secret.New(server.URL())}, redis.NewClient(&redis.Options{Addr: server.Addr}))
		server.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if fresh, err := (redisstore.Assertions{DB: p.a.DB}).First(ctx, mark, time.Minute); fresh || err == nil {
			t.Errorf("%t, %v", fresh, err)
		}
	})
}
