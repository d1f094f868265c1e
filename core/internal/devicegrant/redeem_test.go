// SPDX-License-Identifier: Apache-2.0

package devicegrant_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestPolling(t *testing.T) {
	t.Run("DF-13 DEV-02 INV-5 what is not shaped like a code asks no store, an unknown one writes nothing", func(t *testing.T) {
		f := newFlow(t)
		for _, code := range []string{"", "dc_", "dc_" + strings.Repeat("A", 42), "dc_" + strings.Repeat("A", 43) + "\n", "dfoa_" + strings.Repeat("A", 43)} {
			f.refused(devicegrant.Authorization{DeviceCode: secret.New(code)}, devicegrant.ErrExpiredToken)
		}
		if f.grants.Total() != 0 {
			t.Fatal("a store was asked")
		}
		for range 3 { // never slow_down either
			f.refused(devicegrant.Authorization{DeviceCode: secret.New("dc_" + strings.Repeat("A", 43))}, devicegrant.ErrExpiredToken)
		}
		if n := f.Live(); n != 0 {
			t.Fatalf("%d grants", n)
		}
	})

	t.Run("DF-11 DF-12 pending, too soon, expired", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		for range 3 {
			f.refused(a, devicegrant.ErrAuthorizationPending)
			f.Clock.Advance(devicegrant.FirstInterval)
		}
		f.refused(a, devicegrant.ErrAuthorizationPending)
		f.refused(a, devicegrant.ErrSlowDown)
		f.Clock.Advance(devicegrant.Lifetime)
		f.refused(a, devicegrant.ErrExpiredToken)
	})

	t.Run("DF-14 DEV-05 another client consumes nothing", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		_, err := f.Poll(t.Context(), devicegrant.PollRequest{DeviceCode: a.DeviceCode, ClientID: "difyauth", IP: pollIP})
		if !errors.Is(err, devicegrant.ErrInvalidGrant) {
			t.Fatal(err)
		}
		f.redeem(a)
	})

	t.Run("INV-6 an outage is a 503, never a verdict, and the prompt retry is not punished", func(t *testing.T) {
		for _, mode := range []storetest.Mode{storetest.Fail, storetest.LoseReply} {
			f := newFlow(t)
			a := f.start()
			f.grants.Plan(storetest.Fault{Method: "Poll", On: 2, Mode: mode}, storetest.Fault{Method: "Poll", On: 3, Mode: mode})
			f.refused(a, devicegrant.ErrAuthorizationPending)
			f.Clock.Advance(devicegrant.FirstInterval)
			_, err := f.poll(a)
			outage(t, err, 2*time.Second)
			f.refused(a, devicegrant.ErrAuthorizationPending)
		}
	})

	t.Run("INV-6 a poll whose reply is lost is repeated and answered as the first would have been", func(t *testing.T) {
		for _, mode := range []storetest.Mode{storetest.Fail, storetest.LoseReply} {
			f := newFlow(t)
			lose := func(call int) { f.grants.Plan(storetest.Fault{Method: "Poll", On: call, Mode: mode}) }
			a := f.start()
			lose(1)
			f.refused(a, devicegrant.ErrAuthorizationPending)
			lose(3)
			f.refused(a, devicegrant.ErrSlowDown)
			f.grants.Clear()
			f.Clock.Advance(devicegrant.FirstInterval + devicegrant.IntervalStep) // it grew once
			f.refused(a, devicegrant.ErrAuthorizationPending)

			a = f.approved()
			f.grants.Clear()
			lose(1)
			r := f.redeem(a)
			if err := f.alive(r); err != nil || f.liveRows() != 1 || f.grants.Calls("Poll") != 2 {
				t.Fatalf("%v, %d rows, %d polls", err, f.liveRows(), f.grants.Calls("Poll"))
			}

			a = f.start()
			if err := f.Deny(t.Context(), a.UserCode, f.approver()); err != nil {
				t.Fatal(err)
			}
			f.grants.Clear()
			lose(1)
			f.refused(a, devicegrant.ErrAccessDenied)
			f.refused(a, devicegrant.ErrExpiredToken)
		}
	})

	t.Run("a poll whose caller has left is not repeated", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		ctx, cancel := context.WithCancel(t.Context())
		f.grants.Plan(storetest.Fault{Method: "Poll", On: 1, Mode: storetest.LoseReply, Before: cancel})
		_, err := f.Poll(ctx, devicegrant.PollRequest{DeviceCode: a.DeviceCode, ClientID: "difyctl", IP: pollIP})
		outage(t, err, 2*time.Second)
		if n := f.grants.Calls("Poll"); n != 1 {
			t.Fatalf("%d polls", n)
		}
	})

	t.Run("a claim whose reply is lost twice lapses", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		f.grants.Plan(storetest.Fault{Method: "Poll", On: 1, Mode: storetest.LoseReply}, storetest.Fault{Method: "Poll", On: 2, Mode: storetest.LoseReply})
		_, err := f.poll(a)
		outage(t, err, 2*time.Second)
		f.refused(a, devicegrant.ErrAuthorizationPending)
		f.Clock.Advance(devicegrant.Lease)
		f.redeem(a)
	})
}

func TestRedeem(t *testing.T) {
	t.Run("DF-31 the winner gets token, session and workspaces, and the grant is gone", func(t *testing.T) {
		f := newFlow(t)
		archived := f.AddWorkspace(t, workspace.Workspace{ID: canon.NewID(), Name: "Old", Status: workspace.StatusArchived, CreatedAt: f.Clock.Now(), UpdatedAt: f.Clock.Now()})
		f.AddMember(t, archived.ID, f.ada.ID, workspace.Normal, false)
		a := f.approved()
		approvedAt := f.Clock.Now()
		f.Clock.Advance(time.Minute)
		r := f.redeem(a)
		if len(r.Token.Reveal()) != 48 || !strings.HasPrefix(r.Token.Reveal(), "dfoa_") {
			t.Fatal("the token has another shape")
		}
		if len(r.Workspaces) != 1 || r.Workspaces[0].Workspace.ID != f.home.ID || r.Default != f.home.ID || r.Name != f.ada.Name {
			t.Fatalf("%+v, default %s, name %s", r.Workspaces, r.Default, r.Name)
		}
		s := r.Session
		if s.Subject != token.AccountSubject(f.ada.ID, f.ada.Email) || s.ClientID != "difyctl" || s.Label != "difyctl on röck" || s.WorkspaceID != f.home.ID ||
			s.CreatedIP != pollIP || !s.ApprovedAt.Equal(approvedAt) || !s.ExpiresAt.Equal(f.Clock.Now().Add(14*24*time.Hour)) {
			t.Fatalf("session %+v", s)
		}
		if err := f.alive(r); err != nil {
			t.Fatal(err)
		}
		f.isState(a, "")
		f.refused(a, devicegrant.ErrExpiredToken)
		if n := f.liveRows(); n != 1 {
			t.Fatalf("%d rows", n)
		}
	})

	t.Run("DF-36 DEV-25 a poll from another address is on record, and the delivery", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		r := f.redeem(a)
		f.Delivered(t.Context(), r.Minted, pollIP)
		for name, want := range map[string]map[string]any{
			"oauth.device_code_cross_ip_poll": {"token_id": r.Session.ID, "subject": f.ada.ID, "creation_ip": startIP, "poll_ip": pollIP},
			"oauth.token_delivered":           {"token_id": r.Session.ID, "ip": pollIP},
		} {
			events := f.Recorded(t, name)
			if len(events) != 1 || events[0].TokenID != r.Session.ID || events[0].Actor != audit.Account(f.ada.ID) {
				t.Fatalf("%s: %+v", name, events)
			}
			own := fields(t, events[0])
			for k, v := range want {
				if own[k] != v {
					t.Errorf("%s: %s is %v, want %v", name, k, own[k], v)
				}
			}
		}
	})

	t.Run("DF-23 DEV-08 INV-6 OUT-02 OUT-06 a mint that fails at any statement gives the grant back", func(t *testing.T) {
		for _, statement := range append([]string{"InTx"}, storetest.Statements...) {
			for _, mode := range []storetest.Mode{storetest.Fail, storetest.LoseReply} {
				if statement == "InTx" && mode == storetest.LoseReply {
					continue // that is a commit whose outcome is unknown
				}
				t.Run(statement, func(t *testing.T) {
					f := newFlow(t)
					a := f.approved()
					f.tokens.Plan(storetest.Fault{Method: statement, On: 1, Mode: mode})
					_, err := f.poll(a)
					outage(t, err, 5*time.Second)
					f.isState(a, devicegrant.Approved)
					if n := f.Count(t, `SELECT count(*) FROM oauth_access_tokens`); n != 0 || len(f.Recorded(t, "oauth.token_minted")) != 0 {
						t.Fatalf("%d rows", n)
					}
					r := f.redeem(a) // at once: no slow_down
					if err := f.alive(r); err != nil || f.liveRows() != 1 || len(f.Recorded(t, "oauth.token_minted")) != 1 {
						t.Fatalf("%v, %d rows", err, f.liveRows())
					}
				})
			}
		}
	})

	t.Run("DF-23 the workspaces cannot be read", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		f.spaces.Plan(storetest.Fault{Method: "MembershipsOf", On: 1})
		_, err := f.poll(a)
		outage(t, err, 5*time.Second)
		f.isState(a, devicegrant.Approved)
		f.redeem(a)
	})

	t.Run("DEV-08 a grant that cannot be given back lapses", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		f.tokens.Plan(storetest.Fault{Method: "Tx.Fence", On: 1})
		f.grants.Plan(storetest.Fault{Method: "Release"})
		_, err := f.poll(a)
		outage(t, err, 5*time.Second)
		f.refused(a, devicegrant.ErrAuthorizationPending)
		f.Clock.Advance(devicegrant.Lease)
		f.redeem(a)
	})

	t.Run("DEV-08 INV-2 a commit of unknown outcome keeps others out until the lease lapses, and one token lives", func(t *testing.T) {
		for _, committed := range []bool{false, true} {
			f := newFlow(t)
			a := f.approved()
			mode := storetest.Fail
			if committed {
				mode = storetest.LoseReply
			}
			f.tokens.Plan(storetest.Fault{Method: "Tx.Commit", On: 1, Mode: mode})
			_, err := f.poll(a)
			outage(t, err, 15*time.Second)
			f.isState(a, devicegrant.Redeeming)
			if got := f.liveRows() == 1; got != committed {
				t.Fatalf("a row exists: %t", got)
			}
			f.refused(a, devicegrant.ErrAuthorizationPending)
			f.Clock.Advance(devicegrant.Lease)
			r := f.redeem(a)
			if err := f.alive(r); err != nil || f.liveRows() != 1 {
				t.Fatalf("%v, %d rows", err, f.liveRows())
			}
			if n := f.Count(t, `SELECT count(*) FROM oauth_access_tokens`); n != 1 {
				t.Fatalf("%d rows, the lost one should have been rotated", n)
			}
		}
	})

	t.Run("a client that leaves while its mint hangs gets its grant back", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		f.tokens.Plan(storetest.Fault{Method: "Tx.Upsert", On: 1, Mode: storetest.Hang, Before: leave})
		_, err := f.Poll(ctx, devicegrant.PollRequest{DeviceCode: a.DeviceCode, ClientID: "difyctl", IP: pollIP})
		outage(t, err, 5*time.Second)
		f.isState(a, devicegrant.Approved)
		f.redeem(a)
	})

	t.Run("DF-26 DEV-30 who may no longer have a token gets none, for a reason on record", func(t *testing.T) {
		for reason, lose := range map[string]func(*flow){
			"epoch": func(f *flow) {
				if _, err := f.mint.EndOthers(f.t.Context(), token.AccountSubject(f.ada.ID, f.ada.Email), "", audit.Account(f.ada.ID)); err != nil {
					f.t.Fatal(err)
				}
			},
			"account_banned":  func(f *flow) { f.SetStatus(f.t, f.ada.ID, account.Banned) },
			"account_closed":  func(f *flow) { f.SetStatus(f.t, f.ada.ID, account.Closed) },
			"account_pending": func(f *flow) { f.SetStatus(f.t, f.ada.ID, account.Pending) },
			"account_deleted": func(f *flow) { f.RemoveAccount(f.t, f.ada.ID) },
		} {
			t.Run(reason, func(t *testing.T) {
				f := newFlow(t)
				a := f.approved()
				lose(f)
				f.refused(a, devicegrant.ErrAccessDenied)
				f.isState(a, "")
				if n := f.Count(t, `SELECT count(*) FROM oauth_access_tokens`); n != 0 {
					t.Fatalf("%d rows", n)
				}
				events := f.Recorded(t, "oauth.device_flow_rejected")
				if len(events) != 1 || fields(t, events[0])["reason"] != reason {
					t.Fatalf("events %+v", events)
				}
			})
		}
	})

	t.Run("TK-27 an approval after the epoch has moved redeems", func(t *testing.T) {
		f := newFlow(t)
		if _, err := f.mint.EndOthers(t.Context(), token.AccountSubject(f.ada.ID, ""), "", audit.Account(f.ada.ID)); err != nil {
			t.Fatal(err)
		}
		f.redeem(f.approved())
	})

	t.Run("DEV-30 an epoch that moves between its reading and the approval's move is found by the mint", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		f.grants.Plan(storetest.Fault{Method: "Decide", Mode: storetest.Pass, Before: func() {
			if _, err := f.mint.EndOthers(context.Background(), token.AccountSubject(f.ada.ID, ""), "", audit.Account(f.ada.ID)); err != nil {
				t.Error(err)
			}
		}})
		f.approve(a)
		f.refused(a, devicegrant.ErrAccessDenied)
	})

	t.Run("DF-25 DF-43 DEV-08 a slow claim is fenced by the one that came after it", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		var second devicegrant.Redeemed
		f.tokens.Plan(storetest.Fault{Method: "InTx", On: 1, Mode: storetest.Pass, Before: func() {
			f.Clock.Advance(devicegrant.Lease) // the first claim sleeps past its lease
			second = f.redeem(a)
		}})
		f.refused(a, devicegrant.ErrExpiredToken)
		if err := f.alive(second); err != nil || f.liveRows() != 1 {
			t.Fatalf("%v, %d rows", err, f.liveRows())
		}
		events := f.Recorded(t, "oauth.device_flow_rejected")
		if len(events) != 1 || fields(t, events[0])["reason"] != "fenced" {
			t.Fatalf("events %+v", events)
		}
	})

	t.Run("DF-43 a second claim neither revives an ended session nor overwrites another login", func(t *testing.T) {
		for _, what := range []string{"ended", "another login"} {
			t.Run(what, func(t *testing.T) {
				f := newFlow(t)
				a := f.approved()
				f.tokens.Plan(storetest.Fault{Method: "Tx.Commit", On: 1, Mode: storetest.LoseReply})
				if _, err := f.poll(a); err == nil {
					t.Fatal("answered")
				}
				subject := token.AccountSubject(f.ada.ID, f.ada.Email)
				var other devicegrant.Redeemed
				if what == "ended" {
					list, _, err := f.mint.List(t.Context(), subject, 1, 10)
					if err != nil || len(list) != 1 {
						t.Fatal(list, err)
					}
					if err := f.mint.End(t.Context(), subject, list[0].ID, token.ReasonUser, audit.Account(f.ada.ID)); err != nil {
						t.Fatal(err)
					}
				} else {
					other = f.redeem(f.approved())
				}
				f.Clock.Advance(devicegrant.Lease)
				f.refused(a, devicegrant.ErrExpiredToken)
				if what == "ended" && f.liveRows() != 0 {
					t.Fatal("the session was revived")
				}
				if what != "ended" {
					if err := f.alive(other); err != nil {
						t.Fatalf("the other login: %v", err)
					}
				}
			})
		}
	})

	t.Run("DF-44 a deleted grant that comes back mints nothing", func(t *testing.T) {
		f := newFlow(t)
		a := f.approved()
		kept, err := f.Grants.Find(t.Context(), secret.MACOf(codeKey, a.UserCode), f.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		r := f.redeem(a)
		if err := f.Grants.Create(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		f.refused(a, devicegrant.ErrExpiredToken)
		if err := f.alive(r); err != nil || f.liveRows() != 1 {
			t.Fatalf("%v, %d rows", err, f.liveRows())
		}
		f.isState(a, "")
	})

	t.Run("data of ours that contradict themselves are a 500 and end the grant", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		ref := secret.DigestOf(a.DeviceCode.Reveal())
		if err := f.Grants.Decide(t.Context(), devicegrant.Decision{Ref: ref, To: devicegrant.Approved, Subject: []byte("{"), Transition: "x", Now: f.Clock.Now()}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.poll(a); fault.Of(err).Kind() != fault.Internal {
			t.Fatalf("an unreadable subject: %v", err)
		}
		f.isState(a, "")

		b := f.start()
		ref = secret.DigestOf(b.DeviceCode.Reveal())
		if err := f.Grants.Decide(t.Context(), devicegrant.Decision{Ref: ref, To: devicegrant.Approved, Subject: []byte("{}"), Transition: "x", Now: f.Clock.Now()}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.poll(b); !errors.Is(err, token.ErrPolicy) || fault.Of(err).Kind() != fault.Internal {
			t.Fatalf("nobody's approval: %v", err)
		}
		f.isState(b, "")
	})
}
