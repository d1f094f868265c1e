// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// The pages work without JavaScript: this browser has none.
func TestOneSignInThroughThePages(t *testing.T) {
	s := apitest.Start(t)
	b := s.Browser(t)
	c := s.Code(t, "laptop")

	b.Get("/device")
	t.Run("W-2 the code is typed and leads to sign-in", func(t *testing.T) {
		a := b.Submit("/device", url.Values{"user_code": {strings.ToLower(c.User)}})
		if a.Status != http.StatusOK || !strings.HasPrefix(b.Path, "/signin?return_to=") {
			t.Fatalf("%d at %s:\n%s", a.Status, b.Path, a.Body)
		}
	})
	t.Run("W-7 signing in on the way approves nothing", func(t *testing.T) {
		b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}})
		if b.Path != "/device?user_code="+c.User || !strings.Contains(b.Page.Body, "laptop") {
			t.Fatalf("at %s:\n%s", b.Path, b.Page.Body)
		}
		if a := s.Poll(t, c); a.Text(t, "error") != "authorization_pending" {
			t.Fatalf("poll: %s", a.Body)
		}
	})
	b.Submit("/device/authorize", url.Values{"decision": {"allow"}})
	if b.Path != "/device?outcome=approved" {
		t.Fatalf("at %s:\n%s", b.Path, b.Page.Body)
	}
	s.Clock.Advance(6e9)
	a := s.Poll(t, c)
	if a.Status != http.StatusOK {
		t.Fatalf("poll: %d %s", a.Status, a.Body)
	}
	token := a.Text(t, "token")
	if got := s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"); got.Status != http.StatusOK {
		t.Fatalf("account: %d %s", got.Status, got.Body)
	}
	t.Run("W-18 the sessions page ends it, dead at the next request", func(t *testing.T) {
		b.Get("/account/sessions")
		if !strings.Contains(b.Page.Body, "laptop") {
			t.Fatal(b.Page.Body)
		}
		b.Get("/account/sessions/end?kind=device&id=" + a.Text(t, "token_id"))
		b.Submit("/account/sessions/end", nil)
		if b.Page.Status != http.StatusOK || !strings.HasPrefix(b.Path, "/account/sessions") {
			t.Fatalf("%d at %s:\n%s", b.Page.Status, b.Path, b.Page.Body)
		}
		if got := s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"); got.Status != http.StatusUnauthorized {
			t.Fatalf("account: %d %s", got.Status, got.Body)
		}
	})
}
