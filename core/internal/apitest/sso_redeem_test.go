// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// rejected wants a poll that is refused for good, with the reason on record.
func (s *ssServer) rejected(t testing.TB, c apitest.Codes, label, reason string) {
	t.Helper()
	wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
	s.Clock.Advance(5 * time.Second)
	wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "expired_token") // the grant is deleted
	s.onRecord(t, label, reason)
	if n := sqlInt(t, s.Server, `SELECT count(*) FROM oauth_access_tokens WHERE device_label = $1`, label); n != 0 {
		t.Fatalf("%d rows of %s", n, label)
	}
}

func (s *ssServer) onRecord(t testing.TB, label, reason string) {
	t.Helper()
	eventually(t, func() (bool, string) {
		n := sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.device_flow_rejected' AND fields LIKE $1 AND fields LIKE $2`,
			`%"device_label":"`+label+`"%`, `%"reason":"`+reason+`"%`)
		return n >= 1, label + " has no event with reason " + reason
	})
}

func TestExternalSubjectIsSignedIn(t *testing.T) {
	s := ssStart(t, unlimited())
	t.Run("SSO-31 SSO-32 the poll that wins gets an external token, and no row was there before", func(t *testing.T) {
		c := s.allowed(t, "won", apitest.Grace)
		if n := tokenRows(t, s.Server); n != 0 {
			t.Fatalf("%d rows before a poll", n)
		}
		a := s.Poll(t, c)
		wantAnswer(t, a, http.StatusOK, "")
		v := a.JSON(t)
		for name, want := range map[string]any{
			"token_type": "Bearer", "scope": "apps:run apps:read:permitted-external", "subject_type": "external_sso", "account": nil,
			"subject_email": apitest.Grace.Email, "subject_issuer": apitest.Grace.Issuer, "default_workspace_id": nil,
		} {
			if got, there := v[name]; !there || got != want {
				t.Errorf("%s: %v", name, got)
			}
		}
		if !strings.HasPrefix(a.Text(t, "token"), "dfoe_") || v["token"] != v["access_token"] || !strings.Contains(a.Body, `"workspaces":[]`) || a.Text(t, "token_id") == "" {
			t.Errorf("%s", a.Body)
		}
		if _, failed := v["error"]; failed {
			t.Error("an error member in a success")
		}
		row := sqlText(t, s.Server, `SELECT subject_issuer || ' ' || subject_id || ' ' || subject_email || ' ' || connection_id || ' ' || prefix FROM oauth_access_tokens WHERE account_id IS NULL AND workspace_id IS NULL`)
		if row != apitest.Grace.Issuer+" grace-1 grace@corp.example corp dfoe_" {
			t.Error(row)
		}
		sessions := s.Bearer(t, a.Text(t, "token"), http.MethodGet, "/openapi/v1/account/sessions")
		if wantAnswer(t, sessions, http.StatusOK, ""); !strings.Contains(sessions.Body, a.Text(t, "token_id")) {
			t.Error(sessions.Body)
		}
		wantAnswer(t, s.Bearer(t, a.Text(t, "token"), http.MethodGet, "/openapi/v1/workspaces"), http.StatusForbidden, "wrong_surface")
		awaitEvents(t, s.Server, "oauth.token_delivered", 1)
	})
	t.Run("SSO-33 DEV-30 SSO-113 who lost the right between decision and poll", func(t *testing.T) {
		for name, target := range ssTargets(another("ended")) {
			label := "killed by " + name
			c := s.allowed(t, label, another("ended"))
			s.end(t, target)
			s.rejected(t, c, label, "epoch")
			s.Clock.Advance(time.Minute)
		}
		c := s.allowed(t, "became an account", another("joined"))
		s.open(t, another("joined").Email)
		s.rejected(t, c, "became an account", "epoch")
		c = s.allowed(t, "was linked", another("linked"))
		s.linkIdentity(t, another("linked"))
		s.rejected(t, c, "was linked", "identity_linked")
	})
	t.Run("SSO-35 same issuer and e-mail, another subject: the old tokens die", func(t *testing.T) {
		first, second := another("moved"), another("moved")
		second.ID = "moved-2"
		old := s.Poll(t, s.allowed(t, "old", first)).Text(t, "token")
		wantAnswer(t, s.Bearer(t, old, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		fresh := s.Poll(t, s.allowed(t, "fresh", second)).Text(t, "token")
		wantAnswer(t, s.Bearer(t, old, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, s.Bearer(t, fresh, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		if why := sqlText(t, s.Server, `SELECT revoke_reason FROM oauth_access_tokens WHERE device_label = 'old'`); why != "subject_changed" {
			t.Error(why)
		}
	})
	t.Run("SSO-35 the same person on the same device keeps the session's id", func(t *testing.T) {
		one := s.Poll(t, s.allowed(t, "same", another("same"))).Text(t, "token_id")
		if two := s.Poll(t, s.allowed(t, "same", another("same"))).Text(t, "token_id"); one != two {
			t.Errorf("%s, then %s", one, two)
		}
	})
	t.Run("SSO-34 the bridge is not asked at redemption", func(t *testing.T) {
		c := s.allowed(t, "alone", another("alone"))
		calls := s.bridge.Calls()
		s.bridge.Close()
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
		if s.bridge.Calls() != calls {
			t.Error("it was")
		}
	})
}

func TestExternalSubjectWithAnAccount(t *testing.T) {
	s := ssStart(t, unlimited())
	t.Run("SSO-21 the e-mail of an active account, when coming back and when deciding", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "account's")
		who := another("x")
		who.Email = apitest.OwnerEmail
		o := s.begun(t, b, c)
		a := b.Complete(s.bridge.Assert(t, o, who))
		if s.wantCode(t, a, "email_belongs_to_dify_account", o.Reference); len(setCookies(a, ssGrant)) > 0 {
			t.Error("a grant")
		}
		s.onRecord(t, "account's", "email_collision")
		late, d := another("late"), s.Code(t, "late")
		s.back(t, b, d, late)
		token := csrf(t, b)
		s.open(t, late.Email)
		wantAnswer(t, b.DecideExternal("approve", d.User, token), http.StatusForbidden, "email_belongs_to_dify_account")
		s.onRecord(t, "late", "email_collision")
		if page := s.form(t, b, ssApprove, "user_code", d.User, "csrf_token", token, "confirm", "yes"); page.Status != http.StatusForbidden || !strings.Contains(page.Body, "workspace account") {
			t.Errorf("%d %s", page.Status, page.Body)
		}
		wantAnswer(t, s.Poll(t, d), http.StatusBadRequest, "authorization_pending")
		wantAnswer(t, b.DecideExternal("deny", d.User, token), http.StatusOK, "")
	})
	t.Run("SSO-22 a linked identity, when coming back and when deciding", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "linked")
		who := another("linked")
		s.linkIdentity(t, who)
		o := s.begun(t, b, c)
		s.wantCode(t, b.Complete(s.bridge.Assert(t, o, who)), "sso_identity_linked", o.Reference)
		s.onRecord(t, "linked", "identity_linked")
		s.unlinkIdentity(t, who)
		s.back(t, b, c, who)
		token := csrf(t, b)
		s.linkIdentity(t, who)
		wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusForbidden, "sso_identity_linked")
		s.unlinkIdentity(t, who)
		wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusOK, "")
		s.linkIdentity(t, who)
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
	})
	t.Run("SSO-113 SSO-21 access that was ended after the approval grant was set", func(t *testing.T) {
		for name, target := range ssTargets(another("hedy")) {
			b, c := s.Browser(t), s.Code(t, "between "+name)
			s.back(t, b, c, another("hedy"))
			token := csrf(t, b)
			s.end(t, target)
			wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusUnauthorized, "invalid_session")
			s.onRecord(t, "between "+name, "epoch")
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
			s.Clock.Advance(time.Minute)
		}
		if n := tokenRows(t, s.Server); n != 0 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("SSO-73 one e-mail at two issuers is two people", func(t *testing.T) {
		here, there := another("twice"), another("twice")
		there.Issuer = "https://login.other.example"
		first := s.Poll(t, s.allowed(t, "here", here)).Text(t, "token")
		second := s.Poll(t, s.allowed(t, "there", there)).Text(t, "token")
		s.end(t, access.Target{Issuer: there.Issuer, SubjectID: there.ID})
		wantAnswer(t, s.Bearer(t, first, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		wantAnswer(t, s.Bearer(t, second, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "invalid_token")
	})
}

func TestExternalDecisionWithAStoreThatFails(t *testing.T) {
	slow(t)
	f := &dvFaults{}
	s := ssStart(t, unlimited(), apitest.Wrap(f.wrap))
	held := func(t *testing.T, label string) (b *apitest.Browser, c apitest.Codes, token string) {
		b, c = s.Browser(t), s.Code(t, label)
		s.back(t, b, c, apitest.Grace)
		return b, c, csrf(t, b)
	}
	b, c, token := held(t, "rehearsal")
	steps := f.steps(func() { wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusOK, "") })
	for _, step := range []string{"grants Find", "grants Decide", "sql BEGIN", "sql SELECT subject_epochs", "sql SELECT accounts", "sql SELECT account_identities"} {
		if !slices.Contains(steps, step) {
			t.Fatalf("%s is no step of %v", step, steps)
		}
	}
	for i, step := range steps {
		t.Run(fmt.Sprintf("SSO-29 %s, step %d", step, i+1), func(t *testing.T) {
			b, c, token := held(t, fmt.Sprintf("step %d", i))
			n := 0
			f.once("", i+1, func() error { n++; return errDown })
			a := b.DecideExternal("approve", c.User, token)
			f.heal()
			if n != 1 {
				t.Fatalf("the step came %d times", n)
			}
			if strings.HasPrefix(step, "grants Decide") { // asked for again within the request
				wantAnswer(t, a, http.StatusOK, "")
			} else {
				dvOutage(t, a, "")
				if len(setCookies(a, ssGrant)) > 0 {
					t.Error("the grant's cookie was cleared")
				}
				wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
				s.Clock.Advance(5 * time.Second)
				wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusOK, "")
			}
			wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
		})
	}
	t.Run("SSO-29 the store of grants is gone for all of the request", func(t *testing.T) {
		b, c, token := held(t, "gone")
		f.fail("grants")
		a := b.DecideExternal("approve", c.User, token)
		page := s.form(t, b, ssApprove, "user_code", c.User, "csrf_token", token, "confirm", "yes")
		f.heal()
		dvOutage(t, a, "")
		if page.Status != http.StatusServiceUnavailable || page.Header.Get("Retry-After") == "" || !strings.Contains(page.Header.Get("Content-Type"), "text/html") {
			t.Errorf("a form: %d", page.Status)
		}
		wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusOK, "")
	})
	t.Run("SSO-34 SSO-32 SQL is gone at redemption: the approval stays", func(t *testing.T) {
		c := s.allowed(t, "later", another("later"))
		f.fail("sql")
		dvOutage(t, s.Poll(t, c), "5")
		f.heal()
		if n := sqlInt(t, s.Server, `SELECT count(*) FROM oauth_access_tokens WHERE device_label = 'later'`); n != 0 {
			t.Errorf("%d rows", n)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})
	t.Run("SSO-94 a store that is gone when somebody comes back", func(t *testing.T) {
		for _, part := range []string{"grants", "sql SELECT", "sql BEGIN"} {
			b, c := s.Browser(t), s.Code(t, "back "+part)
			o := s.begun(t, b, c)
			f.fail(part)
			a := b.Complete(s.bridge.Assert(t, o, apitest.Grace))
			f.heal()
			if s.wantCode(t, a, "sso_unavailable", o.Reference); len(setCookies(a, ssGrant)) > 0 {
				t.Error("a grant")
			}
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		}
	})
}
