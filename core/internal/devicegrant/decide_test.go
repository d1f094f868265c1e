// SPDX-License-Identifier: Apache-2.0

package devicegrant_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
)

func TestDecisions(t *testing.T) {
	t.Run("DF-20 INV-1 the second decision is a conflict, whichever it is", func(t *testing.T) {
		for _, first := range []string{"approve", "deny"} {
			f := newFlow(t)
			a := f.start()
			act := map[string]func(context.Context, string, devicegrant.Approver) error{"approve": f.Approve, "deny": f.Deny}
			if err := act[first](t.Context(), a.UserCode, f.approver()); err != nil {
				t.Fatal(err)
			}
			was := f.state(a)
			for name, second := range act {
				if err := second(t.Context(), a.UserCode, f.approver()); !errors.Is(err, devicegrant.ErrAlreadyResolved) {
					t.Errorf("%s, then %s: %v", first, name, err)
				}
			}
			f.isState(a, was)
			if n := len(f.Recorded(t, "oauth.device_flow_approved")) + len(f.Recorded(t, "oauth.device_flow_denied")); n != 1 {
				t.Errorf("%d decisions are on record", n)
			}
		}
	})

	t.Run("DF-30 DEV-26 a code that ends between look-up and decision", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		if _, err := f.FindPending(t.Context(), a.UserCode); err != nil {
			t.Fatal(err)
		}
		f.Clock.Advance(devicegrant.Lifetime)
		for _, act := range []func(context.Context, string, devicegrant.Approver) error{f.Approve, f.Deny} {
			if err := act(t.Context(), a.UserCode, f.approver()); !errors.Is(err, devicegrant.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if n := f.grants.Calls("Decide"); n != 0 {
			t.Fatalf("%d moves", n)
		}
	})

	t.Run("DEV-09 both decisions name who made them and where the code was asked for", func(t *testing.T) {
		f := newFlow(t)
		a, b := f.start(), f.start()
		f.approve(a)
		if err := f.Deny(t.Context(), b.UserCode, f.approver()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"oauth.device_flow_approved", "oauth.device_flow_denied"} {
			events := f.Recorded(t, name)
			if len(events) != 1 {
				t.Fatalf("%s: %d events", name, len(events))
			}
			e, own := events[0], fields(t, events[0])
			if e.Actor != audit.Account(f.ada.ID) || e.SubjectKey != token.AccountSubject(f.ada.ID, "").Key() {
				t.Errorf("%s: actor %+v about %s", name, e.Actor, e.SubjectKey)
			}
			if own["account_id"] != f.ada.ID || own["subject_email"] != f.ada.Email || own["client_id"] != "difyctl" || own["started_ip"] != startIP || own["workspace_id"] != f.home.ID {
				t.Errorf("%s: %v", name, own)
			}
		}
	})

	t.Run("DF-22 INV-4 no row exists before a poll", func(t *testing.T) {
		f := newFlow(t)
		f.approved()
		if n := f.Count(t, `SELECT count(*) FROM oauth_access_tokens`); n != 0 {
			t.Fatalf("%d rows", n)
		}
	})

	t.Run("DF-42 a lost reply is asked for again and finds itself done", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		f.grants.Plan(storetest.Fault{Method: "Decide", On: 1, Mode: storetest.LoseReply})
		f.approve(a)
		f.isState(a, devicegrant.Approved)
		if f.grants.Calls("Decide") != 2 || len(f.Recorded(t, "oauth.device_flow_approved")) != 1 {
			t.Fatalf("%d moves", f.grants.Calls("Decide"))
		}
		f.redeem(a)
	})

	t.Run("DF-28 INV-6 an outage is a 503 and leaves the grant wholly moved or not at all", func(t *testing.T) {
		for _, c := range []struct {
			what   string
			grants storetest.Fault
			tokens storetest.Fault
			want   devicegrant.State
		}{
			{what: "the epoch cannot be read", tokens: storetest.Fault{Method: "Epochs"}, want: devicegrant.Pending},
			{what: "the grant cannot be read", grants: storetest.Fault{Method: "Find"}, want: devicegrant.Pending},
			{what: "the move fails twice", grants: storetest.Fault{Method: "Decide"}, want: devicegrant.Pending},
			{what: "both replies are lost", grants: storetest.Fault{Method: "Decide", Mode: storetest.LoseReply}, want: devicegrant.Approved},
		} {
			f := newFlow(t)
			a := f.start()
			f.grants.Plan(c.grants)
			f.tokens.Plan(c.tokens)
			err := f.Approve(t.Context(), a.UserCode, f.approver())
			t.Log(c.what)
			outage(t, err, 2*time.Second)
			f.isState(a, c.want)
			if n := len(f.Recorded(t, "oauth.device_flow_approved")); n != 0 {
				t.Errorf("%s: %d approvals are on record", c.what, n)
			}
		}
	})

	t.Run("a person who has left is not asked for twice", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		f.grants.Plan(storetest.Fault{Method: "Decide", Before: leave})
		if err := f.Approve(ctx, a.UserCode, f.approver()); err == nil {
			t.Fatal("approved")
		}
		if n := f.grants.Calls("Decide"); n != 1 {
			t.Fatalf("%d moves", n)
		}
	})

	t.Run("DF-19 DEV-07 INV-1 two approvals and a denial at once have one winner", func(t *testing.T) {
		f := newFlow(t)
		for range 50 {
			a := f.start()
			acts := []func(context.Context, string, devicegrant.Approver) error{f.Approve, f.Deny, f.Approve}
			errs := make([]error, len(acts))
			var wg sync.WaitGroup
			for i, act := range acts {
				wg.Go(func() { errs[i] = act(context.Background(), a.UserCode, f.approver()) })
			}
			wg.Wait()
			winner := -1
			for i, err := range errs {
				if err == nil {
					if winner >= 0 {
						t.Fatalf("%d and %d won", winner, i)
					}
					winner = i
				} else if !errors.Is(err, devicegrant.ErrAlreadyResolved) {
					t.Fatal(err)
				}
			}
			want := devicegrant.Approved
			if winner == 1 {
				want = devicegrant.Denied
			}
			f.isState(a, want)
		}
	})

	t.Run("W-6 what was denied is told once", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		if err := f.Deny(t.Context(), a.UserCode, f.approver()); err != nil {
			t.Fatal(err)
		}
		f.refused(a, devicegrant.ErrAccessDenied)
		f.Clock.Advance(devicegrant.FirstInterval)
		f.refused(a, devicegrant.ErrExpiredToken)
	})
}
