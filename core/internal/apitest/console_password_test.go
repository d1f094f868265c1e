// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

const (
	passwordPath        = "/console/api/account/password"
	consoleSessionsPath = "/console/api/sessions"
	klNewPassword       = "a new horse battery"
)

// klChange changes the password of a browser's account.
func klChange(t testing.TB, s *apitest.Server, b *apitest.Browser, body string, headers ...string) apitest.Answer {
	t.Helper()
	return b.Call(http.MethodPost, passwordPath, body, append([]string{"Content-Type", "application/json", "Origin", s.URL, "X-CSRF-Token", b.CSRF()}, headers...)...)
}

func klPasswords(old, fresh string, more string) string {
	return `{"password":"` + old + `","new_password":"` + fresh + `"` + more + `}`
}

func TestPasswordChange(t *testing.T) {
	t.Run("W-12 TOK-14 this browser goes on under a new value, all others are out, tokens stay", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b, other := s.SignedIn(t), s.SignedIn(t)
		bearer, _ := tkLogin(t, s, b, "laptop")
		approved := s.Code(t, "approved before")
		allow(t, other, approved)
		former := b.Cookie("console_session")

		a := klChange(t, s, b, klPasswords(apitest.OwnerPassword, klNewPassword, ""))
		wantAnswer(t, a, http.StatusOK, "")
		values, attributes := tkCookies(t, a)
		if a.Body != `{"result":"success"}` || values["console_session"] == "" || values["console_session"] == former || !strings.Contains(attributes["console_session"], "httponly") {
			t.Fatalf("%s %v", a.Body, attributes)
		}
		if values["csrf_token"] != b.CSRF() {
			t.Error("the copy of the CSRF token is of the former session")
		}
		wantAnswer(t, b.Call(http.MethodGet, profilePath, ""), http.StatusOK, "")
		wantAnswer(t, other.Call(http.MethodGet, profilePath, ""), http.StatusUnauthorized, "unauthorized")
		wantAnswer(t, s.Call(t, http.MethodGet, profilePath, "", "Cookie", "console_session="+former), http.StatusUnauthorized, "unauthorized")
		tkAsk(t, s, bearer, http.StatusOK, "")
		wantAnswer(t, s.Poll(t, approved), http.StatusBadRequest, "access_denied")

		login := func(password string) apitest.Answer {
			return s.Call(t, http.MethodPost, loginPath, tkLoginBody(apitest.OwnerEmail, tkEncoded(password), false), "Content-Type", "application/json")
		}
		wantAnswer(t, login(apitest.OwnerPassword), http.StatusUnauthorized, "invalid_credentials")
		wantAnswer(t, login(klNewPassword), http.StatusOK, "")
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'account.password_changed' AND actor_id = $1`, ownerID(t, s)); n != 1 {
			t.Errorf("%d events", n)
		}
		for _, password := range []string{apitest.OwnerPassword, klNewPassword} {
			if strings.Contains(s.Log.String(), password) {
				t.Error("a password stands in the log")
			}
		}
		later, _ := tkLogin(t, s, b, "later")
		tkAsk(t, s, later, http.StatusOK, "")
	})

	t.Run("W-12 tokens end with it when they are asked to", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		addAccount(t, s, "bob@example.com")
		b, bob := s.SignedIn(t), signedInAs(t, s, "bob@example.com")
		one, _ := tkLogin(t, s, b, "one")
		two, _ := tkLogin(t, s, b, "two")
		bobs, _ := tkLogin(t, s, bob, "one")
		tkAsk(t, s, one, http.StatusOK, "") // and is remembered
		wantAnswer(t, klChange(t, s, b, klPasswords(apitest.OwnerPassword, klNewPassword, `,"revoke_tokens":true`)), http.StatusOK, "")
		tkAsk(t, s, one, http.StatusUnauthorized, "invalid_token")
		tkAsk(t, s, two, http.StatusUnauthorized, "invalid_token")
		tkAsk(t, s, bobs, http.StatusOK, "")
		wantAnswer(t, bob.Call(http.MethodGet, profilePath, ""), http.StatusOK, "")
	})

	t.Run("a remembered browser stays one", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		cookie := "console_session=" + tkSignIn(t, s, true)
		csrf := s.Call(t, http.MethodGet, "/console/api/csrf-token", "", "Cookie", cookie).Text(t, "csrf_token")
		a := s.Call(t, http.MethodPost, passwordPath, klPasswords(apitest.OwnerPassword, klNewPassword, ""), "Content-Type", "application/json", "Cookie", cookie, "X-CSRF-Token", csrf)
		wantAnswer(t, a, http.StatusOK, "")
		if _, attributes := tkCookies(t, a); !strings.Contains(attributes["console_session"], "max-age=2592000") {
			t.Error(attributes)
		}
	})

	t.Run("refusals change nothing", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b := s.SignedIn(t)
		for name, c := range map[string]struct {
			body   string
			status int
			code   string
		}{
			"a wrong old one":         {klPasswords("wrong battery staple", klNewPassword, ""), 401, "invalid_credentials"},
			"too short":               {klPasswords(apitest.OwnerPassword, "short", ""), 400, "bad_request"},
			"the e-mail":              {klPasswords(apitest.OwnerPassword, apitest.OwnerEmail, ""), 400, "bad_request"},
			"no new one":              {`{"password":"` + apitest.OwnerPassword + `"}`, 400, "bad_request"},
			"no old one":              {`{"new_password":"` + klNewPassword + `"}`, 400, "bad_request"},
			"empty ones":              {klPasswords("", "", ""), 400, "bad_request"},
			"tokens that is no truth": {klPasswords(apitest.OwnerPassword, klNewPassword, `,"revoke_tokens":"yes"`), 400, "bad_request"},
			"in base64":               {klPasswords(tkEncoded(apitest.OwnerPassword), klNewPassword, ""), 401, "invalid_credentials"},
			"no JSON":                 {"x", 400, "invalid_json"},
		} {
			a := klChange(t, s, b, c.body)
			if a.Status != c.status || reasonOf(a) != c.code || len(a.Cookies) > 0 {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
			if strings.Contains(a.Body, klNewPassword) || strings.Contains(a.Body, apitest.OwnerPassword) {
				t.Errorf("%s: the answer repeats a password", name)
			}
		}
		wantAnswer(t, b.Call(http.MethodGet, profilePath, ""), http.StatusOK, "")
		s.SignedIn(t)
	})

	t.Run("W-16 LIM-15 wrong old passwords share the budget of signing in, and right ones cost none of it", func(t *testing.T) {
		frozen := &tkFrozen{}
		s := apitest.Start(t, apitest.Wrap(frozen.wrap))
		b := s.SignedIn(t)
		for range 7 {
			wantAnswer(t, klChange(t, s, b, klPasswords(apitest.OwnerPassword, apitest.OwnerPassword, "")), http.StatusOK, "")
		}
		for range 5 {
			wantAnswer(t, klChange(t, s, b, klPasswords("wrong battery staple", klNewPassword, "")), http.StatusUnauthorized, "invalid_credentials")
		}
		a := klChange(t, s, b, klPasswords(apitest.OwnerPassword, klNewPassword, ""))
		wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
		tkRefusedBy(t, a, "5")
		login := s.Call(t, http.MethodPost, loginPath, tkLoginBody(apitest.OwnerEmail, tkEncoded(apitest.OwnerPassword), false), "Content-Type", "application/json")
		wantAnswer(t, login, http.StatusTooManyRequests, "too_many_requests")
	})

	t.Run("TK-11 tombstones that cannot be written: the password is changed, and the answer says so", func(t *testing.T) {
		cache := &klCache{}
		s := apitest.Start(t, unlimited(), apitest.Wrap(cache.wrap))
		b := s.SignedIn(t)
		tkLogin(t, s, b, "laptop")
		cache.setBroken(true)
		a := klChange(t, s, b, klPasswords(apitest.OwnerPassword, klNewPassword, `,"revoke_tokens":true`))
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
		if hint, _ := a.JSON(t)["hint"].(string); hint == "" || a.Header.Get("Retry-After") == "" || len(a.Cookies) > 0 || liveRows(t, s) != 0 {
			t.Fatalf("%s %v", a.Body, a.Header)
		}
		cache.setBroken(false) // what waits is written when the server ends
		b.SignIn(apitest.OwnerEmail, klNewPassword)
	})
}

func TestConsoleSessionsRoute(t *testing.T) {
	s := apitest.Start(t, unlimited())
	addAccount(t, s, "bob@example.com")
	list := func(t *testing.T, b *apitest.Browser) []any {
		t.Helper()
		a := b.Call(http.MethodGet, consoleSessionsPath, "")
		wantAnswer(t, a, http.StatusOK, "")
		return a.JSON(t)["sessions"].([]any)
	}
	end := func(b *apitest.Browser, id string) apitest.Answer {
		return b.Call(http.MethodDelete, consoleSessionsPath+"/"+id, "", "Origin", s.URL, "X-CSRF-Token", b.CSRF())
	}
	id := func(t *testing.T, b *apitest.Browser) string {
		t.Helper()
		for _, entry := range list(t, b) {
			if m := entry.(map[string]any); m["current"] == true {
				return m["id"].(string)
			}
		}
		t.Fatal("no current session")
		return ""
	}

	t.Run("own browsers, newest first, with all members and no value", func(t *testing.T) {
		b := signedInAs(t, s, "bob@example.com")
		newer := signedInAs(t, s, "bob@example.com")
		s.SignedIn(t)
		got := list(t, b)
		if len(got) != 2 {
			t.Fatalf("%v", got)
		}
		first, second := got[0].(map[string]any), got[1].(map[string]any)
		if first["id"] != id(t, newer) || first["current"] != false || second["current"] != true || second["how"] != "password" || second["ip"] != "127.0.0.1" {
			t.Errorf("%v", got)
		}
		for _, name := range []string{"id", "how", "created_at", "last_seen_at", "expires_at", "ip", "user_agent", "current"} {
			if _, ok := first[name]; !ok || len(first) != 8 {
				t.Errorf("%s is missing, or there is more: %v", name, first)
			}
		}
	})

	t.Run("TK-27 another browser ends, and what it approved with it", func(t *testing.T) {
		b, other := s.SignedIn(t), s.SignedIn(t)
		bearer, _ := tkLogin(t, s, b, "standing")
		c := s.Code(t, "approved there")
		allow(t, other, c)
		wantAnswer(t, end(b, id(t, other)), http.StatusOK, "")
		wantAnswer(t, other.Call(http.MethodGet, profilePath, ""), http.StatusUnauthorized, "unauthorized")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
		tkAsk(t, s, bearer, http.StatusOK, "")
		later, _ := tkLogin(t, s, b, "later")
		tkAsk(t, s, later, http.StatusOK, "")
	})

	t.Run("the present one is a sign-out", func(t *testing.T) {
		b := s.SignedIn(t)
		c := s.Code(t, "approved before")
		allow(t, b, c)
		a := end(b, id(t, b))
		wantAnswer(t, a, http.StatusOK, "")
		if b.Cookie("console_session") != "" {
			t.Error("the cookie is still there")
		}
		wantAnswer(t, s.Poll(t, c), http.StatusOK, "")
	})

	t.Run("TOK-07 a foreign, an ended, an unknown and a malformed one read alike", func(t *testing.T) {
		b, other := s.SignedIn(t), s.SignedIn(t)
		bob := signedInAs(t, s, "bob@example.com")
		ended := id(t, other)
		wantAnswer(t, end(b, ended), http.StatusOK, "")
		want := end(b, "01890000-0000-7000-8000-000000000000")
		wantAnswer(t, want, http.StatusNotFound, "session_not_found")
		for _, foreign := range []string{id(t, bob), ended, "x", strings.ToUpper(id(t, b))} {
			a := end(b, foreign)
			if a.Status != want.Status || a.Body != want.Body {
				t.Errorf("%s: %d %s", foreign, a.Status, a.Body)
			}
		}
		wantAnswer(t, bob.Call(http.MethodGet, profilePath, ""), http.StatusOK, "")
	})
}
