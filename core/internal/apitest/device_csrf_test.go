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

// dvUndecided fails unless the newest grant still waits for a decision.
func (s *dvServer) undecided(t testing.TB) {
	t.Helper()
	if got := s.state(t); got != devicegrant.Pending {
		t.Fatalf("the grant is %q", got)
	}
}

func TestDecisionsNeedAConsoleSession(t *testing.T) {
	s := dvStart(t)
	bearer, _ := s.SignInDevice(t, s.owner.browser, "x")
	c := s.Code(t, "y")
	for _, tc := range []struct {
		name    string
		headers []string
	}{
		{"DF-32 nothing", nil},
		{"DF-32 a live access token", []string{"Authorization", "Bearer " + bearer}},
		{"DF-32 a live access token as the cookie", []string{"Cookie", "console_session=" + bearer}},
		{"DF-32 an app key", []string{"Authorization", "Bearer app-" + strings.Repeat("a", 24)}},
		{"DF-32 an inner key", []string{"X-Inner-Api-Key", strings.Repeat("a", 43), "Authorization", "Bearer " + strings.Repeat("a", 43)}},
		{"DF-32 a cookie value that is no session", []string{"Cookie", "console_session=" + strings.Repeat("a", 43)}},
		{"DF-32 the cookie twice", []string{"Cookie", s.owner.cookie + "; " + s.owner.cookie}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, act := range []string{"approve", "deny"} {
				headers := append([]string{"Content-Type", "application/json", "Origin", s.URL, "X-CSRF-Token", s.owner.token}, tc.headers...)
				a := s.Call(t, http.MethodPost, "/openapi/v1/oauth/device/"+act, `{"user_code":"`+c.User+`"}`, headers...)
				wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
				if a.Header.Get("WWW-Authenticate") != `Cookie realm="console"` {
					t.Errorf("challenge %q", a.Header.Get("WWW-Authenticate"))
				}
				s.undecided(t)
			}
		})
	}
	t.Run("DF-32 a bearer beside the cookie is not looked at", func(t *testing.T) {
		a := s.Call(t, http.MethodPost, "/openapi/v1/oauth/device/deny", `{"user_code":"`+c.User+`"}`, append(s.owner.headers(), "Authorization", "Bearer nonsense")...)
		wantAnswer(t, a, http.StatusOK, "")
	})
}

func TestDecisionsComeFromOurOwnPages(t *testing.T) {
	slow(t)
	s := dvStart(t)
	addAccount(t, s.Server, "bob@example.com")
	second, bob := dvSignIn(t, s.Server, apitest.OwnerEmail), dvSignIn(t, s.Server, "bob@example.com")
	ended := dvSignIn(t, s.Server, apitest.OwnerEmail)
	wantAnswer(t, s.Call(t, http.MethodPost, "/console/api/logout", "", ended.headers()...), http.StatusOK, "")
	c := s.Code(t, "x")

	const json = "application/json"
	body := `{"user_code":"` + c.User + `"}`
	form := url.Values{"user_code": {c.User}, "csrf_token": {s.owner.token}}.Encode()
	cases := []struct {
		name, media, body string
		origin, token     string
		more              []string
		status            int
		word              string
	}{
		{"DF-33 DEV-15 no token", json, body, s.URL, "", nil, 403, "csrf_mismatch"},
		{"DF-33 DEV-15 a forged token", json, body, s.URL, strings.Repeat("A", 43), nil, 403, "csrf_mismatch"},
		{"DF-33 DEV-15 no token, but the cookie for scripts", json, body, s.URL, "", []string{"Cookie", "csrf_token=" + s.owner.token}, 403, "csrf_mismatch"},
		{"DF-33 DEV-16 the token of another's session", json, body, s.URL, bob.token, nil, 403, "csrf_mismatch"},
		{"DF-33 DEV-16 the token of another session of the same account", json, body, s.URL, second.token, nil, 403, "csrf_mismatch"},
		{"DF-33 DEV-16 the token of a session that ended", json, body, s.URL, ended.token, nil, 403, "csrf_mismatch"},
		{"DF-33 DEV-15 a foreign origin", json, body, "https://evil.example", s.owner.token, nil, 403, "origin_not_allowed"},
		{"DF-33 DEV-15 the origin null", json, body, "null", s.owner.token, nil, 403, "origin_not_allowed"},
		{"DF-33 DEV-15 another port of this host", json, body, "http://127.0.0.1:1", s.owner.token, nil, 403, "origin_not_allowed"},
		{"DF-33 DEV-15 an origin that begins like ours", json, body, s.URL + ".evil.example", s.owner.token, nil, 403, "origin_not_allowed"},
		{"DF-33 DEV-15 a cross-site fetch", json, body, s.URL, s.owner.token, []string{"Sec-Fetch-Site", "cross-site"}, 403, "origin_not_allowed"},
		{"DF-33 DEV-15 a same-site fetch", json, body, s.URL, s.owner.token, []string{"Sec-Fetch-Site", "same-site"}, 403, "origin_not_allowed"},
		{"DF-33 DEV-15 an address typed into the bar", json, body, "", s.owner.token, []string{"Sec-Fetch-Site", "none"}, 403, "origin_not_allowed"},
		{"DF-33 DEV-15 a form", "application/x-www-form-urlencoded", form, s.URL, s.owner.token, nil, 415, "unsupported_media_type"},
		{"DEV-15 text/plain", "text/plain", body, s.URL, s.owner.token, nil, 415, "unsupported_media_type"},
		{"DEV-15 no content type", "", body, s.URL, s.owner.token, nil, 415, "unsupported_media_type"},
		{"DEV-15 a cross-site form without a token", "text/plain", body, "https://evil.example", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "origin_not_allowed"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			headers := []string{"Cookie", s.owner.cookie}
			for name, value := range map[string]string{"Content-Type": tc.media, "Origin": tc.origin, "X-CSRF-Token": tc.token} {
				if value != "" {
					headers = append(headers, name, value)
				}
			}
			for i := 0; i < len(tc.more); i += 2 {
				if tc.more[i] == "Cookie" {
					headers[1] += "; " + tc.more[i+1]
				} else {
					headers = append(headers, tc.more[i], tc.more[i+1])
				}
			}
			for _, act := range []string{"approve", "deny"} {
				a := s.Call(t, http.MethodPost, "/openapi/v1/oauth/device/"+act, tc.body, headers...)
				wantAnswer(t, a, tc.status, tc.word)
				if v := a.JSON(t); v["error"] != tc.word || v["code"] != tc.word {
					t.Errorf("body %s", a.Body)
				}
				s.undecided(t)
			}
		})
	}
	t.Run("DEV-15 what is refused is on record", func(t *testing.T) {
		eventually(t, func() (bool, string) {
			n := sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'console.csrf_refused' AND actor_id = $1`, ownerID(t, s.Server))
			return n > 0, "no event"
		})
	})

	moves := []struct{ name, method, path string }{
		{"DEV-16 GET approve", http.MethodGet, "/openapi/v1/oauth/device/approve?user_code=" + c.User},
		{"DEV-16 HEAD approve", http.MethodHead, "/openapi/v1/oauth/device/approve?user_code=" + c.User},
		{"DEV-16 GET deny", http.MethodGet, "/openapi/v1/oauth/device/deny?user_code=" + c.User},
		{"DEV-16 PUT approve", http.MethodPut, "/openapi/v1/oauth/device/approve"},
		{"DEV-16 GET of the form's address", http.MethodGet, "/device/authorize?decision=allow&user_code=" + c.User + "&csrf_token=" + s.owner.token},
		{"DEV-16 GET of the page with a decision", http.MethodGet, "/device?decision=allow&confirm=yes&user_code=" + c.User + "&csrf_token=" + s.owner.token},
		{"DEV-16 GET of the page with an outcome", http.MethodGet, "/device?outcome=approved&user_code=" + c.User},
	}
	for _, tc := range moves {
		t.Run(tc.name, func(t *testing.T) {
			for _, override := range [][]string{nil, {"X-HTTP-Method-Override", "POST"}, {"X-Method-Override", "POST"}} {
				a := s.Call(t, tc.method, tc.path, body, append(s.owner.headers(), override...)...)
				if strings.HasPrefix(tc.path, "/openapi") && a.Status < 400 {
					t.Errorf("status %d", a.Status)
				}
				s.undecided(t)
			}
		})
	}

	b := s.owner.browser
	t.Run("DEV-16 the page's form takes its own session's token alone", func(t *testing.T) {
		b.Get("/device")
		b.Submit("/device", url.Values{"user_code": {c.User}})
		for _, token := range []string{"", bob.token, second.token, ended.token} {
			a := b.SubmitOnly("/device/authorize", url.Values{"decision": {"allow"}, "csrf_token": {token}})
			if a.Status != http.StatusForbidden {
				t.Fatalf("token %q: %d", token, a.Status)
			}
			s.undecided(t)
		}
	})
	t.Run("DEV-16 a token planted before sign-in is worth nothing after it", func(t *testing.T) {
		b := s.Browser(t)
		b.Get("/signin")
		planted := b.Hidden("/signin").Get("csrf_token")
		b.SignIn(apitest.OwnerEmail, apitest.OwnerPassword)
		if planted == "" || b.Cookie("presession") != "" {
			t.Fatalf("planted %q, pre-session %q", planted, b.Cookie("presession"))
		}
		p := dvPerson{s: s.Server, cookie: "console_session=" + b.Cookie("console_session"), token: planted}
		wantAnswer(t, p.decide(t, "approve", c.User), http.StatusForbidden, "csrf_mismatch")
		s.undecided(t)
	})
	t.Run("DF-34 the token in X-CSRFToken", func(t *testing.T) {
		headers := []string{"Content-Type", json, "Cookie", s.owner.cookie, "Origin", s.URL}
		wantAnswer(t, s.Call(t, http.MethodPost, "/openapi/v1/oauth/device/approve", body, append(headers, "X-CSRFToken", "x")...), http.StatusForbidden, "csrf_mismatch")
		wantAnswer(t, s.Call(t, http.MethodPost, "/openapi/v1/oauth/device/approve", body, append(headers, "X-CSRFToken", s.owner.token)...), http.StatusOK, "")
	})
	t.Run("DF-34 without an Origin the header proves enough", func(t *testing.T) {
		c := s.Code(t, "y")
		a := s.Call(t, http.MethodPost, "/openapi/v1/oauth/device/deny", `{"user_code":"`+c.User+`"}`,
			"Content-Type", json, "Cookie", s.owner.cookie, "X-CSRFToken", s.owner.token)
		wantAnswer(t, a, http.StatusOK, "")
	})
}
