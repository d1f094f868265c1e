// SPDX-License-Identifier: Apache-2.0

// Package ratelimittest holds the conformance suite of ratelimit.Store, imported
// from tests alone.
package ratelimittest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Conformance is the contract of a store; open returns a fresh, empty one.
func Conformance(t *testing.T, open func(t *testing.T) ratelimit.Store) {
	perMinute := ratelimit.Policy{Name: "test.minute", Limit: 60, Window: time.Minute}
	take := func(t *testing.T, s ratelimit.Store, p ratelimit.Policy, scope string, now time.Time) ratelimit.Result {
		t.Helper()
		r, err := s.Take(context.Background(), p, scope, now)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	drain := func(t *testing.T, s ratelimit.Store, p ratelimit.Policy, scope string, now time.Time) {
		t.Helper()
		for i := range p.Limit {
			if r := take(t, s, p, scope, now); !r.Allowed || r.Limit != p.Limit || r.Remaining != p.Limit-i-1 {
				t.Fatalf("call %d of %d: %+v", i+1, p.Limit, r)
			}
		}
	}

	t.Run("LIM-1 RL-02 policies and scopes share nothing", func(t *testing.T) {
		s := open(t)
		other := perMinute
		other.Name = "test.other"
		drain(t, s, perMinute, "a", start)
		drain(t, s, perMinute, "b", start)
		drain(t, s, other, "a", start)
		if take(t, s, perMinute, "a", start).Allowed {
			t.Fatal("the budget came back")
		}
	})

	t.Run("LIM-2 RL-03 a hundred at once against sixty", func(t *testing.T) {
		s := open(t)
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if r, err := s.Take(context.Background(), perMinute, "a", start); err == nil && r.Allowed {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		if passed.Load() != 60 {
			t.Fatalf("%d passed", passed.Load())
		}
	})

	t.Run("LIM-4 who obeys Retry-After passes, who comes earlier does not", func(t *testing.T) {
		s := open(t)
		slow := ratelimit.Policy{Name: "test.slow", Limit: 3, Window: time.Minute}
		drain(t, s, slow, "a", start)
		r := take(t, s, slow, "a", start)
		if r.Allowed || r.RetryAfter != 20*time.Second || r.Reset != time.Minute || r.Remaining != 0 {
			t.Fatalf("refusal: %+v", r)
		}
		if take(t, s, slow, "a", start.Add(r.RetryAfter-time.Millisecond)).Allowed {
			t.Fatal("passed too early")
		}
		if !take(t, s, slow, "a", start.Add(r.RetryAfter)).Allowed {
			t.Fatal("refused although it waited")
		}
	})

	t.Run("LIM-5 a limit of nought is off", func(t *testing.T) {
		s := open(t)
		for range 1000 {
			if !take(t, s, ratelimit.Policy{Name: "off"}, "a", start).Allowed {
				t.Fatal("refused")
			}
		}
	})

	t.Run("LIM-10 a refused call costs nothing", func(t *testing.T) {
		s := open(t)
		drain(t, s, perMinute, "a", start)
		for range 500 {
			take(t, s, perMinute, "a", start)
		}
		if r := take(t, s, perMinute, "a", start.Add(time.Second)); !r.Allowed {
			t.Fatalf("refusals were counted: %+v", r)
		}
	})

	t.Run("RL-05 no burst at the window's edge, none by a clock that steps back", func(t *testing.T) {
		s := open(t)
		passed := 0
		for i := range 240 { // two minutes of a call each half second, after a full burst
			if i == 0 {
				drain(t, s, perMinute, "a", start)
			}
			if take(t, s, perMinute, "a", start.Add(time.Duration(i)*500*time.Millisecond)).Allowed {
				passed++
			}
		}
		if passed < 118 || passed > 120 {
			t.Fatalf("%d passed in two minutes at one a second", passed)
		}
		if take(t, s, perMinute, "a", start).Allowed {
			t.Fatal("stepping back gave a budget")
		}
	})

	failures := ratelimit.Policy{Name: "test.failures", Limit: 5, Window: 15 * time.Minute, Lock: 15 * time.Minute}
	settle := func(t *testing.T, s ratelimit.Store, failed bool, now time.Time) ratelimit.Result {
		t.Helper()
		r, err := s.Settle(context.Background(), failures, "a", failed, now)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	t.Run("LIM-15 a hundred wrong tries at once against a budget of five", func(t *testing.T) {
		s := open(t)
		var checked atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if r, err := s.Take(context.Background(), failures, "a", start); err == nil && r.Allowed {
					checked.Add(1)
					_, _ = s.Settle(context.Background(), failures, "a", true, start)
				}
			})
		}
		wg.Wait()
		if checked.Load() < 1 || checked.Load() > 5 {
			t.Fatalf("%d were checked", checked.Load())
		}
	})

	t.Run("LIM-15 a hundred right ones in a row are never refused", func(t *testing.T) {
		s := open(t)
		for i := range 100 {
			if !take(t, s, failures, "a", start).Allowed {
				t.Fatalf("refused at %d", i)
			}
			settle(t, s, false, start)
		}
	})

	t.Run("LIM-11 the last failure locks for as long as the policy says", func(t *testing.T) {
		s := open(t)
		for i := range 5 {
			if !take(t, s, failures, "a", start).Allowed {
				t.Fatalf("refused at %d", i)
			}
			if r := settle(t, s, true, start); r.Locked != (i == 4) {
				t.Fatalf("failure %d: %+v", i+1, r)
			}
		}
		// The budget alone would give a permit back after three minutes.
		for _, after := range []time.Duration{0, 4 * time.Minute, 15*time.Minute - time.Millisecond} {
			if r := take(t, s, failures, "a", start.Add(after)); r.Allowed || !r.Locked || r.RetryAfter != 15*time.Minute-after {
				t.Fatalf("after %s: %+v", after, r)
			}
		}
		if !take(t, s, failures, "a", start.Add(15*time.Minute)).Allowed {
			t.Fatal("the lock never ends")
		}
	})

	t.Run("a cancelled context counts nothing", func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.Take(ctx, perMinute, "a", start); err == nil {
			t.Fatal("took a permit")
		}
		drain(t, s, perMinute, "a", start)
	})

	t.Run("keys with any bytes stay apart", func(t *testing.T) {
		s := open(t)
		one := ratelimit.Policy{Name: "test.one", Limit: 1, Window: time.Hour}
		for i, scope := range []string{"", "a", "a}", "{a", "a:b", "ü", "192.0.2.1", "2001:db8::/64"} {
			if !take(t, s, one, scope, start).Allowed {
				t.Fatalf("scope %d was counted before", i)
			}
		}
	})
}
