// SPDX-License-Identifier: Apache-2.0

package memstore_test

import (
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
)

func TestSlots(t *testing.T) {
	storetest.Slots(t, func(*testing.T) (a, b run.Slots) {
		s := memstore.NewSlots()
		return s, s
	})
}

func TestSlotsAreSwept(t *testing.T) {
	s, now := memstore.NewSlots(), time.Unix(1_800_000_000, 0)
	for holder, at := range map[string]time.Time{"old": now.Add(-run.SlotLease), "new": now} {
		if ok, err := s.Take(t.Context(), holder, holder, 1, at); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	if s.Sweep(now); s.Held() != 1 {
		t.Fatalf("%d are held", s.Held())
	}
	if err := s.Free(t.Context(), "new", "new"); err != nil || s.Held() != 0 {
		t.Fatalf("%v, %d are held", err, s.Held())
	}
}
