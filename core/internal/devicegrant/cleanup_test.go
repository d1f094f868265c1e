// SPDX-License-Identifier: Apache-2.0

package devicegrant_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

func TestCleanUp(t *testing.T) {
	// cleaning runs the clean-up beside a test until it returns.
	cleaning := func(t *testing.T, f *flow, act func()) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- f.RunCleanup(ctx) }()
			act()
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}

	t.Run("DEV-08 a deletion that failed is repeated until it succeeds; the token was answered", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		f.grants.Plan(storetest.Fault{Method: "Delete", On: 1}, storetest.Fault{Method: "Delete", On: 2})
		r := f.redeem(a)
		if err := f.alive(r); err != nil {
			t.Fatal(err)
		}
		f.isState(a, devicegrant.Redeeming)
		cleaning(t, f, func() {
			time.Sleep(time.Second + time.Millisecond)
			f.isState(a, devicegrant.Redeeming)
			time.Sleep(time.Second)
			f.isState(a, "")
			time.Sleep(10 * time.Second)
		})
		if n := f.grants.Calls("Delete"); n != 3 {
			t.Fatalf("%d deletions", n)
		}
	})

	t.Run("it is given up when the grant is past its end anyway", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		f.grants.Plan(storetest.Fault{Method: "Delete"})
		f.redeem(a)
		f.Clock.Advance(devicegrant.Lease + devicegrant.LeaseGrace + time.Microsecond)
		cleaning(t, f, func() { time.Sleep(5 * time.Second) })
		if n := f.grants.Calls("Delete"); n != 1 {
			t.Fatalf("%d deletions", n)
		}
	})
}

// hanging is a minter that answers when its deadline is over.
type hanging struct{ took time.Duration }

func (*hanging) Epoch(context.Context, token.Subject) (int64, error) { return 0, nil }

func (h *hanging) Mint(ctx context.Context, _ token.MintRequest) (token.Minted, error) {
	begun := time.Now()
	<-ctx.Done()
	h.took = time.Since(begun)
	return token.Minted{}, fault.Store(ctx.Err())
}

func TestTheWorkUnderAClaimEndsBeforeItsLease(t *testing.T) {
	if devicegrant.RedeemLimit >= devicegrant.Lease {
		t.Fatal("a claim outlives its lease")
	}
	f := newFlow(t)
	a := f.approved()
	m := &hanging{}
	f.Minter = m
	synctest.Test(t, func(t *testing.T) {
		_, err := f.Poll(t.Context(), devicegrant.PollRequest{DeviceCode: a.DeviceCode, ClientID: "difyctl", IP: pollIP})
		outage(t, err, 5*time.Second)
	})
	if m.took != devicegrant.RedeemLimit {
		t.Fatalf("worked for %s", m.took)
	}
	f.isState(a, devicegrant.Approved)
}
