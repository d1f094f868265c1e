// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
)

const (
	mtListed  = "https://front.example"
	mtListed2 = "http://localhost:3000"
)

var mtOrigins = apitest.Set("OPENAPI_CORS_ALLOW_ORIGINS", " "+mtListed+" , "+mtListed2)

// mtClass is what a listed origin may do with a route, as the specification lists it.
func mtClass(route httpapi.Route) string {
	switch key := route.Method + " " + route.Path; {
	case key == "POST /openapi/v1/oauth/device/approve", key == "POST /openapi/v1/oauth/device/deny", key == "GET "+mtContext, key == "GET "+mtCSRF:
		return "credentials"
	case strings.HasPrefix(route.Path, mtAPI+"/"), strings.HasPrefix(route.Path, "/.well-known/oauth-"):
		return "read"
	}
	return "none"
}

// mtWantShared checks every header of CORS of an answer.
func mtWantShared(t testing.TB, a apitest.Answer, class, origin string, preflight bool) {
	t.Helper()
	want := map[string]string{}
	if class != "none" && origin != "" {
		want["Access-Control-Allow-Origin"], want["Access-Control-Expose-Headers"] = origin, "X-Request-Id, Retry-After, WWW-Authenticate"
		if class == "credentials" {
			want["Access-Control-Allow-Credentials"] = "true"
		}
		if preflight {
			want["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
			want["Access-Control-Allow-Headers"] = "Authorization, Content-Type, X-CSRF-Token"
			want["Access-Control-Max-Age"] = "600"
		}
	}
	for name, value := range want {
		if got := a.Header.Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("status %d: %s is %q instead of %q", a.Status, name, got, value)
		}
	}
	for name := range a.Header {
		if _, known := want[name]; !known && strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("status %d: %s: %s", a.Status, name, a.Header.Get(name))
		}
	}
	if varies := a.Header.Get("Vary") == "Origin"; varies != (class != "none") {
		t.Errorf("status %d: Vary %q", a.Status, a.Header.Get("Vary"))
	}
	wantFrameless(t, a)
}

func TestOtherOriginsOnEveryRoute(t *testing.T) {
	slow(t)
	s, alone := apitest.Start(t, unlimited(), mtOrigins), apitest.Start(t, unlimited())
	strangers := []string{"", "null", "https://evil.example", mtListed + "/", mtListed + ":443", mtListed + ".evil.example", "http://front.example", "HTTPS://front.example",
		"https://front.example https://evil.example", "https://sub.front.example", mtListed + "," + mtListed2, "*"}
	for _, route := range httpapi.Routes() {
		class, key := mtClass(route), route.Method+" "+route.Path
		r := htTable[key]
		path := htPath(route.Path) + "?" + r.query
		send := func(s *apitest.Server, headers ...string) apitest.Answer {
			return s.Call(t, route.Method, path, r.json+r.form.Encode(), append([]string{"Content-Type", htMedia(r)}, headers...)...)
		}
		ask := func(s *apitest.Server, headers ...string) apitest.Answer {
			return s.Call(t, http.MethodOptions, path, "", append([]string{"Access-Control-Request-Method", route.Method, "Access-Control-Request-Headers", "authorization,content-type"}, headers...)...)
		}
		t.Run("M-5 M-3 HTTP-15 "+key, func(t *testing.T) {
			for _, origin := range []string{mtListed, mtListed2} {
				mtWantShared(t, send(s, "Origin", origin), class, origin, false)
				a := ask(s, "Origin", origin)
				mtWantShared(t, a, class, origin, true)
				if class == "none" {
					wantAnswer(t, a, http.StatusMethodNotAllowed, "method_not_allowed")
				} else if a.Status != http.StatusOK || a.Body != "" || len(a.Cookies) > 0 || a.Header.Get("RateLimit-Limit") != "" {
					t.Errorf("preflight: %d %v %s", a.Status, a.Header, a.Body)
				}
			}
			for _, origin := range strangers {
				served := send(s, "Origin", origin)
				mtWantShared(t, served, class, "", false)
				if plain := send(s); class == "read" && plain.Status != served.Status { // cookie writes refuse by origin
					t.Errorf("%q is answered %d and nobody %d", origin, served.Status, plain.Status)
				}
				if a := ask(s, "Origin", origin); class != "none" {
					mtWantShared(t, a, class, "", true)
					if a.Status != http.StatusOK {
						t.Errorf("preflight of %q: %d", origin, a.Status)
					}
				}
			}
			mtWantShared(t, send(s, "Origin", mtListed, "Origin", mtListed2), class, "", false)
			for _, a := range []apitest.Answer{send(alone, "Origin", mtListed), ask(alone, "Origin", mtListed)} {
				mtWantShared(t, a, "none", "", false)
			}
		})
	}
	t.Run("M-5 approval-context without a code is no business of another origin", func(t *testing.T) {
		mtWantShared(t, s.Call(t, http.MethodGet, mtContext, "", "Origin", mtListed), "none", "", false)
		mtWantShared(t, s.Call(t, http.MethodOptions, mtContext, "", "Origin", mtListed, "Access-Control-Request-Method", "GET"), "none", "", true)
	})
	t.Run("M-5 M-11 an address without a route has no class, and Allow tells of the preflight", func(t *testing.T) {
		mtWantShared(t, s.Call(t, http.MethodGet, mtAPI+"/nothing", "", "Origin", mtListed), "none", "", false)
		a := s.Call(t, http.MethodPut, htSessions, "")
		if a.Status != http.StatusMethodNotAllowed || !strings.Contains(a.Header.Get("Allow"), http.MethodOptions) {
			t.Errorf("%d %v", a.Status, a.Header)
		}
	})
}

func TestFailuresThatAnotherOriginCanRead(t *testing.T) {
	stores := htNewStores()
	s := apitest.Start(t, mtOrigins, apitest.Set("RATE_LIMITS", "bearer.token=3/1h,device.lookup.addr=2/1h"), apitest.Wrap(stores.wrap))
	b := s.SignedIn(t)
	token, _ := s.SignInDevice(t, b, "box")
	from := func(headers ...string) []string { return append(headers, "Origin", mtListed) }
	bearer := func(method, path string) apitest.Answer {
		return s.Call(t, method, path, "", from("Authorization", "Bearer "+token)...)
	}
	start := func() apitest.Answer {
		return s.Call(t, http.MethodPost, codePath, htStart, from("Content-Type", "application/json")...)
	}
	want := func(name, class string, status int, a apitest.Answer) {
		t.Run("M-5 "+name, func(t *testing.T) {
			if a.Status != status {
				t.Fatalf("status %d instead of %d: %s", a.Status, status, a.Body)
			}
			mtWantShared(t, a, class, mtListed, false)
		})
	}
	want("401 without a bearer", "read", 401, s.Call(t, http.MethodGet, htAccount, "", from()...))
	want("404 of an object", "read", 404, bearer(http.MethodDelete, htSessions+"/x"))
	want("422 of a parameter", "read", 422, bearer(http.MethodGet, htSessions+"?page=0"))
	bearer(http.MethodGet, htSessions)
	limited := bearer(http.MethodGet, htSessions)
	want("429 of a bearer", "read", 429, limited)
	if limited.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After to read")
	}
	want("415", "read", 415, s.Call(t, http.MethodPost, codePath, "x", from("Content-Type", "text/plain")...))
	want("413", "read", 413, s.Call(t, http.MethodPost, codePath, strings.Repeat(" ", 70<<10), from("Content-Type", "application/json")...))
	want("400 of the protocol", "read", 400, s.Form(t, tokenPath, url.Values{}, from()...))
	stores.set("grants", htFails)
	want("503", "read", 503, start())
	stores.set("grants", htPanics)
	want("500", "read", 500, start())
	stores.set("grants", htWorks)
	want("401 without a session", "credentials", 401, s.Call(t, http.MethodGet, mtCSRF, "", from()...))
	want("403 of a write", "credentials", 403, b.Call(http.MethodPost, "/openapi/v1/oauth/device/approve", `{"user_code":"x"}`, from("Content-Type", "application/json", "Sec-Fetch-Site", "cross-site")...))
	want("404 of a code", "credentials", 404, b.Call(http.MethodGet, mtContext+"?user_code=BCDF-GHJK", "", from()...))
}

// A front end on another origin of the same site decides with its reader's cookie.
func TestApprovalFromAnotherOrigin(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited(), mtOrigins)
	b := s.SignedIn(t)
	embedded := func(headers ...string) []string {
		return append(headers, "Origin", mtListed, "Sec-Fetch-Site", "same-site")
	}
	decide := func(act, code, token string, headers ...string) apitest.Answer {
		if token != "" {
			headers = append(headers, "X-CSRF-Token", token)
		}
		return b.Call(http.MethodPost, "/openapi/v1/oauth/device/"+act, `{"user_code":"`+code+`"}`, append(headers, "Content-Type", "application/json")...)
	}
	for _, act := range []string{"approve", "deny"} {
		t.Run("M-29 "+act+" from a page of the same site", func(t *testing.T) {
			c := s.Code(t, "box")
			seen := b.Call(http.MethodGet, mtContext+"?user_code="+c.User, "", embedded()...)
			wantAnswer(t, seen, http.StatusOK, "")
			mtWantShared(t, seen, "credentials", mtListed, false)
			given := b.Call(http.MethodGet, mtCSRF, "", embedded()...)
			wantAnswer(t, given, http.StatusOK, "")
			mtWantShared(t, given, "credentials", mtListed, false)
			token := given.Text(t, "csrf_token")
			if token != seen.Text(t, "csrf_token") {
				t.Error("the two tokens differ")
			}
			for name, tc := range map[string]struct {
				token   string
				headers []string
				code    string
			}{
				"without a token":                      {"", embedded(), "csrf_mismatch"},
				"with another token":                   {strings.Repeat("A", 43), embedded(), "csrf_mismatch"},
				"cross-site":                           {token, []string{"Origin", mtListed, "Sec-Fetch-Site", "cross-site"}, "origin_not_allowed"},
				"a browser that does not say":          {token, []string{"Origin", mtListed}, "origin_not_allowed"},
				"typed":                                {token, []string{"Origin", mtListed, "Sec-Fetch-Site", "none"}, "origin_not_allowed"},
				"that claims to be us":                 {token, []string{"Origin", mtListed, "Sec-Fetch-Site", "same-origin"}, "origin_not_allowed"},
				"an origin that is not listed":         {token, []string{"Origin", "https://other.example", "Sec-Fetch-Site", "same-site"}, "origin_not_allowed"},
				"a hidden origin":                      {token, []string{"Origin", "null", "Sec-Fetch-Site", "same-site"}, "origin_not_allowed"},
				"our origin from beside us":            {token, []string{"Origin", s.URL, "Sec-Fetch-Site", "same-site"}, "origin_not_allowed"},
				"two origins":                          {token, []string{"Origin", mtListed, "Origin", mtListed2, "Sec-Fetch-Site", "same-site"}, "origin_not_allowed"},
				"a listed origin in the referrer only": {token, []string{"Referer", mtListed + "/", "Sec-Fetch-Site", "same-site"}, "origin_not_allowed"},
			} {
				t.Run("M-29 "+name, func(t *testing.T) {
					wantAnswer(t, decide(act, c.User, tc.token, tc.headers...), http.StatusForbidden, tc.code)
				})
			}
			wantAnswer(t, decide(act, c.User, token, embedded()...), http.StatusOK, "")
			want := http.StatusOK
			if act == "deny" {
				want = http.StatusBadRequest
			}
			if a := s.Poll(t, c); a.Status != want {
				t.Errorf("the poll reads %d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("M-29 where nobody is listed nobody passes", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		b, c := s.SignedIn(t), s.Code(t, "box")
		wantAnswer(t, b.Call(http.MethodPost, "/openapi/v1/oauth/device/approve", `{"user_code":"`+c.User+`"}`,
			embedded("Content-Type", "application/json", "X-CSRF-Token", b.CSRF())...), http.StatusForbidden, "origin_not_allowed")
	})
	for _, route := range httpapi.Routes() {
		key := route.Method + " " + route.Path
		writes := route.Method != http.MethodGet && route.Caller != "open" && route.Caller != "bearer" && route.Caller != "client"
		if !writes || mtClass(route) == "credentials" {
			continue
		}
		t.Run("M-29 no other write of a cookie route: "+key, func(t *testing.T) {
			r, token := htTable[key], b.CSRF()
			form := url.Values{"csrf_token": {token}}
			for name, values := range r.form {
				form[name] = values
			}
			headers, body := embedded("X-CSRF-Token", token, "Content-Type", htMedia(r)), r.json
			if r.form != nil {
				body = form.Encode()
			}
			a := b.Call(route.Method, htPath(route.Path), body, headers...)
			if a.Status != http.StatusForbidden {
				t.Errorf("status %d: %.200s", a.Status, a.Body)
			}
			mtWantShared(t, a, "none", "", false)
		})
	}
}
