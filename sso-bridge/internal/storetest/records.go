// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// RecordStore is one store of records, seen through two handles as two replicas see it.
type RecordStore struct {
	A, B login.Records
	// Age makes everything in it older.
	Age func(by time.Duration)
}

// Records runs the suite of login.Records. open gives a fresh, empty store.
func Records(t *testing.T, open func(t *testing.T) RecordStore) {
	d, other, sealed := secret.Digest{1}, secret.Digest{2}, []byte("\x00sealed\xff")
	shelves := []login.Shelf{login.Tickets, login.Handles, login.Results}

	t.Run("a record is read on every replica and stays", func(t *testing.T) {
		s := open(t)
		for _, on := range shelves {
			mustPut(t, s.A, on, d, sealed)
			for _, r := range []login.Records{s.A, s.B, s.B} {
				if got, err := r.Read(t.Context(), on, d); err != nil || !bytes.Equal(got, sealed) {
					t.Fatalf("%s: %q, %v", on, got, err)
				}
			}
		}
	})

	t.Run("a record is taken once, and then known to be taken", func(t *testing.T) {
		s := open(t)
		for _, on := range shelves {
			mustPut(t, s.A, on, d, sealed)
			mustPut(t, s.A, on, other, sealed)
			if got, err := s.B.Take(t.Context(), on, d); err != nil || !bytes.Equal(got, sealed) {
				t.Fatalf("%s: %q, %v", on, got, err)
			}
			for _, r := range []login.Records{s.A, s.B} {
				if got, err := r.Take(t.Context(), on, d); !errors.Is(err, login.ErrTaken) || got != nil {
					t.Errorf("%s: taken again: %q, %v", on, got, err)
				}
				if got, err := r.Read(t.Context(), on, d); !errors.Is(err, login.ErrTaken) || got != nil {
					t.Errorf("%s: read after it was taken: %q, %v", on, got, err)
				}
			}
			if _, err := s.A.Read(t.Context(), on, other); err != nil {
				t.Errorf("%s: another record went with it: %v", on, err)
			}
		}
	})

	t.Run("shelves are apart", func(t *testing.T) {
		s := open(t)
		mustPut(t, s.A, login.Tickets, d, sealed)
		for _, on := range shelves[1:] {
			if _, err := s.A.Take(t.Context(), on, d); !errors.Is(err, login.ErrNoRecord) {
				t.Errorf("%s: %v", on, err)
			}
		}
	})

	t.Run("a record ends with its life, and so does what is left of a taken one", func(t *testing.T) {
		s := open(t)
		mustPut(t, s.A, login.Handles, d, sealed)
		mustPut(t, s.A, login.Handles, other, sealed)
		if _, err := s.A.Take(t.Context(), login.Handles, other); err != nil {
			t.Fatal(err)
		}
		s.Age(recordLife - time.Second)
		if _, err := s.A.Read(t.Context(), login.Handles, d); err != nil {
			t.Errorf("before its end: %v", err)
		}
		if _, err := s.A.Take(t.Context(), login.Handles, other); !errors.Is(err, login.ErrTaken) {
			t.Errorf("taking does not prolong or shorten: %v", err)
		}
		s.Age(2 * time.Second)
		for _, one := range []secret.Digest{d, other} {
			if _, err := s.B.Take(t.Context(), login.Handles, one); !errors.Is(err, login.ErrNoRecord) {
				t.Errorf("after its end: %v", err)
			}
		}
	})

	t.Run("SSO-49 of 50 that take one record at once on two replicas one gets it", func(t *testing.T) {
		s := open(t)
		mustPut(t, s.A, login.Handles, d, sealed)
		got := AtOnce(50, func(i int) error {
			_, err := []login.Records{s.A, s.B}[i%2].Take(t.Context(), login.Handles, d)
			return err
		})
		taken := 0
		for _, err := range got {
			if errors.Is(err, login.ErrTaken) {
				taken++
			}
		}
		if won := slices.IndexFunc(got, func(err error) bool { return err == nil }); won < 0 || taken != 49 {
			t.Fatalf("%d heard that it was taken: %v", taken, got)
		}
	})

	t.Run("a call whose context has ended changes nothing", func(t *testing.T) {
		s := open(t)
		mustPut(t, s.A, login.Handles, d, sealed)
		ctx := cancelled(t)
		_, taken := s.A.Take(ctx, login.Handles, d)
		_, read := s.A.Read(ctx, login.Handles, d)
		for what, err := range map[string]error{"take": taken, "read": read, "put": s.A.Put(ctx, login.Handles, other, sealed, time.Minute)} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := s.A.Take(t.Context(), login.Handles, d); err != nil {
			t.Errorf("it was taken: %v", err)
		}
	})
}

const recordLife = 15 * time.Minute

func mustPut(t *testing.T, r login.Records, on login.Shelf, d secret.Digest, sealed []byte) {
	t.Helper()
	if err := r.Put(t.Context(), on, d, sealed, recordLife); err != nil {
		t.Fatal(err)
	}
}
