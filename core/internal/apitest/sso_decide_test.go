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

const (
	ssContext = apitest.DevicePath + "/approval-context"
	ssApprove = apitest.DevicePath + "/approve-external"
	ssDeny    = apitest.DevicePath + "/deny-external"
)

// form posts what the approval page posts.
func (s *ssServer) form(t testing.TB, b *apitest.Browser, path string, fields ...string) apitest.Answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return b.Call(http.MethodPost, path, v.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Origin", s.URL, "Sec-Fetch-Site", "same-origin")
}

// cloned is another browser with the same approval grant.
func (s *ssServer) cloned(t testing.TB, b *apitest.Browser) *apitest.Browser {
	t.Helper()
	other := s.Browser(t)
	other.SetDeviceCookie(ssGrant, b.DeviceCookie(ssGrant))
	return other
}

func TestExternalSubjectIsAsked(t *testing.T) {
	s := ssStart(t, unlimited())
	t.Run("SSO-24 DEV-10 the question is the same twice, and nothing is spent", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "asked")
		s.back(t, b, c, apitest.Grace)
		first, second := b.Call(http.MethodGet, ssContext, ""), b.Call(http.MethodGet, ssContext, "")
		if first.Status != http.StatusOK || first.Body != second.Body || len(first.Cookies) > 0 {
			t.Fatalf("%d %s, then %s, cookies %v", first.Status, first.Body, second.Body, first.Cookies)
		}
		v := first.JSON(t)
		for name, want := range map[string]any{
			"subject_email": apitest.Grace.Email, "subject_issuer": apitest.Grace.Issuer, "subject_name": "Grace", "user_code": c.User, "client_id": "difyctl",
			"device_label": "asked", "requested_from": "127.0.0.1",
		} {
			if v[name] != want {
				t.Errorf("%s: %v", name, v[name])
			}
		}
		if n, _ := v["connection"].(map[string]any); n["id"] != "corp" || n["name"] != "Corp" {
			t.Errorf("connection %v", v["connection"])
		}
		if len(v) != 11 || len(first.Text(t, "csrf_token")) != 22 {
			t.Errorf("%v", v)
		}
		end, err := time.Parse(time.RFC3339, first.Text(t, "expires_at"))
		if left := end.Sub(s.Clock.Now()); err != nil || left < 4*time.Minute || left > 5*time.Minute {
			t.Errorf("%s are left", left)
		}
		nameless := apitest.Grace
		nameless.Name = ""
		d := s.Code(t, "nameless")
		s.back(t, b, d, nameless)
		if v := b.Call(http.MethodGet, ssContext, "").JSON(t); v["subject_name"] != nil {
			t.Errorf("a name %v", v["subject_name"])
		}
	})
	t.Run("SSO-24 DEV-21 a cookie that is missing, forged, foreign or over", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "cookies")
		s.back(t, b, c, apitest.Grace)
		good := b.DeviceCookie(ssGrant)
		parts := strings.Split(good, ".")
		for name, value := range map[string]string{
			"missing": "", "forged": parts[0] + "." + parts[1] + "." + strings.Repeat("A", 43), "an assertion": s.bridge.Assert(t, s.bridge.Last(t), apitest.Grace),
			"with a session's text": "x", "shortened": good[:len(good)-1],
		} {
			other := s.Browser(t)
			if value != "" {
				other.SetDeviceCookie(ssGrant, value)
			}
			a := other.Call(http.MethodGet, ssContext, "")
			wantAnswer(t, a, http.StatusUnauthorized, "no_session")
			if a.JSON(t)["error"] != "no_session" || strings.Contains(a.Header.Get("Www-Authenticate"), "Bearer") {
				t.Errorf("%s: %s, %s", name, a.Body, a.Header.Get("Www-Authenticate"))
			}
		}
		doubled := ssGrant + "=" + good + "; " + ssGrant + "=" + good
		wantAnswer(t, s.Call(t, http.MethodGet, ssContext, "", "Cookie", doubled), http.StatusUnauthorized, "no_session")
		s.Clock.Advance(5*time.Minute + 31*time.Second)
		wantAnswer(t, b.Call(http.MethodGet, ssContext, ""), http.StatusUnauthorized, "no_session")
	})
	t.Run("SSO-24 a code that is gone, or decided", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "resolved")
		s.back(t, b, c, apitest.Grace)
		wantAnswer(t, s.SignedIn(t).Decide("deny", c.User), http.StatusOK, "")
		wantAnswer(t, b.Call(http.MethodGet, ssContext, ""), http.StatusConflict, "user_code_not_pending")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
		wantAnswer(t, b.Call(http.MethodGet, ssContext, ""), http.StatusNotFound, "user_code_not_pending")
		d := s.Code(t, "ends first")
		s.Clock.Advance(12 * time.Minute)
		s.back(t, b, d, apitest.Grace)
		end, _ := time.Parse(time.RFC3339, b.Call(http.MethodGet, ssContext, "").Text(t, "expires_at"))
		if left := end.Sub(s.Clock.Now()); left > 3*time.Minute {
			t.Errorf("%s are left of a code that has three minutes", left)
		}
		s.Clock.Advance(3*time.Minute + time.Second)
		wantAnswer(t, b.Call(http.MethodGet, ssContext, ""), http.StatusNotFound, "user_code_not_pending")
	})
	t.Run("SSO-107 with a user code it is the console's, also beside an approval grant", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "console")
		s.back(t, b, c, apitest.Grace)
		wantAnswer(t, b.Call(http.MethodGet, ssContext+"?user_code="+c.User, ""), http.StatusUnauthorized, "unauthorized")
		owner := s.SignedIn(t)
		wantAnswer(t, owner.Call(http.MethodGet, ssContext, ""), http.StatusUnauthorized, "no_session")
		owner.SetDeviceCookie(ssGrant, b.DeviceCookie(ssGrant))
		a := owner.Call(http.MethodGet, ssContext+"?user_code="+c.User, "")
		if wantAnswer(t, a, http.StatusOK, ""); a.Text(t, "subject_type") != "account" || a.Text(t, "subject_email") != apitest.OwnerEmail {
			t.Error(a.Body)
		}
	})
}

func TestContextInTheCommunityEdition(t *testing.T) {
	s := apitest.Start(t)
	t.Run("SSO-107 approval-context is the console's", func(t *testing.T) {
		wantAnswer(t, s.Call(t, http.MethodGet, ssContext, ""), http.StatusUnauthorized, "unauthorized")
		owner, c := s.SignedIn(t), s.Code(t, "x")
		wantAnswer(t, owner.Call(http.MethodGet, ssContext, ""), http.StatusBadRequest, "bad_request")
		wantAnswer(t, owner.Call(http.MethodGet, ssContext+"?user_code="+c.User, ""), http.StatusOK, "")
	})
}

func TestExternalSubjectDecides(t *testing.T) {
	s := ssStart(t, unlimited())
	t.Run("SSO-25 DEV-15 DEV-16 from elsewhere or without the token nothing is decided", func(t *testing.T) {
		b, other, c := s.Browser(t), s.Browser(t), s.Code(t, "csrf")
		s.back(t, b, c, apitest.Grace)
		s.back(t, other, s.Code(t, "other"), apitest.Grace)
		token, foreign := csrf(t, b), csrf(t, other)
		body := `{"user_code":"` + c.User + `"}`
		for _, tc := range []struct {
			name    string
			status  int
			code    string
			body    string
			headers []string
		}{
			{"no token", 403, "csrf_mismatch", body, []string{"Content-Type", "application/json", "Origin", s.URL}},
			{"a wrong one", 403, "csrf_mismatch", body, []string{"Content-Type", "application/json", "Origin", s.URL, "X-CSRF-Token", token + "x"}},
			{"another grant's", 403, "csrf_mismatch", body, []string{"Content-Type", "application/json", "Origin", s.URL, "X-CSRF-Token", foreign}},
			{"a foreign origin", 403, "origin_not_allowed", body, []string{"Content-Type", "application/json", "Origin", "https://evil.example", "X-CSRF-Token", token}},
			{"a page of another site", 403, "origin_not_allowed", body, []string{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site", "X-CSRF-Token", token}},
			{"text", 415, "unsupported_media_type", body, []string{"Content-Type", "text/plain", "Origin", s.URL, "X-CSRF-Token", token}},
			{"broken JSON", 400, "invalid_json", `{"user_code"`, []string{"Content-Type", "application/json", "Origin", s.URL, "X-CSRF-Token", token}},
			{"no code", 400, "bad_request", `{}`, []string{"Content-Type", "application/json", "Origin", s.URL, "X-CSRF-Token", token}},
		} {
			for _, path := range []string{ssApprove, ssDeny} {
				a := b.Call(http.MethodPost, path, tc.body, tc.headers...)
				if a.Status != tc.status || a.JSON(t)["code"] != tc.code || a.JSON(t)["error"] != tc.code {
					t.Errorf("%s at %s: %d %s", tc.name, path, a.Status, a.Body)
				}
			}
		}
		for name, a := range map[string]apitest.Answer{
			"a form without a token": s.form(t, b, ssApprove, "user_code", c.User),
			"a form with another's":  s.form(t, b, ssApprove, "user_code", c.User, "csrf_token", foreign, "confirm", "yes"),
			"a form from elsewhere":  b.Call(http.MethodPost, ssApprove, "user_code="+c.User+"&confirm=yes&csrf_token="+token, "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example"),
		} {
			if a.Status != http.StatusForbidden || !strings.Contains(a.Header.Get("Content-Type"), "text/html") {
				t.Errorf("%s: %d %s", name, a.Status, a.Header.Get("Content-Type"))
			}
		}
		if a := b.Call(http.MethodPost, ssApprove, "user_code=%ff", "Content-Type", "application/x-www-form-urlencoded", "Origin", s.URL); a.Status != http.StatusBadRequest {
			t.Errorf("a malformed form: %d", a.Status)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusOK, "")
	})
	t.Run("SSO-26 another code is refused", func(t *testing.T) {
		b, c, d := s.Browser(t), s.Code(t, "mine"), s.Code(t, "another")
		s.back(t, b, c, apitest.Grace)
		for _, code := range []string{d.User, "AAAA-AAAA", "x"} {
			wantAnswer(t, b.DecideExternal("approve", code, csrf(t, b)), http.StatusBadRequest, "user_code_mismatch")
			wantAnswer(t, b.DecideExternal("deny", code, csrf(t, b)), http.StatusBadRequest, "user_code_mismatch")
		}
		wantAnswer(t, b.DecideExternal("approve", strings.ToLower(c.User), csrf(t, b)), http.StatusOK, "")
	})
	t.Run("SSO-28 DEV-21 a grant decides once", func(t *testing.T) {
		for _, act := range []string{"approve", "deny"} {
			b, c := s.Browser(t), s.Code(t, "twice "+act)
			s.back(t, b, c, apitest.Grace)
			token, kept := csrf(t, b), s.cloned(t, b)
			a := b.DecideExternal(act, c.User, token)
			wantAnswer(t, a, http.StatusOK, "")
			if got := a.Text(t, "status"); !strings.HasPrefix(got, act[:3]) {
				t.Errorf("status %s", got)
			}
			if grant := setCookies(a, ssGrant); len(grant) != 1 || grant[0] != "device_approval_grant=; Path=/openapi/v1/oauth/device; Max-Age=0; HttpOnly; SameSite=Lax" {
				t.Errorf("grant cookie %q", grant)
			}
			wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusUnauthorized, "invalid_session")
			for _, again := range []string{"approve", "deny"} {
				wantAnswer(t, kept.DecideExternal(again, c.User, token), http.StatusConflict, "user_code_not_pending")
			}
			wantAnswer(t, kept.Call(http.MethodGet, ssContext, ""), http.StatusConflict, "user_code_not_pending")
		}
		b, c := s.Browser(t), s.Code(t, "late")
		s.back(t, b, c, apitest.Grace)
		token := csrf(t, b)
		s.Clock.Advance(5*time.Minute + 31*time.Second)
		wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusUnauthorized, "invalid_session")
		if a := s.form(t, b, ssApprove, "user_code", c.User, "csrf_token", token); a.Status != http.StatusUnauthorized || !strings.Contains(a.Header.Get("Content-Type"), "text/html") {
			t.Errorf("a form: %d", a.Status)
		}
	})
	t.Run("SSO-28 DEV-21 a code drawn anew is not the grant's", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "gone")
		s.back(t, b, c, apitest.Grace)
		token := csrf(t, b)
		wantAnswer(t, s.SignedIn(t).Decide("deny", c.User), http.StatusOK, "")
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
		wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusNotFound, "user_code_not_pending")
	})
	t.Run("DEV-22 nobody without the cookie burns a grant", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "burnt")
		s.back(t, b, c, apitest.Grace)
		token, stranger := csrf(t, b), s.SignedIn(t)
		for _, act := range []string{"approve", "deny"} {
			wantAnswer(t, stranger.DecideExternal(act, c.User, token), http.StatusUnauthorized, "invalid_session")
			wantAnswer(t, s.Call(t, http.MethodPost, apitest.DevicePath+"/"+act+"-external", `{"user_code":"`+c.User+`"}`, "Content-Type", "application/json",
				"X-CSRF-Token", token, "Authorization", "Bearer dfoa_"+strings.Repeat("A", 43)), http.StatusUnauthorized, "invalid_session")
		}
		wantAnswer(t, b.DecideExternal("approve", c.User, token), http.StatusOK, "")
	})
	t.Run("SSO-105 DEV-11 a code that no typing brought needs the tick", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "linked")
		s.back(t, b, c, apitest.Grace) // without device_entry
		token := csrf(t, b)
		a := s.form(t, b, ssApprove, "user_code", c.User, "csrf_token", token)
		if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `name="confirm"`) || strings.Contains(a.Body, "checked") {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		a = s.form(t, b, ssApprove, "user_code", c.User, "csrf_token", token, "confirm", "yes")
		if a.Status != http.StatusSeeOther || a.Header.Get("Location") != s.URL+"/device?outcome=approved" || len(setCookies(a, ssGrant)) != 1 {
			t.Fatalf("%d to %s", a.Status, a.Header.Get("Location"))
		}
		foreign, d := s.Browser(t), s.Code(t, "entered another")
		s.typed(t, foreign, s.Code(t, "its own"))
		s.back(t, foreign, d, apitest.Grace)
		if a := s.form(t, foreign, ssApprove, "user_code", d.User, "csrf_token", csrf(t, foreign)); a.Status != http.StatusBadRequest {
			t.Errorf("a proof of another code: %d", a.Status)
		}
		if a := s.form(t, foreign, ssDeny, "user_code", d.User, "csrf_token", csrf(t, foreign)); a.Header.Get("Location") != s.URL+"/device?outcome=denied" {
			t.Errorf("refusing needs no tick: %d", a.Status)
		}
	})
	t.Run("SSO-105 a typed code needs no tick", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "typed")
		s.typed(t, b, c)
		s.back(t, b, c, apitest.Grace)
		if a := s.form(t, b, ssApprove, "user_code", c.User, "csrf_token", csrf(t, b)); a.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("SSO-30 DEV-12 nothing but the decision approves", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "views")
		s.back(t, b, c, apitest.Grace)
		for _, path := range []string{"/device", "/device?user_code=" + c.User, "/device?outcome=approved", ssContext, ssInitiate, ssComplete, ssApprove, ssDeny} {
			b.Call(http.MethodGet, path, "", "Accept", "text/html")
			b.Call(http.MethodHead, path, "")
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
	})
	t.Run("SSO-30 the audit names who decided, and neither code nor id", func(t *testing.T) {
		c := s.allowed(t, "audited", another("rosalind"))
		eventually(t, func() (bool, string) {
			n := sqlInt(t, s.Server, `SELECT count(*) FROM audit_events WHERE event = 'oauth.device_flow_approved' AND fields LIKE '%audited%'`)
			return n == 1, "the decision is not on record"
		})
		f := eventFields(t, s.Server, "oauth.device_flow_approved")
		for name, want := range map[string]any{
			"subject_type": "external_sso", "subject_email": "rosalind@corp.example", "issuer": apitest.Grace.Issuer, "connection": "corp", "client_id": "difyctl",
			"device_label": "audited", "attempt": s.bridge.Last(t).Reference,
		} {
			if f[name] != want {
				t.Errorf("%s: %v", name, f[name])
			}
		}
		text := sqlText(t, s.Server, `SELECT fields FROM audit_events WHERE event = 'oauth.device_flow_approved' AND fields LIKE '%audited%'`)
		if strings.Contains(text, c.User) || strings.Contains(text, "rosalind-1") || len(f["subject"].(string)) != 64 {
			t.Error(text)
		}
	})
	t.Run("SSO-97 markup stays text", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, `<b onload="x">`)
		who := another("mark")
		who.Name = `<script>alert("n")</script>`
		s.back(t, b, c, who)
		a := s.form(t, b, ssApprove, "user_code", c.User, "csrf_token", csrf(t, b))
		if a.Status != http.StatusBadRequest || strings.Contains(a.Body, "<b onload") || strings.Contains(a.Body, "<script>alert") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

func TestExternalDecisionsAreLimited(t *testing.T) {
	s := ssStart(t, unlimited("sso.decide.subject=10/1h"))
	t.Run("SSO-26 the 11th decision of somebody in an hour", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "many")
		s.back(t, b, c, apitest.Grace)
		token := csrf(t, b)
		for range 10 {
			wantAnswer(t, b.DecideExternal("deny", "AAAA-AAAA", token), http.StatusBadRequest, "user_code_mismatch")
		}
		a := b.DecideExternal("approve", c.User, token)
		wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if page := s.form(t, b, ssApprove, "user_code", c.User, "csrf_token", token); page.Status != http.StatusTooManyRequests || !strings.Contains(page.Header.Get("Content-Type"), "text/html") {
			t.Errorf("a form: %d", page.Status)
		}
		other, d := s.Browser(t), s.Code(t, "somebody else")
		s.back(t, other, d, another("hedy"))
		wantAnswer(t, other.DecideExternal("approve", d.User, csrf(t, other)), http.StatusOK, "")
	})
}
