// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

const ssInitiate = apitest.DevicePath + "/sso-initiate"

func TestCompanySignInBegins(t *testing.T) {
	s := ssStart(t, unlimited())
	t.Run("SSO-09 a good code leads to the bridge, and nothing tells the code", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "one")
		s.typed(t, b, c)
		b.SetDeviceCookie(ssGrant, "old")
		a := b.Initiate("user_code=" + strings.ToLower(strings.ReplaceAll(c.User, "-", "")))
		o := s.bridge.Last(t)
		if a.Status != http.StatusFound || a.Header.Get("Location") != o.StartURL {
			t.Fatalf("%d to %s", a.Status, a.Header.Get("Location"))
		}
		flow := setCookies(a, ssFlow)
		want := regexp.MustCompile(`^device_sso_flow=[A-Za-z0-9_-]{43}\.` + c.User + `; Path=/openapi/v1/oauth/device; Max-Age=900; HttpOnly; SameSite=Lax$`)
		if len(flow) != 1 || !want.MatchString(flow[0]) {
			t.Errorf("flow cookie %q", flow)
		}
		if grant := setCookies(a, ssGrant); len(grant) != 1 || grant[0] != "device_approval_grant=; Path=/openapi/v1/oauth/device; Max-Age=0; HttpOnly; SameSite=Lax" {
			t.Errorf("grant cookie %q", grant)
		}
		if o.Intent != "device_flow" || o.ReturnTo != "" || o.Connection != "" || o.Email != "" || o.Fresh || o.Locale != "en" || o.RequestID != a.Header.Get("X-Request-Id") {
			t.Errorf("%+v", o)
		}
		if len(o.UserCodeDigest) != 43 || len(o.Nonce) != 22 || len(o.Binding) != 43 {
			t.Errorf("%+v", o)
		}
		awaitEvents(t, s.Server, "sso.login_started", 1)
		f := eventFields(t, s.Server, "sso.login_started")
		if f["client_id"] != "difyctl" || f["attempt"] != o.Reference {
			t.Errorf("%v", f)
		}
		bare := strings.ReplaceAll(c.User, "-", "")
		for place, text := range map[string]string{"log": s.Log.String(), "audit": sqlText(t, s.Server, `SELECT fields FROM audit_events WHERE event = 'sso.login_started'`)} {
			if strings.Contains(text, c.User) || strings.Contains(text, bare) || strings.Contains(text, strings.ToLower(bare)) {
				t.Errorf("the %s tells the code", place)
			}
		}
	})
	t.Run("SSO-08 no address that a request names is published", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "spoofed")
		spoofs := []string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example;proto=https", "Sec-Fetch-Site", "same-origin"}
		for _, path := range []string{ssInitiate + "?user_code=" + c.User, ssInitiate + "?user_code=AAAA-AAAA", apitest.DevicePath + "/sso-complete?sso_error=sso_failed", apitest.DevicePath + "/sso-complete?sso_assertion=x"} {
			a := b.Call(http.MethodGet, path, "", spoofs...)
			if to := a.Header.Get("Location"); !strings.HasPrefix(to, s.URL+"/device") && !strings.HasPrefix(to, s.bridge.URL+"/sso/start/") {
				t.Errorf("%s leads to %s", path, to)
			}
			if all := strings.Join(a.Header["Set-Cookie"], " "); strings.Contains(all, "evil") || strings.Contains(all, "Secure") || strings.Contains(all, "Domain") {
				t.Errorf("%s sets %s", path, all)
			}
		}
	})
	t.Run("SSO-10 DEV-10 from a link elsewhere or a typed address no login begins", func(t *testing.T) {
		b, c, before := s.Browser(t), s.Code(t, "linked"), s.bridge.Orders()
		for _, headers := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "none"}, {"Sec-Fetch-Site", "cross-site", "Referer", s.URL + "/device"},
			{}, {"Referer", "https://evil.example/"}, {"Referer", s.URL + ".evil.example/"}, {"Origin", s.URL},
		} {
			a := b.Call(http.MethodGet, ssInitiate+"?user_code="+c.User, "", headers...)
			if a.Status != http.StatusFound || a.Header.Get("Location") != s.URL+"/device" || len(setCookies(a, ssFlow)) > 0 {
				t.Errorf("%v: %d to %s", headers, a.Status, a.Header.Get("Location"))
			}
		}
		if s.bridge.Orders() != before {
			t.Fatal("a login was begun")
		}
		if a := b.Call(http.MethodGet, ssInitiate+"?user_code="+c.User, "", "Referer", s.URL+"/device"); a.Header.Get("Location") != s.bridge.Last(t).StartURL {
			t.Errorf("an old browser that comes from our page: %d to %s", a.Status, a.Header.Get("Location"))
		}
	})
	t.Run("SSO-11 DEV-23 codes that are not pending read alike", func(t *testing.T) {
		b, owner := s.Browser(t), s.SignedIn(t)
		approved, denied, expired := s.Code(t, "approved"), s.Code(t, "denied"), s.Code(t, "expired")
		wantAnswer(t, owner.Decide("approve", approved.User), http.StatusOK, "")
		wantAnswer(t, owner.Decide("deny", denied.User), http.StatusOK, "")
		for _, code := range []string{"AAAA-AAAA", approved.User, denied.User} {
			s.wantCode(t, b.Initiate("user_code="+code), "invalid_user_code", "")
		}
		s.Clock.Advance(15*time.Minute + time.Second)
		s.wantCode(t, b.Initiate("user_code="+expired.User), "invalid_user_code", "")
	})
	t.Run("SSO-14 the flow cookie brings the code, doubled it is none", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "again")
		first := s.begun(t, b, c)
		flow := b.DeviceCookie(ssFlow)
		a := b.Initiate("fresh=1")
		o := s.bridge.Last(t)
		if a.Header.Get("Location") != o.StartURL || o.UserCodeDigest != first.UserCodeDigest || !o.Fresh || o.Nonce == first.Nonce || o.Binding == first.Binding {
			t.Errorf("%d, %+v after %+v", a.Status, o, first)
		}
		doubled := ssFlow + "=" + flow + "; " + ssFlow + "=" + flow
		for _, cookie := range []string{doubled, ssFlow + "=" + flow + "x", ssFlow + "=" + strings.ToLower(flow), ssFlow + "=." + c.User, ""} {
			a := s.Call(t, http.MethodGet, ssInitiate, "", "Sec-Fetch-Site", "same-origin", "Cookie", cookie)
			s.wantCode(t, a, "invalid_user_code", "")
		}
	})
	t.Run("SSO-09 what is asked of the bridge is taken as it is, once", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "asked")
		for query, want := range map[string]string{
			"connection=corp&email=a@corp.example": "sso_invalid_request", "connection=-x": "sso_invalid_request", "connection=": "sso_invalid_request",
			"email=nobody": "sso_invalid_request", "email=": "sso_invalid_request", "email=a@corp.example&email=b@corp.example": "sso_invalid_request",
			"email=%22a%22@corp.example": "sso_invalid_request", "email=" + strings.Repeat("a", 250) + "@corp.example": "sso_invalid_request", "fresh=1&fresh=1": "sso_invalid_request",
		} {
			s.wantCode(t, b.Initiate("user_code="+c.User+"&"+query), want, "")
		}
		s.wantCode(t, b.Initiate("user_code="+c.User+"&user_code="+c.User), "sso_invalid_request", "")
		s.wantCode(t, b.Initiate("user_code=ABC"), "invalid_user_code", "")
		b.Initiate("user_code=" + c.User + "&connection=corp&fresh=1")
		if o := s.bridge.Last(t); o.Connection != "corp" || !o.Fresh || o.Email != "" {
			t.Errorf("%+v", o)
		}
		a := b.Initiate("user_code=" + c.User + "&email=Grace@Corp.Example&lang=zh-Hans")
		o := s.bridge.Last(t)
		if o.Email != "grace@corp.example" || o.Connection != "" || o.Locale != "zh-Hans" {
			t.Errorf("%+v", o)
		}
		if a.Status != http.StatusOK || !strings.Contains(a.Body, o.StartURL) || len(setCookies(a, ssFlow)) != 1 {
			t.Errorf("after a typed e-mail: %d %s", a.Status, a.Body)
		}
	})
	t.Run("SSO-13 what the bridge refuses is told", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "refused")
		defer s.bridge.Answer(nil)
		for code, want := range map[string]string{
			"sso_not_configured": "sso_not_configured", "connection_unknown": "sso_connection_unavailable", "email_domain_unroutable": "sso_no_connection", "other": "sso_unavailable",
		} {
			s.bridge.Refuse(http.StatusNotFound, code)
			s.wantCode(t, b.Initiate("user_code="+c.User), want, "")
		}
		s.bridge.List(`{"mode":"choose_or_email","connections":[{"id":"corp","name":"Corp","button":"","protocol":"oidc"},{"id":"labs","name":"Labs","button":"Sign in with Labs","protocol":"saml"}]}`)
		s.Clock.Advance(6 * time.Second)
		s.bridge.Refuse(http.StatusConflict, "connection_choice_required")
		a := b.Initiate("user_code=" + c.User)
		if a.Status != http.StatusOK || len(setCookies(a, ssFlow)) != 1 || !strings.Contains(a.Body, "Sign in with Labs") || !strings.Contains(a.Body, ">Corp<") {
			t.Fatalf("no choice: %d %s", a.Status, a.Body)
		}
		s.bridge.Answer(nil)
		if a := b.Initiate("connection=labs"); a.Header.Get("Location") != s.bridge.Last(t).StartURL || s.bridge.Last(t).Connection != "labs" {
			t.Errorf("after the choice: %d to %s", a.Status, a.Header.Get("Location"))
		}
	})
	t.Run("SSO-09 HEAD neither begins nor ends a login", func(t *testing.T) {
		before := s.bridge.Orders()
		for _, path := range []string{ssInitiate, apitest.DevicePath + "/sso-complete"} {
			a := s.Call(t, http.MethodHead, path+"?user_code="+s.Code(t, "head").User, "", "Sec-Fetch-Site", "same-origin")
			if a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "GET" {
				t.Errorf("%s: %d, Allow %q", path, a.Status, a.Header.Get("Allow"))
			}
		}
		if s.bridge.Orders() != before {
			t.Error("a login was begun")
		}
	})
}

func TestCompanySignInWithoutBridge(t *testing.T) {
	s := ssStart(t, unlimited())
	b := s.Browser(t)
	cut := func(f func(w http.ResponseWriter, r *http.Request)) {
		s.bridge.Answer(func(w http.ResponseWriter, r *http.Request) bool { f(w, r); return true })
	}
	answers := func(status int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	start := func(url string) func(http.ResponseWriter, *http.Request) {
		return answers(http.StatusCreated, `{"attempt_id":"x","reference":"7K2QD-9XM4P","start_url":"`+url+`","expires_at":"2026-01-01T00:00:00Z"}`)
	}
	for i, want := range []struct {
		status      int
		code, cause string
	}{{http.StatusInternalServerError, "internal_server_error", "bridge_unreachable"}, {http.StatusUnauthorized, "inner_token_invalid", "bridge_refused"}} {
		t.Run("SSO-13 the audit trail says "+want.cause, func(t *testing.T) {
			s.Clock.Advance(11 * time.Second)
			cut(answers(want.status, fmt.Sprintf(`{"code":%q,"message":"x","status":%d}`, want.code, want.status)))
			s.wantCode(t, b.Initiate("user_code="+s.Code(t, want.cause).User), "sso_unavailable", "")
			awaitEvents(t, s.Server, "sso.login_not_started", i+1)
			f := eventFields(t, s.Server, "sso.login_not_started")
			if f["cause"] != want.cause || f["code"] != want.code || f["status"] != float64(want.status) {
				t.Errorf("%v", f)
			}
		})
	}
	ticket := strings.Repeat("A", 43)
	for name, f := range map[string]func(http.ResponseWriter, *http.Request){
		"answers 500":                  answers(http.StatusInternalServerError, `{"code":"internal_server_error","message":"x","status":500}`),
		"redirects":                    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"leaves":                       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"answers no JSON":              answers(http.StatusCreated, `<html>`),
		"answers too much":             answers(http.StatusCreated, `{"x":"`+strings.Repeat("a", 10<<20)+`"}`),
		"names another origin":         start("https://evil.example/sso/start/" + ticket),
		"names another path":           start(s.bridge.URL + "/sso/start/../" + ticket),
		"names a user of its origin":   start("http://x@" + strings.TrimPrefix(s.bridge.URL, "http://") + "/sso/start/" + ticket),
		"names its origin's beginning": start(s.bridge.URL + ".evil.example/sso/start/" + ticket),
		"adds a query":                 start(s.bridge.URL + "/sso/start/" + ticket + "?x=1"),
		"cuts the ticket":              start(s.bridge.URL + "/sso/start/" + ticket[1:]),
		"is slow":                      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run("SSO-13 INN-08 a bridge that "+name, func(t *testing.T) {
			s.Clock.Advance(11 * time.Second) // whatever was open is asked again
			c := s.Code(t, name)
			cut(f)
			began := time.Now()
			a := b.Initiate("user_code=" + c.User)
			s.wantCode(t, a, "sso_unavailable", "")
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
			if len(setCookies(a, ssFlow)) > 0 {
				t.Error("a flow was set")
			}
			s.bridge.Answer(nil)
			s.Clock.Advance(11 * time.Second)
			s.begun(t, b, c) // the code is as it was
		})
	}
	t.Run("SSO-13 after five failures nobody waits, and one asks after ten seconds", func(t *testing.T) {
		c := s.Code(t, "open")
		cut(answers(http.StatusInternalServerError, `{}`))
		for range 5 {
			s.wantCode(t, b.Initiate("user_code="+c.User), "sso_unavailable", "")
		}
		calls := s.bridge.Calls()
		s.bridge.Answer(nil)
		for range 3 {
			s.wantCode(t, b.Initiate("user_code="+c.User), "sso_unavailable", "")
		}
		if s.bridge.Calls() != calls {
			t.Fatal("the bridge is still asked")
		}
		s.Clock.Advance(10 * time.Second)
		s.begun(t, b, c)
		s.begun(t, b, c)
	})
	t.Run("SSO-13 a connection that ends unanswered is tried once more with a token of its own", func(t *testing.T) {
		c, tries := s.Code(t, "retry"), []string{}
		s.bridge.Answer(func(_ http.ResponseWriter, r *http.Request) bool {
			tries = append(tries, r.Header.Get("Authorization"))
			if len(tries) == 1 {
				panic(http.ErrAbortHandler)
			}
			return false
		})
		defer s.bridge.Answer(nil)
		s.begun(t, b, c)
		if len(tries) != 2 || tries[0] == tries[1] {
			t.Fatalf("%d tries", len(tries))
		}
	})
}

func TestCompanySignInIsLimited(t *testing.T) {
	s := ssStart(t, unlimited("sso.initiate.addr=600/1h", "sso.initiate.browser=30/1h", "device.wrong.all=2/1h", "device.lookup.addr=60/5m", "device.code.addr=60/1h"))
	b := s.Browser(t)
	c := s.Code(t, "limited")
	s.typed(t, b, c) // draws the pre-session
	t.Run("SSO-12 the 31st of one browser in an hour", func(t *testing.T) {
		for range 30 {
			s.begun(t, b, c)
		}
		a := b.Initiate("user_code=" + c.User)
		s.wantCode(t, a, "rate_limited", "")
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		wantAnswer(t, s.Call(t, http.MethodGet, apitest.DevicePath+"/lookup?user_code="+c.User, ""), http.StatusOK, "")
		s.Code(t, "unaffected")
	})
	t.Run("SSO-106 who typed the code is served while others guess, and spends nothing", func(t *testing.T) {
		entered, stranger := s.Browser(t), s.Browser(t)
		s.typed(t, entered, c)
		for range 2 {
			s.wantCode(t, stranger.Initiate("user_code=AAAA-AAAA"), "invalid_user_code", "")
		}
		s.wantCode(t, stranger.Initiate("user_code="+c.User), "rate_limited", "")
		for range 5 {
			s.begun(t, entered, c)
		}
		s.wantCode(t, entered.Initiate("user_code=AAAA-AAAA"), "rate_limited", "")
		s.wantCode(t, stranger.Initiate("user_code="+c.User), "rate_limited", "")
	})
	t.Run("SSO-11 a code that was decided is a wrong one, too", func(t *testing.T) {
		s.Clock.Advance(2 * time.Hour)
		stranger, d := s.Browser(t), s.Code(t, "decided")
		wantAnswer(t, s.SignedIn(t).Decide("deny", d.User), http.StatusOK, "")
		for range 2 {
			s.wantCode(t, stranger.Initiate("user_code="+d.User), "invalid_user_code", "")
		}
		s.wantCode(t, stranger.Initiate("user_code="+d.User), "rate_limited", "")
	})
	t.Run("SSO-12 the 601st from one address in an hour", func(t *testing.T) {
		s.Clock.Advance(2 * time.Hour)
		for range 600 {
			if a := s.Call(t, http.MethodGet, ssInitiate, ""); a.Header.Get("Location") != s.URL+"/device" {
				t.Fatal(a.Header.Get("Location"))
			}
		}
		a := s.Call(t, http.MethodGet, ssInitiate, "")
		s.wantCode(t, a, "rate_limited", "")
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
}
