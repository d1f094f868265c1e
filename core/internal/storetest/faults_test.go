// SPDX-License-Identifier: Apache-2.0

package storetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestFaultsStrikeTheCallTheyName(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	grant := func(n byte) devicegrant.Grant {
		return devicegrant.Grant{
			Ref: secret.Digest{n}, UserMAC: secret.Digest{n, 1}, ClientID: "difyctl", State: devicegrant.Pending,
			CreatedAt: now, ExpiresAt: now.Add(devicegrant.Lifetime), Interval: devicegrant.FirstInterval,
		}
	}
	own := errors.New("own")

	t.Run("fail at the second call", func(t *testing.T) {
		f := &storetest.Faults{}
		whole := memstore.NewGrants(10)
		s := storetest.FaultyGrants(whole, f)
		f.Plan(storetest.Fault{Method: "Create", On: 2, Err: own})
		for i, want := range []error{nil, own, nil} {
			if err := s.Create(t.Context(), grant(byte(i))); !errors.Is(err, want) {
				t.Fatalf("call %d: %v", i+1, err)
			}
		}
		if err := s.Ping(t.Context()); err != nil || whole.Live() != 2 {
			t.Fatalf("%d grants, %v", whole.Live(), err)
		}
		if f.Calls("Create") != 3 || f.Total() != 4 {
			t.Fatalf("%d and %d calls", f.Calls("Create"), f.Total())
		}
	})

	t.Run("the act happens and its reply is lost, until cleared", func(t *testing.T) {
		f := &storetest.Faults{}
		s := storetest.FaultyGrants(memstore.NewGrants(10), f)
		f.Plan(storetest.Fault{Method: "Create", Mode: storetest.LoseReply})
		if err := s.Create(t.Context(), grant(1)); !errors.Is(err, storetest.ErrInjected) {
			t.Fatal(err)
		}
		if err := s.Create(t.Context(), grant(1)); !errors.Is(err, devicegrant.ErrUserCodeTaken) {
			t.Fatalf("the act did not happen: %v", err)
		}
		f.Clear()
		if err := s.Create(t.Context(), grant(2)); err != nil || f.Total() != 1 {
			t.Fatal(err, f.Total())
		}
	})

	t.Run("hang until the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &storetest.Faults{}
			s := storetest.FaultyGrants(memstore.NewGrants(10), f)
			f.Plan(storetest.Fault{Method: "Create", Mode: storetest.Hang})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.Create(ctx, grant(1)); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if err := s.Create(context.WithoutCancel(ctx), grant(1)); !errors.Is(err, storetest.ErrInjected) {
				t.Fatalf("hung without a deadline: %v", err)
			}
		})
	})

	t.Run("somebody else acts in between", func(t *testing.T) {
		f := &storetest.Faults{}
		inner := memstore.NewGrants(10)
		s := storetest.FaultyGrants(inner, f)
		f.Plan(storetest.Fault{Method: "Create", Mode: storetest.Pass, Before: func() { _ = inner.Create(context.Background(), grant(1)) }})
		if err := s.Create(t.Context(), grant(1)); !errors.Is(err, devicegrant.ErrUserCodeTaken) {
			t.Fatal(err)
		}
	})
}
