// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func TestApprovalContext(t *testing.T) {
	s := apitest.Start(t, unlimited("device.wrong.account=5/15m"))
	b := s.SignedIn(t)
	ask := func(query string, headers ...string) apitest.Answer {
		return b.Call(http.MethodGet, mtContext+query, "", headers...)
	}
	c := s.Code(t, "Ada's <laptop>")
	t.Run("DF-46 a pending code: every member in its order", func(t *testing.T) {
		for _, typed := range []string{c.User, strings.ToLower(strings.ReplaceAll(c.User, "-", "")), " " + c.User + " "} {
			a := ask("?user_code=" + url.QueryEscape(typed))
			wantAnswer(t, a, http.StatusOK, "")
			at := func(member string) string {
				text := a.Text(t, member)
				if _, err := time.Parse("2006-01-02T15:04:05Z", text); err != nil {
					t.Fatal(err)
				}
				return text
			}
			want := `{"subject_type":"account","subject_email":"` + apitest.OwnerEmail + `","user_code":"` + c.User + `","client_id":"difyctl",` +
				`"device_label":"Ada's \u003claptop\u003e","requested_at":"` + at("requested_at") + `","requested_from":"127.0.0.1","expires_at":"` + at("expires_at") +
				`","workspace":{"id":"` + sqlText(t, s, `SELECT id FROM workspaces`) + `","name":"` + apitest.Workspace + `"},"csrf_token":"` + b.CSRF() + `"}`
			if a.Body != want || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
				t.Errorf("%v\n%s instead of\n%s", a.Header, a.Body, want)
			}
			asked, _ := time.Parse(time.RFC3339, at("requested_at"))
			ends, _ := time.Parse(time.RFC3339, at("expires_at"))
			if d := ends.Sub(asked); d < 899*time.Second || d > 901*time.Second {
				t.Errorf("it lives %s", d)
			}
		}
	})
	t.Run("DF-46 somebody without a workspace", func(t *testing.T) {
		addAccount(t, s, "alone@example.com")
		a := signedInAs(t, s, "alone@example.com").Call(http.MethodGet, mtContext+"?user_code="+c.User, "")
		if a.Status != http.StatusOK || !strings.Contains(a.Body, `"workspace":null`) || a.Text(t, "subject_email") != "alone@example.com" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("DF-46 looking changes nothing, and its CSRF token approves", func(t *testing.T) {
		seen := ask("?user_code=" + c.User)
		if a := s.Poll(t, c); reasonOf(a) != "authorization_pending" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		wantAnswer(t, b.Call(http.MethodPost, "/openapi/v1/oauth/device/approve", `{"user_code":"`+c.User+`"}`,
			"Content-Type", "application/json", "Origin", s.URL, "X-CSRF-Token", seen.Text(t, "csrf_token")), http.StatusOK, "")
	})
	t.Run("DF-46 a code that is decided", func(t *testing.T) {
		a := ask("?user_code=" + c.User)
		wantAnswer(t, a, http.StatusConflict, "already_resolved")
		if a.Text(t, "error") != "already_resolved" {
			t.Errorf("%s", a.Body)
		}
	})
	t.Run("DF-46 no session, a bearer alone", func(t *testing.T) {
		for _, headers := range [][]string{nil, {"Authorization", "Bearer dfoa_" + strings.Repeat("A", 43)}, {"X-Inner-Api-Key", faKey}} {
			a := s.Call(t, http.MethodGet, mtContext+"?user_code="+c.User, "", headers...)
			wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
			if a.Text(t, "error") != "unauthorized" || a.Header.Get("WWW-Authenticate") != `Cookie realm="console"` {
				t.Errorf("%v %s", a.Header, a.Body)
			}
		}
	})
	t.Run("DF-46 no code, an empty one, two", func(t *testing.T) {
		for _, query := range []string{"", "?user_code=", "?user_code=" + c.User + "&user_code=" + c.User, "?User_Code=" + c.User} {
			a := ask(query)
			wantAnswer(t, a, http.StatusBadRequest, "bad_request")
			if strings.Contains(a.Body, c.User) {
				t.Errorf("%s", a.Body)
			}
		}
	})
	t.Run("DF-46 before set-up", func(t *testing.T) {
		fresh := apitest.Start(t, apitest.Fresh())
		wantAnswer(t, fresh.Call(t, http.MethodGet, mtContext, ""), http.StatusUnauthorized, "not_setup")
	})
	t.Run("DF-46 LIM-11 the sixth wrong code", func(t *testing.T) {
		fresh := s.Code(t, "box")
		for range 20 {
			wantAnswer(t, ask("?user_code="+fresh.User), http.StatusOK, "") // right ones cost nothing
			wantAnswer(t, ask(""), http.StatusBadRequest, "")               // nor does none
		}
		for range 5 {
			wantAnswer(t, ask("?user_code=BCDF-GHJK"), http.StatusNotFound, "expired_or_unknown")
		}
		// Then right and wrong alike, here and on every route that takes codes, before what
		// was sent is looked at.
		headers := []string{"Origin", s.URL, "X-CSRF-Token", b.CSRF()}
		for name, a := range map[string]apitest.Answer{
			"wrong": ask("?user_code=BCDF-GHJK"), "right": ask("?user_code=" + fresh.User), "none": ask(""),
			"approve": b.Call(http.MethodPost, "/openapi/v1/oauth/device/approve", `{"user_code":"`+fresh.User+`"}`, append(headers, "Content-Type", "application/json")...),
			"deny":    b.Call(http.MethodPost, "/openapi/v1/oauth/device/deny", `<x/>`, append(headers, "Content-Type", "text/xml")...),
		} {
			wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
			if a.Header.Get("Retry-After") == "" || a.Text(t, "error") != "too_many_requests" {
				t.Errorf("%s: %v %s", name, a.Header, a.Body)
			}
		}
		s.Clock.Advance(15*time.Minute + time.Second)
		again := s.Code(t, "box")
		wantAnswer(t, ask("?user_code="+again.User), http.StatusOK, "")
	})
	t.Run("DF-46 a code that has expired", func(t *testing.T) {
		old := s.Code(t, "box")
		s.Clock.Advance(15*time.Minute + time.Second)
		wantAnswer(t, ask("?user_code="+old.User), http.StatusNotFound, "expired_or_unknown")
	})
}
