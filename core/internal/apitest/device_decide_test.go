// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
)

func TestDeviceDecisions(t *testing.T) {
	s := dvStart(t)
	t.Run("DF-20 INV-1 approving twice is a conflict", func(t *testing.T) {
		c := s.Code(t, "x")
		a := s.owner.decide(t, "approve", c.User)
		wantAnswer(t, a, http.StatusOK, "")
		if a.Body != `{"status":"approved"}` {
			t.Fatal(a.Body)
		}
		for _, act := range []string{"approve", "deny"} {
			a := s.owner.decide(t, act, c.User)
			wantAnswer(t, a, http.StatusConflict, "already_resolved")
			if body := a.JSON(t); body["error"] != body["code"] {
				t.Fatal(a.Body)
			}
		}
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
		wantAnswer(t, s.owner.decide(t, "approve", c.User), http.StatusNotFound, "expired_or_unknown")
	})
	t.Run("DF-20 what was denied stays so", func(t *testing.T) {
		c := s.Code(t, "x")
		a := s.owner.decide(t, "deny", c.User)
		wantAnswer(t, a, http.StatusOK, "")
		if a.Body != `{"status":"denied"}` {
			t.Fatal(a.Body)
		}
		wantAnswer(t, s.owner.decide(t, "approve", c.User), http.StatusConflict, "already_resolved")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token")
	})
	t.Run("DF-20 an unknown code", func(t *testing.T) {
		for _, act := range []string{"approve", "deny"} {
			a := s.owner.decide(t, act, unknownCode.User)
			wantAnswer(t, a, http.StatusNotFound, "expired_or_unknown")
			if b := s.owner.decide(t, act, "no code"); b.Body != a.Body || b.Status != a.Status {
				t.Fatalf("a malformed code reads %s", b.Body)
			}
		}
	})
	t.Run("DF-21 INV-3 approved in its last second a code works for a minute more", func(t *testing.T) {
		c := s.Code(t, "x")
		s.Clock.Advance(15*time.Minute - time.Second)
		wantAnswer(t, s.owner.decide(t, "approve", c.User), http.StatusOK, "")
		s.Clock.Advance(59 * time.Second)
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
	t.Run("DF-21 a denial in the last second is still learnt", func(t *testing.T) {
		c := s.Code(t, "x")
		s.Clock.Advance(15*time.Minute - time.Second)
		wantAnswer(t, s.owner.decide(t, "deny", c.User), http.StatusOK, "")
		s.Clock.Advance(59 * time.Second)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
	})
	t.Run("DF-21 the minute is the least, not an extension", func(t *testing.T) {
		late, early := s.Code(t, "x"), s.Code(t, "y")
		wantAnswer(t, s.owner.decide(t, "approve", early.User), http.StatusOK, "")
		s.Clock.Advance(15*time.Minute - time.Second)
		wantAnswer(t, s.owner.decide(t, "approve", late.User), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, early), http.StatusOK, "")
		s.Clock.Advance(time.Minute + time.Second)
		wantAnswer(t, s.Poll(t, late), http.StatusBadRequest, "expired_token")
	})
	t.Run("DF-22 INV-4 an approval makes no row", func(t *testing.T) {
		before := tokenRows(t, s.Server)
		c := s.approved(t, "rowless")
		if after := tokenRows(t, s.Server); after != before {
			t.Fatalf("%d rows instead of %d", after, before)
		}
		if got := s.state(t); got != devicegrant.Approved {
			t.Fatalf("state %q", got)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
		if after := tokenRows(t, s.Server); after != before+1 {
			t.Fatalf("%d rows instead of %d", after, before+1)
		}
	})
}

func TestDeviceDecisionsAreLimited(t *testing.T) {
	slow(t)
	t.Run("DF-35 ten codes an hour for each account", func(t *testing.T) {
		s := apitest.Start(t)
		addAccount(t, s, "bob@example.com")
		ada, bob := dvSignIn(t, s, apitest.OwnerEmail), dvSignIn(t, s, "bob@example.com")
		for i := range 10 {
			wantAnswer(t, ada.decide(t, "approve", s.Code(t, "a"+strconv.Itoa(i)).User), http.StatusOK, "")
			wantAnswer(t, bob.decide(t, "approve", s.Code(t, "b"+strconv.Itoa(i)).User), http.StatusOK, "")
		}
		c := s.Code(t, "eleventh")
		a := ada.decide(t, "approve", c.User)
		wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, ada.decide(t, "deny", c.User), http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if err != nil || wait < 300 || wait > 360 {
			t.Fatalf("Retry-After %q", a.Header.Get("Retry-After"))
		}
		s.Clock.Advance(time.Duration(wait) * time.Second)
		wantAnswer(t, ada.decide(t, "approve", c.User), http.StatusOK, "")
	})
	t.Run("DEV-09 a stranger's code is decided for oneself, on record and within limits", func(t *testing.T) {
		s := apitest.Start(t, unlimited("device.decide.account=3/1h"))
		bobID := addAccount(t, s, "bob@example.com")
		bob, ada := dvSignIn(t, s, "bob@example.com"), dvSignIn(t, s, apitest.OwnerEmail)

		c := s.Code(t, "of a stranger")
		wantAnswer(t, bob.decide(t, "approve", c.User), http.StatusOK, "")
		a := s.Poll(t, c)
		wantAnswer(t, a, http.StatusOK, "")
		if who := a.JSON(t)["account"].(map[string]any); who["id"] != bobID || who["email"] != "bob@example.com" {
			t.Fatalf("the token is for %v", who)
		}
		denied := s.Code(t, "of another stranger")
		wantAnswer(t, bob.decide(t, "deny", denied.User), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, denied), http.StatusBadRequest, "access_denied")
		for name, label := range map[string]string{"oauth.device_flow_approved": "of a stranger", "oauth.device_flow_denied": "of another stranger"} {
			awaitEvents(t, s, name, 1)
			if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = $1 AND actor_type = 'account' AND actor_id = $2 AND ip = '127.0.0.1'`, name, bobID); n != 1 {
				t.Errorf("%s does not name who did it", name)
			}
			f := eventFields(t, s, name)
			if f["account_id"] != bobID || f["device_label"] != label || f["client_id"] != "difyctl" || f["started_ip"] != "127.0.0.1" {
				t.Errorf("%s: %v", name, f)
			}
		}
		wantAnswer(t, bob.decide(t, "deny", unknownCode.User), http.StatusNotFound, "expired_or_unknown")
		wantAnswer(t, bob.decide(t, "deny", s.Code(t, "x").User), http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, ada.decide(t, "deny", s.Code(t, "y").User), http.StatusOK, "")
	})
}

func TestUserCodesAreTheServers(t *testing.T) {
	s := dvStart(t)
	collide := func(t *testing.T, times int) {
		taken, ok := s.grants().newest(t, s.Clock.Now())
		if !ok {
			t.Fatal("no grant to collide with")
		}
		g := s.grants()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.edit = func(v *devicegrant.Grant) {
			if times > 0 {
				times--
				v.UserMAC = taken.UserMAC
			}
		}
		t.Cleanup(func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.edit = nil
		})
	}
	start := map[string]string{"client_id": "difyctl", "device_label": "x"}

	t.Run("DF-6 DEV-04 five collisions in a row", func(t *testing.T) {
		c := s.Code(t, "first")
		collide(t, 5)
		before := len(s.grants().created)
		a := s.Post(t, codePath, start)
		wantAnswer(t, a, http.StatusServiceUnavailable, "user_code_exhausted")
		if a.Header.Get("Retry-After") != "1" || a.JSON(t)["error"] != "temporarily_unavailable" {
			t.Fatalf("%v %s", a.Header, a.Body)
		}
		if tries := len(s.grants().created) - before; tries != 5 {
			t.Fatalf("%d tries", tries)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		if live := s.LiveGrants(t); live != 1 {
			t.Fatalf("%d grants", live)
		}
	})
	t.Run("DF-6 the fifth try may win", func(t *testing.T) {
		collide(t, 4)
		wantAnswer(t, s.Post(t, codePath, start), http.StatusOK, "")
	})
	t.Run("DEV-04 a code that somebody has decided is not handed out again while it lives", func(t *testing.T) {
		c := s.approved(t, "decided")
		collide(t, 1)
		again := s.Code(t, "x")
		if again.User == c.User {
			t.Fatal("handed out twice")
		}
		wantAnswer(t, s.Poll(t, again), http.StatusBadRequest, "authorization_pending")
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
	t.Run("DEV-04 a code used again serves its new grant alone", func(t *testing.T) {
		old := s.Code(t, "old")
		s.Clock.Advance(15 * time.Minute)
		taken := s.grants().created[len(s.grants().created)-1].UserMAC
		s.grants().mu.Lock()
		s.grants().edit = func(v *devicegrant.Grant) { v.UserMAC = taken }
		s.grants().mu.Unlock()
		fresh := s.Code(t, "new")
		s.grants().mu.Lock()
		s.grants().edit = nil
		s.grants().mu.Unlock()
		wantAnswer(t, s.owner.decide(t, "approve", old.User), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, old), http.StatusBadRequest, "expired_token")
		a := s.Poll(t, fresh)
		wantAnswer(t, a, http.StatusOK, "")
		if got := sqlText(t, s.Server, `SELECT device_label FROM oauth_access_tokens WHERE id = $1`, a.Text(t, "token_id")); got != "new" {
			t.Fatalf("the token is for %q", got)
		}
	})
	t.Run("DEV-04 a client does not choose", func(t *testing.T) {
		const chosen = "AAAA-AAAA"
		a := s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "x", "user_code": chosen, "device_code": unknownCode.Device})
		wantAnswer(t, a, http.StatusOK, "")
		b := s.Form(t, codePath, url.Values{"client_id": {"difyctl"}, "user_code": {chosen}, "device_code": {unknownCode.Device}})
		wantAnswer(t, b, http.StatusOK, "")
		for _, a := range []apitest.Answer{a, b} {
			if a.Text(t, "user_code") == chosen || a.Text(t, "device_code") == unknownCode.Device {
				t.Fatal(a.Body)
			}
		}
		if lookUp(t, s.Server, chosen).JSON(t)["valid"] != false {
			t.Fatal("the chosen code is in use")
		}
	})
}

func TestOnlyAPendingCodeCountsAsTyped(t *testing.T) {
	s := dvStart(t)
	b := s.owner.browser
	expired := s.Code(t, "e")
	s.Clock.Advance(16 * time.Minute)
	pending, approved, denied, redeemed := s.Code(t, "a"), s.approved(t, "b"), s.Code(t, "c"), s.approved(t, "d")
	wantAnswer(t, s.owner.decide(t, "deny", denied.User), http.StatusOK, "")
	wantAnswer(t, s.Poll(t, redeemed), http.StatusOK, "")

	for _, tc := range []struct {
		name, code string
		set        bool
	}{
		{"W-26 pending sets the cookie", pending.User, true},
		{"W-26 unknown", unknownCode.User, false},
		{"W-26 malformed", "x", false},
		{"W-26 empty", "", false},
		{"W-26 approved", approved.User, false},
		{"W-26 denied", denied.User, false},
		{"W-26 redeemed", redeemed.User, false},
		{"W-26 expired", expired.User, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.Get("/device")
			a := b.SubmitOnly("/device", url.Values{"user_code": {tc.code}})
			set := slices.ContainsFunc(a.Cookies, func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, "device_entry") })
			if set != tc.set {
				t.Fatalf("device_entry set: %v (status %d)", set, a.Status)
			}
			if tc.set && (a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/device?user_code="+tc.code) {
				t.Fatalf("%d to %s", a.Status, a.Header.Get("Location"))
			}
			if !tc.set && a.Status != http.StatusBadRequest {
				t.Fatalf("status %d", a.Status)
			}
		})
	}
}
