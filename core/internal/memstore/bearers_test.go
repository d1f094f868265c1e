// SPDX-License-Identifier: Apache-2.0

package memstore_test

import (
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestBearers(t *testing.T) {
	storetest.Bearers(t, func(*testing.T) storetest.BearerStore {
		s := memstore.NewBearers(10_000)
		gate := memstore.Gate{Counters: ratelimit.NewMemory(10_000), Bearers: s}
		return storetest.BearerStore{A: s, B: s, GateA: gate, GateB: gate}
	})
}

// someBearer is one of many digests.
func someBearer(n int) secret.Digest { return secret.Digest{byte(n), byte(n >> 8), 7} }

func TestBearersAreBounded(t *testing.T) {
	const most = 100
	ctx := t.Context()
	remember := func(t *testing.T, s *memstore.Bearers, n int, at time.Time) {
		t.Helper()
		if err := s.Remember(ctx, someBearer(n), token.Context{SessionID: "s"}, at, token.LiveFor); err != nil {
			t.Fatal(err)
		}
	}
	found := func(t *testing.T, s *memstore.Bearers, n int, at time.Time) token.Finding {
		t.Helper()
		r, err := s.Get(ctx, someBearer(n), at)
		if err != nil {
			t.Fatal(err)
		}
		return r.Finding
	}
	buryAll := func(t *testing.T, s *memstore.Bearers, from, to int, at time.Time) {
		t.Helper()
		var all []secret.Digest
		for n := from; n < to; n++ {
			all = append(all, someBearer(n))
		}
		if err := s.Bury(ctx, at, all...); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("TK-9 what is remembered late does not outlive the tombstone over it", func(t *testing.T) {
		s := memstore.NewBearers(most)
		buryAll(t, s, 1, 2, now)
		late := now.Add(token.BuriedFor - time.Second)
		remember(t, s, 1, late)
		if f := found(t, s, 1, late.Add(2*time.Second)); f != token.Missing {
			t.Fatalf("finding %d", f)
		}
	})

	t.Run("RL-06 a flood of tokens costs bounded memory, and the last one is known", func(t *testing.T) {
		s := memstore.NewBearers(most)
		for n := range 10 * most {
			if n%2 == 0 {
				remember(t, s, n, now)
			} else if err := s.RememberUnknown(ctx, someBearer(n), now); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.Held(); n != most {
			t.Fatalf("%d are held", n)
		}
		if got := found(t, s, 10*most-1, now); got != token.Unknown {
			t.Fatalf("the last one is %d", got)
		}
	})

	t.Run("a flood of tokens buries no tombstone", func(t *testing.T) {
		s := memstore.NewBearers(most)
		buryAll(t, s, 0, 10, now)
		for n := range 10 * most {
			remember(t, s, n, now)
		}
		for n := range 10 {
			if got := found(t, s, n, now); got != token.Buried {
				t.Fatalf("number %d is %d", n, got)
			}
		}
	})

	t.Run("more tombstones than there is room for bury everything", func(t *testing.T) {
		s := memstore.NewBearers(most)
		remember(t, s, 5000, now)
		buryAll(t, s, 0, 2*most, now)
		for n := range 2 * most {
			remember(t, s, n, now)
			if got := found(t, s, n, now); got == token.Live {
				t.Fatalf("number %d lives", n)
			}
		}
		if got := found(t, s, 5000, now); got != token.Missing {
			t.Fatalf("a bystander is %d: it may have been the one without room", got)
		}
		if n := s.Held(); n > most {
			t.Fatalf("%d are held", n)
		}
		later := now.Add(token.BuriedFor)
		remember(t, s, 5000, later)
		if got := found(t, s, 5000, later); got != token.Live {
			t.Fatalf("after it all it is %d", got)
		}
	})

	t.Run("tombstones that are over make room by themselves", func(t *testing.T) {
		s := memstore.NewBearers(most)
		buryAll(t, s, 0, most, now)
		later := now.Add(token.BuriedFor)
		buryAll(t, s, most, most+1, later)
		remember(t, s, 5000, later)
		if got := found(t, s, 5000, later); got != token.Live {
			t.Fatalf("it is %d", got)
		}
	})
}

func TestBearersAreSwept(t *testing.T) {
	s := memstore.NewBearers(10)
	ctx := t.Context()
	if err := s.Bury(ctx, now, someBearer(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.RememberUnknown(ctx, someBearer(2), now); err != nil {
		t.Fatal(err)
	}
	if err := s.Remember(ctx, someBearer(3), token.Context{}, now, token.LiveFor); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after   time.Duration
		n, left int
	}{{token.UnknownFor - 1, 0, 3}, {token.UnknownFor, 1, 2}, {token.LiveFor, 1, 1}, {token.BuriedFor, 1, 0}, {time.Hour, 0, 0}} {
		if n := s.Sweep(now.Add(c.after)); n != c.n || s.Held() != c.left {
			t.Errorf("swept %d after %s, %d left; want %d and %d", n, c.after, s.Held(), c.n, c.left)
		}
	}
}

func TestAClockThatStepsBackLengthensNoLife(t *testing.T) {
	s := memstore.NewBearers(10)
	ctx := t.Context()
	if err := s.Remember(ctx, someBearer(1), token.Context{SessionID: "s"}, now, token.LiveFor); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Get(ctx, someBearer(1), now.Add(-time.Hour)); err != nil || r.Finding != token.Missing {
		t.Fatal(r.Finding, err)
	}
}
