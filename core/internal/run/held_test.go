// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// countedSlots gives a slot and counts what becomes of it.
type countedSlots struct {
	renewed, freed atomic.Int32
	fails          atomic.Bool
}

func (s *countedSlots) Take(context.Context, string, string, int, time.Time) (bool, error) {
	return true, nil
}

func (s *countedSlots) Renew(context.Context, string, string, time.Time) error {
	s.renewed.Add(1)
	if s.fails.Load() {
		return errors.New("down")
	}
	return nil
}

func (s *countedSlots) Free(context.Context, string, string) error { s.freed.Add(1); return nil }

func TestASlotIsRenewedUntilItIsGivenBack(t *testing.T) {
	t.Run("API-27 three times within each lease, also after a failure", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slots := &countedSlots{}
			s := &Service{Deps: Deps{Slots: slots, Now: time.Now, Log: slog.New(slog.DiscardHandler), Bounds: Bounds{DefaultActive: 1}}}
			h, err := s.take(t.Context(), apps.App{ID: "app"})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(SlotLease + time.Second)
			slots.fails.Store(true)
			time.Sleep(SlotLease)
			if n := slots.renewed.Load(); n != 6 {
				t.Errorf("renewed %d times in two leases", n)
			}
			h.free()
			time.Sleep(2 * SlotLease)
			if slots.renewed.Load() != 6 || slots.freed.Load() != 1 {
				t.Errorf("renewed %d times, given back %d times", slots.renewed.Load(), slots.freed.Load())
			}
		})
	})
	t.Run("API-27 without a limit there is none", func(t *testing.T) {
		s := &Service{}
		h, err := s.take(t.Context(), apps.App{ID: "app"})
		if h != nil || err != nil {
			t.Fatal(h, err)
		}
		h.free()
	})
}
