// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
)

// The short-lived store holds the grants and, for most limits, the counters.
func TestShortLivedStoreIsAway(t *testing.T) {
	s := dvStart(t, apitest.Set("RATE_LIMITS", "")) // limits on: their counters are part of the store
	token := s.lastToken(t, "before")
	b := s.owner.browser
	b.Get("/device")
	pending, denied := s.Code(t, "pending"), s.Code(t, "denied")
	wantAnswer(t, s.owner.decide(t, "deny", denied.User), http.StatusOK, "")
	approved := s.approved(t, "approved")
	rows := tokenRows(t, s.Server)

	asks := []struct {
		name string
		ask  func(t *testing.T) apitest.Answer
	}{
		{"code", func(t *testing.T) apitest.Answer {
			return s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "x"})
		}},
		{"lookup", func(t *testing.T) apitest.Answer { return lookUp(t, s.Server, pending.User) }},
		{"approve", func(t *testing.T) apitest.Answer { return s.owner.decide(t, "approve", pending.User) }},
		{"deny", func(t *testing.T) apitest.Answer { return s.owner.decide(t, "deny", pending.User) }},
		{"poll of a pending code", func(t *testing.T) apitest.Answer { return s.Poll(t, pending) }},
		{"poll of an approved code", func(t *testing.T) apitest.Answer { return s.Poll(t, approved) }},
		{"poll of a denied code", func(t *testing.T) apitest.Answer { return s.Poll(t, denied) }},
		{"poll of an unknown code", func(t *testing.T) apitest.Answer { return s.Poll(t, unknownCode) }},
		{"the typed code", func(t *testing.T) apitest.Answer {
			b.Get("/device")
			return b.SubmitOnly("/device", url.Values{"user_code": {pending.User}})
		}},
	}
	for _, outage := range []struct {
		name  string
		steps []string
		local string // what is not asked of the part that fails
	}{
		{"OUT-01 all of it", []string{"grants ", "counters "}, ""},
		{"OUT-01 the grants", []string{"grants "}, ""},
		{"OUT-01 the counters", []string{"counters "}, "poll"},
	} {
		for _, p := range asks {
			if outage.local != "" && strings.HasPrefix(p.name, outage.local) {
				continue
			}
			t.Run(outage.name+": "+p.name, func(t *testing.T) {
				t.Cleanup(s.heal)
				s.fail(outage.steps...)
				for range 2 {
					dvOutage(t, p.ask(t), "2")
				}
			})
		}
		t.Run(outage.name+": bearer requests go on from SQL", func(t *testing.T) {
			t.Cleanup(s.heal)
			s.fail(outage.steps...)
			s.works(t, token, true)
			s.works(t, token[:len(token)-1]+"_", false)
			wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account/sessions"), http.StatusOK, "")
		})
	}
	t.Run("OUT-01 a session is ended all the same", func(t *testing.T) {
		a := s.Poll(t, s.approved(t, "ends"))
		wantAnswer(t, a, http.StatusOK, "")
		rows++
		t.Cleanup(s.heal)
		s.fail("grants ", "counters ")
		wantAnswer(t, s.Bearer(t, a.Text(t, "token"), http.MethodDelete, "/openapi/v1/account/sessions/self"), http.StatusOK, "")
		s.works(t, a.Text(t, "token"), false)
	})
	t.Run("OUT-01 INV-6 afterwards the approval, the denial and the pending code are still there", func(t *testing.T) {
		if n := tokenRows(t, s.Server); n != rows {
			t.Fatalf("%d rows instead of %d", n, rows)
		}
		s.Clock.Advance(devicegrant.FirstInterval)
		wantAnswer(t, s.Poll(t, approved), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, denied), http.StatusBadRequest, "access_denied")
		wantAnswer(t, s.owner.decide(t, "approve", pending.User), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, pending), http.StatusOK, "")
	})
}

func TestShortLivedStoreIsFull(t *testing.T) {
	aboutEmbedded(t)
	s := dvStart(t, apitest.Set("DEVICE_MAX_GRANTS", "2"))
	t.Run("OUT-01 a full store takes no code, and what it holds is approved, redeemed and read", func(t *testing.T) {
		one, two := s.Code(t, "one"), s.Code(t, "two")
		refused := func() {
			t.Helper()
			dvOutage(t, s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "x"}), "5")
		}
		refused()
		wantAnswer(t, s.owner.decide(t, "approve", one.User), http.StatusOK, "")
		refused()
		a := s.Poll(t, one)
		wantAnswer(t, a, http.StatusOK, "")
		s.works(t, a.Text(t, "token"), true)
		three := s.Code(t, "three")
		refused()
		wantAnswer(t, s.owner.decide(t, "deny", two.User), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, two), http.StatusBadRequest, "access_denied")
		wantAnswer(t, s.Poll(t, three), http.StatusBadRequest, "authorization_pending")
		s.Code(t, "four")
	})
}

// Only the table of events fails.
func TestAuditCannotBeWritten(t *testing.T) {
	slow(t)
	s := dvStart(t)
	a := s.Poll(t, s.approved(t, "kept"))
	token, id := a.Text(t, "token"), a.Text(t, "token_id")
	other, otherID := s.SignInDevice(t, s.owner.browser, "other")
	eventually(t, func() (bool, string) {
		return sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_delivered'`) == 2, "events of the preparation are missing"
	})
	all := func() int { return sqlInt(t, s.Server, `SELECT count(*) FROM audit_events`) }
	outage := func(t *testing.T) {
		t.Helper()
		s.fail("sql INSERT audit_events")
		t.Cleanup(s.heal)
	}

	t.Run("DF-41 OUT-06 mint: nothing is kept, and the approval waits", func(t *testing.T) {
		c, rows := s.approved(t, "unwritten"), tokenRows(t, s.Server)
		eventually(t, func() (bool, string) {
			return sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.device_flow_approved' AND fields LIKE '%unwritten%'`) == 1, "the approval is not on record"
		})
		events := all()
		outage(t)
		dvOutage(t, s.Poll(t, c), "5")
		s.awaits(t, devicegrant.Approved)
		if n := tokenRows(t, s.Server); n != rows || all() != events {
			t.Fatalf("%d rows instead of %d, %d events instead of %d", n, rows, all(), events)
		}
		if n := sqlInt(t, s.Server, `SELECT count(*) FROM grant_fences WHERE grant_ref NOT IN (SELECT grant_ref FROM oauth_access_tokens)`); n != 0 {
			t.Fatalf("%d fences without a mint", n)
		}
		if strings.Count(s.Log.String(), `"event":"oauth.token_minted"`) != 2 {
			t.Fatal("the log tells of a mint that never was")
		}
		s.heal()
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
	revokes := []struct{ name, method, path string }{
		{"OUT-06 revoke: logout", http.MethodDelete, "/openapi/v1/account/sessions/self"},
		{"OUT-06 revoke: another device", http.MethodDelete, "/openapi/v1/account/sessions/" + otherID},
		{"OUT-06 revoke: all others", http.MethodDelete, "/openapi/v1/account/sessions"},
	}
	for _, tc := range revokes {
		t.Run(tc.name, func(t *testing.T) {
			live, c := liveRows(t, s.Server), s.approved(t, "epoch")
			outage(t)
			dvOutage(t, s.Bearer(t, token, tc.method, tc.path), "2")
			if n := liveRows(t, s.Server); n != live {
				t.Fatalf("%d live rows instead of %d", n, live)
			}
			s.works(t, token, true)
			s.works(t, other, true)
			s.heal()
			wantAnswer(t, s.Poll(t, c), http.StatusOK, "") // the epoch did not move either
		})
	}
	t.Run("OUT-06 revoke: by the sessions page", func(t *testing.T) {
		b := s.owner.browser
		b.Get("/account/sessions/end?kind=device&id=" + id)
		outage(t)
		dvOutage(t, b.SubmitOnly("/account/sessions/end", nil), "2")
		s.works(t, token, true)
	})
	t.Run("DF-41 OUT-06 code, approve and deny: served, and their events are written later, once", func(t *testing.T) {
		outage(t)
		c, d := s.Code(t, "later"), s.Code(t, "later too")
		wantAnswer(t, s.owner.decide(t, "approve", c.User), http.StatusOK, "")
		wantAnswer(t, s.owner.decide(t, "deny", d.User), http.StatusOK, "")
		const like = `SELECT count(*) FROM audit_events WHERE fields LIKE '%"later%'`
		if n := sqlInt(t, s.Server, like); n != 0 {
			t.Fatalf("%d events in a table that takes none", n)
		}
		for _, event := range []string{"oauth.device_flow_started", "oauth.device_flow_approved", "oauth.device_flow_denied"} {
			if !strings.Contains(s.Log.String(), `"event":"`+event+`"`) {
				t.Errorf("%s is not in the log at once", event)
			}
		}
		s.heal()
		eventually(t, func() (bool, string) { return sqlInt(t, s.Server, like) == 4, "the events are not written" })
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
		f := eventFields(t, s.Server, "oauth.token_minted")
		if f["approved_by"] != ownerID(t, s.Server) || f["approved_at"] == nil || f["device_label"] != "later" {
			t.Fatalf("the mint does not repeat the approval's facts: %v", f)
		}
	})
	t.Run("OUT-06 set-up: nothing is set up", func(t *testing.T) {
		faults := &dvFaults{}
		s := apitest.Start(t, apitest.Fresh(), unlimited(), apitest.Wrap(faults.wrap))
		code, err := s.App.Installation.NewCode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := s.Browser(t)
		b.Get("/setup?code=" + code.Reveal())
		fields := url.Values{"setup_code": {code.Reveal()}, "email": {apitest.OwnerEmail}, "name": {apitest.OwnerName}, "password": {apitest.OwnerPassword},
			"password_again": {apitest.OwnerPassword}, "workspace_name": {apitest.Workspace}}
		faults.fail("sql INSERT audit_events")
		dvOutage(t, b.SubmitOnly("/setup", fields), "2")
		if n := sqlInt(t, s, `SELECT count(*) FROM accounts`) + sqlInt(t, s, `SELECT count(*) FROM workspaces`) + sqlInt(t, s, `SELECT count(*) FROM console_sessions`); n != 0 {
			t.Fatalf("%d rows of a set-up that failed", n)
		}
		faults.heal()
		if a := b.SubmitOnly("/setup", fields); a.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("OUT-06 sign-in is on record or does not happen", func(t *testing.T) {
		b := s.Browser(t)
		b.Get("/signin")
		sessions := sqlInt(t, s.Server, `SELECT count(*) FROM console_sessions`)
		outage(t)
		dvOutage(t, b.SubmitOnly("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}}), "2")
		if n := sqlInt(t, s.Server, `SELECT count(*) FROM console_sessions`); n != sessions {
			t.Fatalf("%d sessions instead of %d", n, sessions)
		}
	})
}
