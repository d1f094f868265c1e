// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redisstore

import (
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestSlots(t *testing.T) {
	eachPlace(t, func(t *testing.T, open func(t *testing.T) *place) {
		storetest.Slots(t, func(t *testing.T) (a, b run.Slots) {
			p := open(t)
			return Slots{DB: p.a}, Slots{DB: p.b}
		})
	})
}

func TestKeysOfSlots(t *testing.T) {
	p := withPrefix(t)
	s, app, key := Slots{DB: p.a}, canon.NewID(), ""
	take := func(t *testing.T, holder string, limit int) bool {
		t.Helper()
		ok, err := s.Take(t.Context(), app, holder, limit, now)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	t.Run("API-27 DF-29 one sorted set for an app, which goes by itself", func(t *testing.T) {
		if !take(t, "one", 2) || !take(t, "two", 2) {
			t.Fatal("refused")
		}
		key = p.prefix + "run:{" + app + "}"
		n, err := p.raw.ZCard(t.Context(), key).Result()
		if err != nil || n != 2 {
			t.Fatalf("%d holders, %v", n, err)
		}
		if left := p.raw.PTTL(t.Context(), key).Val(); left < run.SlotLease || left > run.SlotLease+2*time.Minute {
			t.Fatalf("it is gone after %s", left)
		}
	})
	t.Run("something else under the key is nobody's slot", func(t *testing.T) {
		if err := p.raw.Set(t.Context(), key, "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if !take(t, "three", 1) || take(t, "four", 1) {
			t.Fatal("miscounted")
		}
	})
}
