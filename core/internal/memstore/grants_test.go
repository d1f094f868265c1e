// SPDX-License-Identifier: Apache-2.0

package memstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestGrants(t *testing.T) {
	storetest.DeviceGrants(t, func(*testing.T) storetest.GrantStore {
		s := memstore.NewGrants(10_000)
		return storetest.GrantStore{A: s, B: s, Held: s.Live}
	})
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func grant(n byte, at time.Time) devicegrant.Grant {
	return devicegrant.Grant{
		Ref: secret.Digest{n}, UserMAC: secret.Digest{n, 1}, ClientID: "difyctl", State: devicegrant.Pending,
		CreatedAt: at, ExpiresAt: at.Add(devicegrant.Lifetime), Interval: devicegrant.FirstInterval,
	}
}

func TestAFullStore(t *testing.T) {
	create := func(t *testing.T, s *memstore.Grants, n byte, at time.Time) error {
		t.Helper()
		return s.Create(t.Context(), grant(n, at))
	}
	fill := func(t *testing.T, s *memstore.Grants) {
		t.Helper()
		for i := range byte(3) {
			if err := create(t, s, i, now); err != nil {
				t.Fatal(err)
			}
		}
	}

	t.Run("DF-39 DEV-27 takes no more while its grants live", func(t *testing.T) {
		s := memstore.NewGrants(3)
		fill(t, s)
		if err := create(t, s, 9, now); !errors.Is(err, devicegrant.ErrFull) {
			t.Fatalf("create: %v, want %v", err, devicegrant.ErrFull)
		}
		if _, err := s.Find(t.Context(), secret.Digest{9, 1}, now); !errors.Is(err, devicegrant.ErrNotFound) {
			t.Fatal("the refused grant is there")
		}
	})

	t.Run("DF-39 makes room by what is past its end", func(t *testing.T) {
		s := memstore.NewGrants(3)
		fill(t, s)
		later := now.Add(devicegrant.Lifetime)
		if err := create(t, s, 9, later); err != nil {
			t.Fatal(err)
		}
		if n := s.Live(); n != 1 {
			t.Fatalf("%d grants", n)
		}
	})

	t.Run("DEV-27 is searched for room once a second, not at every start", func(t *testing.T) {
		s := memstore.NewGrants(3)
		fill(t, s)
		almost := now.Add(devicegrant.Lifetime - time.Millisecond)
		if err := create(t, s, 9, almost); !errors.Is(err, devicegrant.ErrFull) { // searches, finds nothing
			t.Fatal(err)
		}
		if err := create(t, s, 9, almost.Add(time.Second-time.Microsecond)); !errors.Is(err, devicegrant.ErrFull) {
			t.Fatalf("searched again within the second: %v", err)
		}
		if err := create(t, s, 9, almost.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSweepCountsWhatItForgets(t *testing.T) {
	s := memstore.NewGrants(10)
	for i, at := range []time.Time{now, now.Add(time.Second), now.Add(2 * time.Second)} {
		if err := s.Create(t.Context(), grant(byte(i), at)); err != nil {
			t.Fatal(err)
		}
	}
	end := now.Add(devicegrant.Lifetime)
	for _, c := range []struct {
		at   time.Time
		n    int
		left int
	}{{end.Add(-time.Microsecond), 0, 3}, {end, 1, 2}, {end.Add(2 * time.Second), 2, 0}, {end.Add(time.Hour), 0, 0}} {
		if n := s.Sweep(c.at); n != c.n {
			t.Errorf("swept %d at %s, want %d", n, c.at.Sub(end), c.n)
		}
		if n := s.Live(); n != c.left {
			t.Errorf("%d left, want %d", n, c.left)
		}
	}
}
