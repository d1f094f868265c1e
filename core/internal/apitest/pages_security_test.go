// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

const pgSecurity = "/account/security"

// pgNewPassword fills the form of the security page.
func pgNewPassword(old, fresh, again string) url.Values {
	return url.Values{"password": {old}, "new_password": {fresh}, "password_again": {again}}
}

func TestPasswordOnThePage(t *testing.T) {
	t.Run("W-12 this browser goes on under a new value, all others are out, devices stay", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b, other := s.SignedIn(t), s.SignedIn(t)
		bearer, _ := s.SignInDevice(t, b, "laptop")
		former := b.Cookie("console_session")
		b.Get(pgSecurity)
		a := b.Submit(pgSecurity, pgNewPassword(apitest.OwnerPassword, klNewPassword, klNewPassword))
		if b.Path != pgSecurity+"?outcome=changed" || !strings.Contains(a.Body, "Your password has been changed.") || b.Cookie("console_session") == former {
			t.Fatalf("%d at %s:\n%s", a.Status, b.Path, a.Body)
		}
		if other.Get(pgSecurity); other.Path != "/signin?return_to=%2Faccount%2Fsecurity" {
			t.Errorf("the other browser is at %s", other.Path)
		}
		wantAnswer(t, s.Call(t, http.MethodGet, profilePath, "", "Cookie", "console_session="+former), http.StatusUnauthorized, "unauthorized")
		tkAsk(t, s, bearer, http.StatusOK, "")
		s.Browser(t).SignIn(apitest.OwnerEmail, klNewPassword)
	})
	t.Run("the tick ends all devices, too", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b := s.SignedIn(t)
		bearer, _ := s.SignInDevice(t, b, "laptop")
		b.Get(pgSecurity)
		fields := pgNewPassword(apitest.OwnerPassword, klNewPassword, klNewPassword)
		fields.Set("revoke_tokens", "yes")
		if a := b.Submit(pgSecurity, fields); b.Path != pgSecurity+"?outcome=changed_all" || !strings.Contains(a.Body, "Every device and every other browser is signed out.") {
			t.Fatalf("%d at %s:\n%s", a.Status, b.Path, a.Body)
		}
		tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
	})
	t.Run("a refusal changes nothing, names its field, and repeats no password", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b := s.SignedIn(t)
		for name, tc := range map[string]struct {
			fields url.Values
			status int
			field  string
		}{
			"a wrong current one": {pgNewPassword("wrong battery staple", klNewPassword, klNewPassword), http.StatusUnauthorized, "password"},
			"too short":           {pgNewPassword(apitest.OwnerPassword, "short", "short"), http.StatusBadRequest, "new_password"},
			"the e-mail":          {pgNewPassword(apitest.OwnerPassword, apitest.OwnerEmail, apitest.OwnerEmail), http.StatusBadRequest, "new_password"},
			"two that differ":     {pgNewPassword(apitest.OwnerPassword, klNewPassword, klNewPassword+"x"), http.StatusBadRequest, "password_again"},
			"nothing":             {url.Values{}, http.StatusUnauthorized, "password"},
		} {
			b.Get(pgSecurity)
			tc.fields.Set("revoke_tokens", "yes")
			a := b.Submit(pgSecurity, tc.fields)
			for _, want := range []string{`<li><a href="#` + tc.field + `">`, `id="` + tc.field + `_err"`, `aria-invalid="true"`, `name="revoke_tokens" value="yes" checked`} {
				if a.Status != tc.status || !strings.Contains(a.Body, want) || len(a.Cookies) > 0 {
					t.Errorf("%s: %d without %s:\n%s", name, a.Status, want, a.Body)
				}
			}
			if strings.Contains(a.Body, "battery") || strings.Contains(a.Body, `type="password" value`) {
				t.Errorf("%s: a password stands in the page", name)
			}
		}
		s.SignedIn(t)
	})
	t.Run("W-16 wrong ones share the budget of signing in", func(t *testing.T) {
		frozen := &tkFrozen{}
		s := apitest.Start(t, apitest.Wrap(frozen.wrap))
		b := s.SignedIn(t)
		b.Get(pgSecurity)
		for range 5 {
			b.Submit(pgSecurity, pgNewPassword("wrong battery staple", klNewPassword, klNewPassword))
		}
		a := b.Submit(pgSecurity, pgNewPassword(apitest.OwnerPassword, klNewPassword, klNewPassword))
		if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "Too many tries. Wait ") || !strings.Contains(a.Body, `name="new_password"`) {
			t.Fatalf("%d %v:\n%s", a.Status, a.Header, a.Body)
		}
	})
	t.Run("TK-11 tombstones that cannot be written: the password is changed, and the page says so", func(t *testing.T) {
		cache := &klCache{}
		s := apitest.Start(t, unlimited(), apitest.Wrap(cache.wrap))
		b := s.SignedIn(t)
		tkLogin(t, s, b, "laptop")
		b.Get(pgSecurity)
		cache.setBroken(true)
		fields := pgNewPassword(apitest.OwnerPassword, klNewPassword, klNewPassword)
		fields.Set("revoke_tokens", "yes")
		a := b.Submit(pgSecurity, fields)
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "Your password has been changed") || strings.Contains(a.Body, `action="/signout"`) || liveRows(t, s) != 0 {
			t.Fatalf("%d %v:\n%s", a.Status, a.Header, a.Body)
		}
		cache.setBroken(false)
		if b.Get(pgSecurity); !strings.HasPrefix(b.Path, "/signin") {
			t.Errorf("at %s", b.Path)
		}
		b.SignIn(apitest.OwnerEmail, klNewPassword)
	})
}

func TestEndingEverythingElse(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b, other := s.SignedIn(t), s.SignedIn(t)
	bearer, _ := s.SignInDevice(t, b, "laptop")
	t.Run("W-18 the security page ends all others after one question, and this browser stays", func(t *testing.T) {
		if a := b.Get(pgSecurity); !strings.Contains(a.Body, `href="/account/security/end"`) {
			t.Fatal(a.Body)
		}
		b.Get(pgSecurity + "/end")
		tkAsk(t, s, bearer, http.StatusOK, "")
		a := b.Submit(pgSecurity+"/end", nil)
		if b.Path != pgSecurity+"?outcome=ended" || !strings.Contains(a.Body, "Ended. Every device and every other browser is signed out.") {
			t.Fatalf("%d at %s:\n%s", a.Status, b.Path, a.Body)
		}
		tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
		if other.Get(pgSecurity); !strings.HasPrefix(other.Path, "/signin") {
			t.Errorf("the other browser is at %s", other.Path)
		}
	})
	t.Run("an outcome that somebody made up says nothing", func(t *testing.T) {
		if a := b.Get(pgSecurity + "?outcome=everything"); a.Status != http.StatusOK || strings.Contains(a.Body, `class="notice"`) {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
	})
	t.Run("the pages lead to one another, and each says which it is", func(t *testing.T) {
		for _, path := range []string{"/account/sessions", pgSecurity} {
			a := b.Get(path)
			if !strings.Contains(a.Body, `<a href="`+path+`" aria-current="page">`) || !strings.Contains(a.Body, `<a href="/account/sessions"`) || !strings.Contains(a.Body, `<a href="/account/security"`) {
				t.Errorf("%s:\n%s", path, a.Body)
			}
		}
	})
}
