// SPDX-License-Identifier: Apache-2.0

package memstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/memstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRecords(t *testing.T) {
	storetest.Records(t, func(*testing.T) storetest.RecordStore {
		clock := storetest.NewClock(start)
		s := memstore.NewRecords(1000, clock.Now)
		return storetest.RecordStore{A: s, B: s, Age: clock.Advance}
	})
}

func TestFullRatherThanForgetful(t *testing.T) {
	clock := storetest.NewClock(start)
	s := memstore.NewRecords(2, clock.Now)
	put := func(n byte, life time.Duration) error {
		return s.Put(t.Context(), login.Handles, secret.Digest{n}, []byte("sealed"), life)
	}
	t.Run("OUT-01 a full store takes no more, and keeps what it has", func(t *testing.T) {
		if err := errors.Join(put(1, time.Minute), put(2, time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := put(3, time.Minute); !errors.Is(err, login.ErrFull) {
			t.Fatal(err)
		}
		if err := put(2, time.Hour); err != nil {
			t.Errorf("what is there may be written anew: %v", err)
		}
		if _, err := s.Read(t.Context(), login.Handles, secret.Digest{1}); err != nil {
			t.Error(err)
		}
	})
	t.Run("OUT-01 what is over makes room", func(t *testing.T) {
		clock.Advance(time.Minute)
		if err := put(3, time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(t.Context(), login.Handles, secret.Digest{2}); err != nil {
			t.Error(err)
		}
	})
}
