// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// htLines gives the log's lines, each of which must be one JSON object.
func htLines(t testing.TB, s *apitest.Server) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(s.Log.String()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("a line is no object: %q: %v", line, err)
		}
		lines = append(lines, v)
	}
	return lines
}

func TestLinesOfTheLog(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited(), apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"))
	b := s.SignedIn(t)
	t.Run("LOG-02 nothing that a request brings begins a line or breaks one", func(t *testing.T) {
		const forged = `{"msg":"forged","level":"INFO"}`
		for _, evil := range []string{"a\"}\t" + forged, "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", `\n` + forged, "\u2028" + forged, "\u202egnp", "\xff\xfe", "%0a" + forged, "$(reboot)", "';--"} {
			for _, path := range []string{htAccount, "/nothing?" + url.QueryEscape(evil)} {
				htAsk(t, s, "GET "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nUser-Agent: "+evil+"\r\nX-Request-Id: "+evil+"\r\nX-Forwarded-For: "+evil+
					"\r\nReferer: "+evil+"\r\n\r\n")
			}
			label := strings.Map(func(r rune) rune {
				if r < ' ' || r == 0xfffd {
					return '.'
				}
				return r
			}, evil)
			a := s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": label})
			if a.Status == http.StatusOK {
				wantAnswer(t, b.Decide("deny", a.Text(t, "user_code")), http.StatusOK, "")
			}
			s.Post(t, "/console/api/login", map[string]string{"email": evil + "@example.com", "password": "eA=="})
			htAsk(t, s, "GET /x HTTP/1.1\r\nHost: x\r\n"+strings.ReplaceAll(evil, "\n", "")+" : 1\r\n\r\n")
			htAsk(t, s, "BREW"+strings.Map(func(r rune) rune {
				if r <= ' ' {
					return '!'
				}
				return r
			}, evil)+" / HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		for _, line := range htLines(t, s) {
			if line["msg"] == "forged" || line["msg"] != "request" && line["msg"] != "audit" {
				t.Errorf("a line of its own: %v", line)
			}
		}
		if log := s.Log.String(); strings.ContainsAny(log, "\x1b\x07\x00") {
			t.Error("a terminal's control characters are in the log as they came")
		}
	})
	t.Run("LOG-02 a text log quotes too", func(t *testing.T) {
		s := apitest.Start(t, apitest.Set("LOG_FORMAT", "text"))
		a := htAsk(t, s, "GET "+htAccount+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nUser-Agent: a\" msg=forged \u2028level=INFO msg=forged\r\n\r\n")
		wantAnswer(t, a, http.StatusUnauthorized, "invalid_token")
		awaitEvents(t, s, "oauth.bearer_rejected", 1)
		for line := range strings.Lines(s.Log.String()) {
			if !strings.HasPrefix(line, "time=") || strings.Contains(line, " msg=forged ") && !strings.Contains(line, `\" msg=forged`) || strings.ContainsAny(line, "\x1b\u2028") {
				t.Errorf("%q", line)
			}
		}
	})
}

func TestRefusalsAreOnRecord(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited("device.lookup.addr=1/1h"))
	b := s.SignedIn(t)
	live, id := s.SignInDevice(t, b, "box")
	owner := ownerID(t, s)
	sqlExec(t, s, `UPDATE oauth_access_tokens SET expires_at = created_at WHERE id = $1`, id)
	addAccount(t, s, "banned@example.com")
	banned, _ := s.SignInDevice(t, signedInAs(t, s, "banned@example.com"), "x")
	fenced := s.Code(t, "fenced")
	allow(t, signedInAs(t, s, "banned@example.com"), fenced)
	sqlExec(t, s, `UPDATE accounts SET status = 'banned' WHERE email = 'banned@example.com'`)
	bearer := func(token string) func() { return func() { s.Bearer(t, token, http.MethodGet, htAccount) } }

	for _, tc := range []struct {
		name, event, actor, field, value string
		act                              func()
	}{
		{name: "LOG-03 a malformed bearer", event: "oauth.bearer_rejected", actor: "anonymous", field: "cause", value: "malformed", act: bearer("x")},
		{name: "LOG-03 an unknown bearer", event: "oauth.bearer_rejected", actor: "anonymous", field: "cause", value: "unknown", act: bearer("dfoa_" + strings.Repeat("A", 43))},
		{name: "LOG-03 an expired bearer", event: "oauth.bearer_rejected", actor: "anonymous", field: "cause", value: "expired", act: bearer(live)},
		{name: "LOG-03 a bearer of a banned account", event: "oauth.bearer_rejected", actor: "anonymous", field: "cause", value: "account", act: bearer(banned)},
		{name: "LOG-03 an approval whose account may no longer", event: "oauth.device_flow_rejected", actor: "system", field: "reason", value: "account_banned", act: func() { s.Poll(t, fenced) }},
		{name: "LOG-03 a wrong password", event: "account.sign_in_failed", actor: "anonymous", field: "cause", value: "", act: func() {
			s.Post(t, "/console/api/login", map[string]string{"email": apitest.OwnerEmail, "password": "eA=="})
		}},
		{name: "LOG-03 a script's write without a token", event: "console.csrf_refused", actor: "account", field: "cause", value: "csrf_mismatch", act: func() {
			b.Call(http.MethodPost, "/openapi/v1/oauth/device/approve", `{"user_code":"BCDF-GHJK"}`, "Content-Type", "application/json", "Origin", s.URL)
		}},
		{name: "LOG-03 a form from elsewhere", event: "console.csrf_refused", actor: "anonymous", field: "cause", value: "origin_not_allowed", act: func() {
			s.Form(t, "/signin", url.Values{}, "Origin", "https://evil.example")
		}},
		{name: "LOG-03 a sign-in by script from elsewhere", event: "console.csrf_refused", actor: "anonymous", field: "route", value: "/console/api/login", act: func() {
			s.Post(t, "/console/api/login", map[string]string{}, "Origin", "https://evil.example")
		}},
		{name: "LOG-03 a limit", event: "oauth.rate_limited", actor: "anonymous", field: "policy", value: "device.lookup.addr", act: func() {
			for range 2 {
				s.Call(t, http.MethodGet, lookPath+"?user_code=BCDF-GHJK", "")
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = $1`, tc.event)
			tc.act()
			awaitEvents(t, s, tc.event, before+1)
			const newest = ` FROM audit_events WHERE event = $1 ORDER BY at DESC, id DESC LIMIT 1`
			if got := sqlText(t, s, `SELECT actor_type`+newest, tc.event); got != tc.actor {
				t.Errorf("actor %q", got)
			}
			if tc.actor == "account" && tc.event == "console.csrf_refused" && sqlText(t, s, `SELECT actor_id`+newest, tc.event) != owner {
				t.Error("another account")
			}
			if got, _ := eventFields(t, s, tc.event)[tc.field].(string); got == "" || tc.value != "" && got != tc.value {
				t.Errorf("%s is %q instead of %q", tc.field, got, tc.value)
			}
			request := sqlText(t, s, `SELECT request_id`+newest, tc.event)
			logged := false
			for _, line := range htLines(t, s) {
				logged = logged || line["msg"] == "audit" && line["event"] == tc.event && line["request_id"] == request
			}
			if !logged || !htUUID.MatchString(request) {
				t.Errorf("the event of request %q is not in the log", request)
			}
		})
	}
}

func TestAccessLogAfterAFlow(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b := s.Browser(t)
	c := s.Code(t, "box")
	s.Call(t, http.MethodGet, lookPath+"?user_code="+c.User, "")
	b.Get("/device?user_code=" + c.User)
	b.Get("/device")
	b.Submit("/device", url.Values{"user_code": {c.User}})
	b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}})
	if !strings.HasPrefix(b.Path, "/device?user_code=") {
		t.Fatalf("sign-in led to %s", b.Path)
	}
	authorize := b.Page
	b.Submit("/device/authorize", url.Values{"decision": {"allow"}})
	a := s.Poll(t, c)
	wantAnswer(t, a, http.StatusOK, "")
	token := a.Text(t, "token")
	s.Bearer(t, token, http.MethodGet, htAccount)
	s.Call(t, http.MethodGet, htAccount+"?access_token="+token+"&email="+apitest.OwnerEmail, "", "Authorization", "Bearer "+token, "Referer", s.URL+"/device?user_code="+c.User)
	wantAnswer(t, s.Bearer(t, token, http.MethodDelete, htSessions+"/self"), http.StatusOK, "")

	t.Run("W-24 code, token and e-mail are in no access line", func(t *testing.T) {
		lines := 0
		for _, line := range htLines(t, s) {
			if line["msg"] != "request" {
				continue
			}
			lines++
			text, _ := json.Marshal(line)
			for name, never := range map[string]string{"user code": c.User, "bare user code": strings.ReplaceAll(c.User, "-", ""), "device code": c.Device, "token": token,
				"e-mail": apitest.OwnerEmail, "session": b.Cookie("console_session"), "query": "?"} {
				if strings.Contains(string(text), never) {
					t.Errorf("a %s is in %s", name, text)
				}
			}
		}
		if lines < 12 {
			t.Fatalf("only %d access lines", lines)
		}
	})
	t.Run("W-24 nor are code, token, cookie and password in any other", func(t *testing.T) {
		for name, never := range map[string]string{"user code": c.User, "device code": c.Device, "token": token, "session": b.Cookie("console_session"), "password": apitest.OwnerPassword} {
			if strings.Contains(s.Log.String(), never) {
				t.Errorf("a %s is in the log", name)
			}
		}
	})
	t.Run("W-24 a page's address goes to nobody as Referer, and the last one has no code", func(t *testing.T) {
		if got := authorize.Header.Get("Referrer-Policy"); got != "strict-origin" {
			t.Errorf("Referrer-Policy %q", got)
		}
		if b.Path != "/device?outcome=approved" {
			t.Errorf("the flow ends on %s", b.Path)
		}
	})
}
