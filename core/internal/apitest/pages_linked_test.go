// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// pgLinking starts a server whose devices get a link that brings their code.
func pgLinking(t *testing.T) *apitest.Server {
	t.Helper()
	return apitest.Start(t, unlimited(), apitest.Set("DEVICE_VERIFICATION_URI_COMPLETE_ENABLED", "true"))
}

var pgTick = regexp.MustCompile(`<input [^>]*name="confirm"[^>]*>`)

// pgFollow opens the link of a code and presses Next, as somebody does who types nothing.
func pgFollow(b *apitest.Browser, code string) apitest.Answer {
	b.Get("/device?user_code=" + code)
	return b.Submit("/device", url.Values{"user_code": {code}})
}

func TestALinkThatBringsTheCode(t *testing.T) {
	s := pgLinking(t)
	b, c := s.SignedIn(t), s.Code(t, "x")
	t.Run("W-4 the device is given a link", func(t *testing.T) {
		a := s.Post(t, "/openapi/v1/oauth/device/code", map[string]string{"client_id": "difyctl", "device_label": "x"})
		if want := a.Text(t, "verification_uri") + "?user_code=" + a.Text(t, "user_code"); a.Text(t, "verification_uri_complete") != want {
			t.Fatalf("not %s: %s", want, a.Body)
		}
	})
	t.Run("W-4 the link fills the field, says so, and decides nothing", func(t *testing.T) {
		for _, who := range []*apitest.Browser{b, s.Browser(t)} {
			a := who.Get("/device?user_code=" + c.User)
			if !strings.Contains(a.Body, `name="user_code" value="`+c.User+`"`) || !strings.Contains(a.Body, "This code came with a link. Compare it with your terminal.") || strings.Contains(a.Body, `value="allow"`) || who.Cookie("device_entry") != "" {
				t.Fatal(a.Body)
			}
		}
		pgStands(t, s, c)
	})
	t.Run("W-4 what is no code fills nothing", func(t *testing.T) {
		pgEmptyEntry(t, b.Get("/device?user_code=nonsense"), "nonsense")
		pgEmptyEntry(t, b.Get("/device"), c.User)
	})
	t.Run("W-5 Allow without the tick is the page again, and nothing has moved", func(t *testing.T) {
		pgFollow(b, c.User)
		pgAsks(t, b, c.User)
		for _, fields := range []url.Values{{"decision": {"allow"}}, {"decision": {"allow"}, "confirm": {"no"}}, {"decision": {"allow"}, "linked": {""}}} {
			if tick := pgTick.FindString(b.Page.Body); tick == "" || strings.Contains(tick, "checked") {
				t.Fatalf("the tick is %q:\n%s", tick, b.Page.Body)
			}
			a := b.Submit("/device/authorize", fields)
			if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `href="#confirm"`) || !strings.Contains(a.Body, c.User) || !strings.Contains(a.Body, `value="allow"`) {
				t.Fatalf("%d:\n%s", a.Status, a.Body)
			}
			pgStands(t, s, c)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
	})
	t.Run("W-5 with the tick it is allowed", func(t *testing.T) {
		b.Submit("/device/authorize", url.Values{"decision": {"allow"}, "confirm": {"yes"}})
		if b.Path != "/device?outcome=approved" {
			t.Fatalf("at %s:\n%s", b.Path, b.Page.Body)
		}
	})
	t.Run("W-5 refusing needs no tick", func(t *testing.T) {
		c := s.Code(t, "y")
		pgFollow(b, c.User)
		b.Submit("/device/authorize", url.Values{"decision": {"deny"}})
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
	})
	t.Run("W-5 signing in on the way does not lose what the link was", func(t *testing.T) {
		stranger, c := s.Browser(t), s.Code(t, "z")
		pgFollow(stranger, c.User)
		stranger.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}})
		pgAsks(t, stranger, c.User)
		if pgTick.FindString(stranger.Page.Body) == "" {
			t.Fatal(stranger.Page.Body)
		}
	})
	t.Run("W-5 a code that went meanwhile is an expired one", func(t *testing.T) {
		c := s.Code(t, "gone")
		pgFollow(b, c.User)
		asked := b.Page
		wantAnswer(t, b.Decide("deny", c.User), http.StatusOK, "")
		b.Page = asked
		if a := b.Submit("/device/authorize", url.Values{"decision": {"allow"}}); a.Status != http.StatusConflict || !strings.Contains(a.Body, "expired or was already used") {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
	})
	t.Run("W-4 a typed code has no tick here either", func(t *testing.T) {
		c, other := s.Code(t, "typed"), s.Code(t, "other")
		pgEnter(b, c.User)
		pgAsks(t, b, c.User)
		if pgTick.FindString(b.Page.Body) != "" {
			t.Fatal(b.Page.Body)
		}
		b.Get("/device?user_code=" + other.User) // a link whose code is typed over
		b.Submit("/device", url.Values{"user_code": {c.User}})
		pgAsks(t, b, c.User)
		if pgTick.FindString(b.Page.Body) != "" {
			t.Fatal(b.Page.Body)
		}
	})
}
