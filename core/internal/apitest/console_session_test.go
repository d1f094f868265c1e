// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const profilePath = "/console/api/account/profile"

// tkConsole watches the store of console sessions and breaks it on demand.
type tkConsole struct {
	console.Store

	mu      sync.Mutex
	touches int
	broken  bool
}

func (c *tkConsole) wrap(st *app.Stores) { c.Store, st.Console = st.Console, c }

func (c *tkConsole) ByDigest(ctx context.Context, d secret.Digest) (console.Signed, error) {
	c.mu.Lock()
	broken := c.broken
	c.mu.Unlock()
	if broken {
		return console.Signed{}, errStore
	}
	return c.Store.ByDigest(ctx, d)
}

func (c *tkConsole) Touch(ctx context.Context, id string, now time.Time) error {
	c.mu.Lock()
	c.touches++
	c.mu.Unlock()
	return c.Store.Touch(ctx, id, now)
}

func (c *tkConsole) touched() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.touches
}

func (c *tkConsole) setBroken(broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = broken
}

// tkSignIn signs in as a script does and gives the session's value.
func tkSignIn(t testing.TB, s *apitest.Server, remember bool, headers ...string) (session string) {
	t.Helper()
	a := s.Call(t, http.MethodPost, loginPath, tkLoginBody(apitest.OwnerEmail, tkEncoded(apitest.OwnerPassword), remember), append([]string{"Content-Type", "application/json"}, headers...)...)
	wantAnswer(t, a, http.StatusOK, "")
	for _, c := range a.Cookies {
		if strings.HasSuffix(c.Name, "console_session") {
			return c.Value
		}
	}
	t.Fatal("no session")
	return ""
}

func TestConsoleSessionLife(t *testing.T) {
	spy := &tkConsole{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))
	who := func(session string) int {
		t.Helper()
		return s.Call(t, http.MethodGet, profilePath, "", "Cookie", "console_session="+session).Status
	}
	lives := func(t *testing.T, session string) {
		t.Helper()
		if got := who(session); got != http.StatusOK {
			t.Fatalf("the session answers %d", got)
		}
	}
	over := func(t *testing.T, session string) {
		t.Helper()
		if got := who(session); got != http.StatusUnauthorized {
			t.Fatalf("the session answers %d", got)
		}
	}
	const hour, day = time.Hour, 24 * time.Hour

	t.Run("W-12 TOK-14 a value that was fixed beforehand is worth nothing after sign-in", func(t *testing.T) {
		planted := secret.Random()
		session := tkSignIn(t, s, false, "Cookie", "console_session="+planted)
		if session == planted || len(session) != 43 {
			t.Fatal("the planted value became the session")
		}
		over(t, planted)
		lives(t, session)
	})
	t.Run("W-12 TOK-14 signing in again rotates and ends the session that was presented", func(t *testing.T) {
		elsewhere := tkSignIn(t, s, false)
		first := tkSignIn(t, s, false)
		second := tkSignIn(t, s, false, "Cookie", "console_session="+first)
		over(t, first)
		lives(t, second)
		lives(t, elsewhere)
	})
	t.Run("W-12 TOK-14 idle for twelve hours without remember_me", func(t *testing.T) {
		session := tkSignIn(t, s, false)
		for range 3 { // each use begins them anew
			s.Clock.Advance(12*hour - time.Minute)
			lives(t, session)
		}
		s.Clock.Advance(12 * hour)
		over(t, session)
	})
	t.Run("W-12 TOK-14 absolute after thirty days, used or not", func(t *testing.T) {
		session := tkSignIn(t, s, false)
		for range 719 / 10 { // every ten hours
			s.Clock.Advance(10 * hour)
			lives(t, session)
		}
		s.Clock.Advance(30*day - 710*hour)
		over(t, session)
	})
	t.Run("W-12 TOK-14 remember_me is idle for thirty days and no longer", func(t *testing.T) {
		unused, used := tkSignIn(t, s, true), tkSignIn(t, s, true)
		s.Clock.Advance(29 * day)
		lives(t, used)
		s.Clock.Advance(day - time.Minute)
		lives(t, unused)
		s.Clock.Advance(time.Minute)
		over(t, unused)
		over(t, used)
	})
	t.Run("W-12 TOK-14 signing out ends the value on the server", func(t *testing.T) {
		session, other := tkSignIn(t, s, false), tkSignIn(t, s, false)
		cookie := "console_session=" + session
		csrf := s.Call(t, http.MethodGet, "/console/api/csrf-token", "", "Cookie", cookie).Text(t, "csrf_token")
		a := s.Call(t, http.MethodPost, "/console/api/logout", "", "Cookie", cookie, "X-CSRF-Token", csrf)
		wantAnswer(t, a, http.StatusOK, "")
		if a.Body != `{"result":"success"}` {
			t.Fatal(a.Body)
		}
		over(t, session)
		lives(t, other)
		if n := sqlInt(t, s, `SELECT count(*) FROM console_sessions WHERE token_hash = $1`, tkDigest(session)); n != 0 {
			t.Fatal("the row is still there")
		}
		for _, gone := range a.Cookies {
			if gone.Value != "" || !gone.Expires.Before(time.Now()) {
				t.Errorf("%s is not cleared", gone.Name)
			}
		}
		if len(a.Cookies) != 2 {
			t.Errorf("%d cookies cleared", len(a.Cookies))
		}
		wantAnswer(t, s.Call(t, http.MethodPost, "/console/api/logout", "", "Cookie", cookie), http.StatusOK, "")
		wantAnswer(t, s.Call(t, http.MethodPost, "/console/api/logout", ""), http.StatusOK, "")
	})
	t.Run("W-12 the page signs out, too", func(t *testing.T) {
		b := s.SignedIn(t)
		session := b.Cookie("console_session")
		b.Submit("/signout", nil)
		if b.Path != "/signin" || b.Cookie("console_session") != "" || b.Cookie("csrf_token") != "" {
			t.Fatalf("at %s with %q", b.Path, b.Cookie("console_session"))
		}
		over(t, session)
	})
	t.Run("W-12 last_seen_at is written at most once a minute", func(t *testing.T) {
		session := tkSignIn(t, s, false)
		before := spy.touched()
		for range 5 {
			lives(t, session)
		}
		if after := spy.touched(); after != before {
			t.Fatalf("%d writes within the first minute", after-before)
		}
		s.Clock.Advance(61 * time.Second)
		for range 5 {
			lives(t, session)
		}
		if after := spy.touched(); after != before+1 {
			t.Fatalf("%d writes in the second", after-before)
		}
	})
	t.Run("W-12 an outage is 503 and never signed out", func(t *testing.T) {
		session := tkSignIn(t, s, false)
		spy.setBroken(true)
		defer spy.setBroken(false)
		if got := who(session); got != http.StatusServiceUnavailable {
			t.Fatal(got)
		}
		for _, path := range []string{"/", "/account/sessions", "/device"} {
			a := s.Call(t, http.MethodGet, path, "", "Cookie", "console_session="+session, "Accept", "text/html")
			if a.Status != http.StatusServiceUnavailable || len(a.Cookies) != 0 && strings.Contains(a.Header.Get("Set-Cookie"), "console_session") {
				t.Errorf("%s: %d %v", path, a.Status, a.Header)
			}
		}
	})
	t.Run("W-12 an account that is no longer active is signed out everywhere", func(t *testing.T) {
		addAccount(t, s, "bob@example.com")
		bob := signedInAs(t, s, "bob@example.com")
		sqlExec(t, s, `UPDATE accounts SET status = 'closed' WHERE email = 'bob@example.com'`)
		wantAnswer(t, bob.Call(http.MethodGet, profilePath, ""), http.StatusUnauthorized, "unauthorized")
	})
}

func TestValuesPlantedBeforeSignIn(t *testing.T) {
	s := apitest.Start(t, unlimited())
	t.Run("PPL-04 session, pre-session and CSRF token of before are worth nothing after", func(t *testing.T) {
		// An attacker gave this browser a pre-session and knows its token.
		a := s.Call(t, http.MethodGet, "/signin", "")
		presession := a.Cookies[0]
		if presession.Name != "presession" {
			t.Fatal(presession.Name)
		}
		attackers := s.SignedIn(t)
		known := tkFormToken.FindStringSubmatch(a.Body)[1]
		planted := "presession=" + presession.Value + "; console_session=" + secret.Random() + "; csrf_token=" + attackers.CSRF()
		in := s.Form(t, "/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}, "csrf_token": {known}}, "Origin", s.URL, "Cookie", planted)
		if in.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", in.Status, in.Body)
		}
		got := map[string]*http.Cookie{}
		for _, c := range in.Cookies {
			got[c.Name] = c
		}
		session := got["console_session"]
		if session == nil || strings.Contains(planted, session.Value) || got["csrf_token"] == nil || strings.Contains(planted, got["csrf_token"].Value) {
			t.Fatal("a planted value went on after the sign-in")
		}
		if p := got["presession"]; p == nil || p.Value != "" || !p.Expires.Before(time.Now()) {
			t.Fatal("the pre-session is not dropped")
		}
		c := s.Code(t, "x")
		for _, token := range []string{known, attackers.CSRF()} {
			a := s.Post(t, "/openapi/v1/oauth/device/approve", map[string]string{"user_code": c.User}, "Cookie", "console_session="+session.Value+"; presession="+presession.Value, "Origin", s.URL, "X-CSRF-Token", token)
			wantAnswer(t, a, http.StatusForbidden, "csrf_mismatch")
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
	})
	t.Run("PPL-04 a device_entry cookie is no session", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "x")
		b.Get("/device")
		b.Submit("/device", url.Values{"user_code": {c.User}})
		entry := b.Cookie("device_entry")
		if entry == "" {
			t.Fatal("no entry")
		}
		for _, name := range []string{"device_entry", "console_session", "presession"} {
			wantAnswer(t, s.Call(t, http.MethodGet, profilePath, "", "Cookie", name+"="+entry), http.StatusUnauthorized, "unauthorized")
		}
	})
}
