// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// Slots is the contract of run.Slots; open gives two handles on one fresh, empty store, as
// two processes hold it.
func Slots(t *testing.T, open func(t *testing.T) (a, b run.Slots)) {
	t.Run("API-27 as many as the limit says, on both handles", func(t *testing.T) {
		s := openSlots(t, open)
		s.take("app", "one", 2, true)
		s.A, s.B = s.B, s.A
		s.take("app", "two", 2, true)
		s.take("app", "three", 2, false)
		s.take("other", "three", 1, true)
		s.take("app", "three", 3, true)
		s.take("app", "four", 1, false) // a limit that was lowered
	})
	t.Run("API-27 a slot that was given back is free at once", func(t *testing.T) {
		s := openSlots(t, open)
		s.take("app", "one", 1, true)
		s.free("app", "two") // who holds none gives none back
		s.free("other", "one")
		s.take("app", "two", 1, false)
		s.free("app", "one")
		s.free("app", "one")
		s.take("app", "two", 1, true)
	})
	t.Run("API-27 a repeat is answered alike and takes no second slot", func(t *testing.T) {
		s := openSlots(t, open)
		s.take("app", "one", 2, true)
		s.take("app", "one", 2, true)
		s.take("app", "two", 2, true)
		s.take("app", "one", 2, true)
		s.take("app", "one", 1, true) // whoever has one keeps it
	})
	t.Run("API-27 a holder that crashed is free after its lease, not before", func(t *testing.T) {
		s := openSlots(t, open)
		s.take("app", "crashed", 1, true)
		s.now = s.now.Add(run.SlotLease - time.Second)
		s.take("app", "next", 1, false)
		s.now = s.now.Add(time.Second)
		s.take("app", "next", 1, true)
		s.take("app", "crashed", 1, false)
	})
	t.Run("API-27 a holder that renews keeps its slot", func(t *testing.T) {
		s := openSlots(t, open)
		s.take("app", "long", 1, true)
		for range 5 {
			s.now = s.now.Add(run.SlotLease * 2 / 3)
			if err := s.B.Renew(t.Context(), s.id("app"), "long", s.now); err != nil {
				t.Fatal(err)
			}
			s.take("app", "next", 1, false)
		}
		s.now = s.now.Add(run.SlotLease)
		s.take("app", "next", 1, true)
	})
	t.Run("API-27 who renews what is lost counts again", func(t *testing.T) {
		s := openSlots(t, open)
		if err := s.A.Renew(t.Context(), s.id("app"), "long", s.now); err != nil {
			t.Fatal(err)
		}
		s.take("app", "next", 1, false)
	})
	t.Run("API-27 of many at once the limit passes", func(t *testing.T) {
		s := openSlots(t, open)
		const limit, callers = 7, 60
		app := s.id("app")
		var passed atomic.Int32
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i := range callers {
			wg.Go(func() {
				<-begin
				store := s.A
				if i%2 == 1 {
					store = s.B
				}
				ok, err := store.Take(t.Context(), app, fmt.Sprint("holder ", i), limit, s.now)
				if err != nil {
					t.Error(err)
				}
				if ok {
					passed.Add(1)
				}
			})
		}
		close(begin)
		wg.Wait()
		if n := passed.Load(); n != limit {
			t.Fatalf("%d pass, not %d", n, limit)
		}
	})
	t.Run("a cancelled context takes nothing", func(t *testing.T) {
		s := openSlots(t, open)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if ok, err := s.A.Take(over, s.id("app"), "one", 1, s.now); ok || err == nil {
			t.Fatalf("%t, %v", ok, err)
		}
		if err := s.A.Renew(over, s.id("app"), "one", s.now); err == nil {
			t.Fatal("renewed")
		}
		s.take("app", "two", 1, true)
		if err := s.A.Free(over, s.id("app"), "two"); err == nil {
			t.Fatal("given back")
		}
		s.take("app", "one", 1, false)
	})
}

// slots drives a store along a clock of its own.
type slots struct {
	t    *testing.T
	A, B run.Slots
	now  time.Time
	ids  map[string]string
}

func openSlots(t *testing.T, open func(t *testing.T) (a, b run.Slots)) *slots {
	t.Helper()
	s := &slots{t: t, now: start, ids: map[string]string{}}
	s.A, s.B = open(t)
	return s
}

func (s *slots) id(app string) string {
	if s.ids[app] == "" {
		s.ids[app] = canon.NewID()
	}
	return s.ids[app]
}

func (s *slots) take(app, holder string, limit int, want bool) {
	s.t.Helper()
	if ok, err := s.A.Take(s.t.Context(), s.id(app), holder, limit, s.now); err != nil || ok != want {
		s.t.Fatalf("%s of %s with a limit of %d: %t, %v", holder, app, limit, ok, err)
	}
}

func (s *slots) free(app, holder string) {
	s.t.Helper()
	if err := s.B.Free(s.t.Context(), s.id(app), holder); err != nil {
		s.t.Fatal(err)
	}
}
