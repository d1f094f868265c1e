// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// ssPaths are the routes of a device login through a company.
var ssPaths = []string{ssInitiate, ssComplete, ssApprove, ssDeny}

// noSuchRoutes asks all of them by every method, with and without cookies, and wants the
// answer of an address that never was.
func noSuchRoutes(t *testing.T, s *apitest.Server, f *dvFaults) {
	t.Helper()
	for _, path := range ssPaths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			for _, cookie := range []string{"", ssFlow + "=" + strings.Repeat("A", 43) + ".ABCD-EFGH; " + ssGrant + "=a.b.c; console_session=" + strings.Repeat("A", 43)} {
				var a apitest.Answer
				steps := f.steps(func() {
					a = s.Call(t, method, path+"?user_code=ABCD-EFGH&sso_assertion=x", "", "Cookie", cookie, "Sec-Fetch-Site", "same-origin", "Origin", s.URL)
				})
				if len(steps) > 0 {
					t.Errorf("%s %s asks a store: %v", method, path, steps)
				}
				want := `{"code":"not_found","message":"Nothing is here.","status":404}`
				if a.Status != http.StatusNotFound || method != "HEAD" && a.Body != want || len(a.Cookies) > 0 || a.Header.Get("RateLimit-Limit") != "" || a.Header.Get("Location") != "" {
					t.Errorf("%s %s: %d %s %v", method, path, a.Status, a.Body, a.Header)
				}
			}
		}
	}
}

func TestEditionsOfCompanySignIn(t *testing.T) {
	t.Run("SSO-01 M-17 in the Community Edition its routes do not exist", func(t *testing.T) {
		f := &dvFaults{}
		noSuchRoutes(t, apitest.Start(t, apitest.Wrap(f.wrap)), f)
	})
	t.Run("SSO-05 SSO_DEVICE_ENABLED=false answers as that edition does", func(t *testing.T) {
		f := &dvFaults{}
		s, bridge := apitest.StartEnterprise(t, apitest.Set("SSO_DEVICE_ENABLED", "false"), apitest.Wrap(f.wrap))
		noSuchRoutes(t, s, f)
		wantAnswer(t, s.Call(t, http.MethodGet, ssContext, ""), http.StatusUnauthorized, "unauthorized")
		if bridge.Calls() != 0 {
			t.Error("the bridge was asked")
		}
	})
	t.Run("SSO-06 OUT-04 a bridge that is down keeps nobody from what core does alone", func(t *testing.T) {
		bridge := apitest.NewBridge(t)
		bridge.Close()
		s := apitest.Start(t, bridge.Option())
		if a := s.At(s.Inner).Call(t, http.MethodGet, "/readyz", ""); a.Status != http.StatusOK {
			t.Errorf("not ready: %s", a.Body)
		}
		s.SignInDevice(t, s.SignedIn(t), "alone")
	})
	t.Run("SSO-09 where bearers are switched off the device branch is, too", func(t *testing.T) {
		s, _ := apitest.StartEnterprise(t, apitest.Set("ENABLE_OAUTH_BEARER", "false"))
		for _, path := range ssPaths {
			method := http.MethodGet
			if strings.HasSuffix(path, "external") {
				method = http.MethodPost
			}
			wantAnswer(t, s.Call(t, method, path, ""), http.StatusServiceUnavailable, "bearer_auth_disabled")
		}
		wantAnswer(t, s.Call(t, http.MethodGet, ssContext, ""), http.StatusServiceUnavailable, "bearer_auth_disabled")
	})
}

func TestHeadersOfCompanySignIn(t *testing.T) {
	s := ssStart(t, unlimited(), apitest.Set("OPENAPI_CORS_ALLOW_ORIGINS", "https://app.example.com"))
	t.Run("SSO-98 nothing is stored, told to others, framed or shared", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "headers")
		s.back(t, b, c, apitest.Grace)
		token := csrf(t, b)
		origin := []string{"Origin", "https://app.example.com", "Sec-Fetch-Site", "same-origin"}
		refused := b.Call(http.MethodPost, ssApprove, `{"user_code":"`+c.User+`"}`, append(origin, "Content-Type", "application/json", "X-CSRF-Token", token)...)
		formed := s.form(t, b, ssApprove, "user_code", c.User)
		answers := map[string]apitest.Answer{
			"approve refused": refused, "form refused": formed,
			"initiate": b.Call(http.MethodGet, ssInitiate+"?user_code="+c.User, "", origin...), "initiate refused": b.Call(http.MethodGet, ssInitiate, "", origin...),
			"complete refused": b.Call(http.MethodGet, ssComplete+"?sso_assertion=x", "", origin...), "complete": b.Call(http.MethodGet, ssComplete+"?sso_error=sso_failed", "", origin...),
			"context refused": s.Call(t, http.MethodGet, ssContext, "", origin...),
			"form, gone":      s.form(t, s.Browser(t), ssApprove, "user_code", c.User),
		}
		for name, a := range answers {
			policy := "no-referrer"
			if strings.HasPrefix(name, "form") {
				policy = "strict-origin"
			}
			for header, want := range map[string]string{
				"Cache-Control": "no-store", "Pragma": "no-cache", "Referrer-Policy": policy, "X-Frame-Options": "DENY", "Access-Control-Allow-Origin": "", "Vary": "",
			} {
				if got := a.Header.Get(header); got != want {
					t.Errorf("%s (%d): %s is %q", name, a.Status, header, got)
				}
			}
			if !strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%s may be framed", name)
			}
		}
		wantAnswer(t, answers["approve refused"], http.StatusForbidden, "origin_not_allowed")
	})
	t.Run("SSO-98 a bearer is not looked at", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "bearer")
		s.back(t, b, c, apitest.Grace)
		a := b.Call(http.MethodGet, ssContext, "", "Authorization", "Bearer nonsense")
		wantAnswer(t, a, http.StatusOK, "")
	})
}

func TestTheLibrarySignsAnExternalSubjectIn(t *testing.T) {
	s := ssStart(t, unlimited())
	t.Run("SSO-31 difyauth takes the answer", func(t *testing.T) {
		client := &deviceauth.Client{Host: s.URL, ClientID: "difyauth", UserAgent: "da-test/1", HTTPClient: &http.Client{Transport: apitest.Checked(http.DefaultTransport)}}
		a, err := client.Start(t.Context(), "Grace's laptop")
		if err != nil {
			t.Fatal(err)
		}
		b, c := s.Browser(t), apitest.Codes{User: a.UserCode}
		s.back(t, b, c, apitest.Grace)
		wantAnswer(t, b.DecideExternal("approve", c.User, csrf(t, b)), http.StatusOK, "")
		token, err := client.Wait(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if token.Email != apitest.Grace.Email || token.Account != nil || token.SubjectType != "external_sso" || len(token.Workspaces) != 0 || token.DefaultWorkspaceID != "" || time.Until(token.ExpiresAt) < 13*24*time.Hour {
			t.Errorf("%+v", token)
		}
	})
}

// What a bridge can make that was taken over: everything but what derives from core's own
// SECRET_KEY.
func TestBridgeThatWasTakenOver(t *testing.T) {
	s := ssStart(t, unlimited())
	t.Run("SSO-36 JWS-12 an identity for a browser that began nothing", func(t *testing.T) {
		c := s.Code(t, "nothing begun")
		o := s.begun(t, s.Browser(t), c)
		victim := s.Browser(t)
		s.wantCode(t, victim.Complete(s.bridge.Assert(t, o, apitest.Grace)), "sso_wrong_browser", o.Reference)
		victim.SetDeviceCookie(ssFlow, strings.Repeat("A", 43)+"."+c.User)
		s.wantCode(t, victim.Complete(s.bridge.Assert(t, o, apitest.Grace)), "sso_wrong_browser", o.Reference)
		own := s.begun(t, victim, s.Code(t, "another code"))
		claims := s.bridge.Claims(o, apitest.Grace)
		claims.Binding = own.Binding // the bridge knows every binding, and makes no nonce
		s.wantCode(t, victim.Complete(s.bridge.Sign(t, claims)), "sso_wrong_browser", o.Reference)
	})
	t.Run("SSO-36 an approval grant signed with every key it can derive", func(t *testing.T) {
		b, c := s.Browser(t), s.Code(t, "forged")
		s.back(t, b, c, apitest.Grace)
		type claims struct {
			Connection     string `json:"connection"`
			ConnectionName string `json:"connection_name"`
			Attempt        string `json:"attempt"`
			Issuer         string `json:"subject_issuer"`
			Subject        string `json:"subject_id"`
			Email          string `json:"subject_email"`
			EmailVerified  bool   `json:"email_verified"`
			UserCode       string `json:"user_code"`
			GrantID        string `json:"gid"`
			Epoch          int64  `json:"epoch"`
			CSRF           string `json:"csrf_token"`
		}
		for _, owner := range []string{strings.Repeat("b", 43), " "} {
			codec, err := envelope.New[claims](envelope.Deps{Keys: s.bridge.Keys, Audience: envelope.ApprovalGrant, Issuer: s.URL, Owner: secret.New(owner), Now: s.Clock.Now})
			if err != nil {
				t.Fatal(err)
			}
			forged, _, err := codec.Sign(claims{Connection: "corp", ConnectionName: "Corp", Attempt: "7K2QD-9XM4P", Issuer: "x", Subject: "x", Email: "x@x.example", UserCode: c.User, GrantID: strings.Repeat("A", 22), CSRF: strings.Repeat("A", 22)})
			if err != nil {
				t.Fatal(err)
			}
			forger := s.Browser(t)
			forger.SetDeviceCookie(ssGrant, forged)
			wantAnswer(t, forger.Call(http.MethodGet, ssContext, ""), http.StatusUnauthorized, "no_session")
			wantAnswer(t, forger.DecideExternal("approve", c.User, strings.Repeat("A", 22)), http.StatusUnauthorized, "invalid_session")
		}
	})
}
