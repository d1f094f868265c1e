// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
)

func TestTheAPIIsOff(t *testing.T) {
	slow(t)
	s := apitest.Start(t, mtOrigins, apitest.Set("OPENAPI_ENABLED", "false"), apitest.Set("RATE_LIMITS", "device.code.addr=1/1h,bearer.token=1/1h"))
	b := s.SignedIn(t)
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions}
	gone := 0
	for _, route := range httpapi.Routes() {
		off := strings.HasPrefix(route.Path, "/openapi/v1/") || route.Path == "/device" || strings.HasPrefix(route.Path, "/device/") || strings.HasPrefix(route.Path, "/.well-known/oauth-")
		key := route.Method + " " + route.Path
		if !off {
			t.Run("M-2 everything else is as ever: "+key, func(t *testing.T) {
				r := htTable[key]
				if a := s.Call(t, route.Method, htPath(route.Path)+"?"+r.query, r.json+r.form.Encode(), "Content-Type", htMedia(r)); a.Status != r.want[htNobody] {
					t.Errorf("status %d instead of %d", a.Status, r.want[htNobody])
				}
			})
			continue
		}
		gone++
		t.Run("M-2 "+key, func(t *testing.T) {
			r := htTable[key]
			for _, method := range methods {
				for who, send := range map[string]func(headers ...string) apitest.Answer{
					"a stranger": func(headers ...string) apitest.Answer {
						return s.Call(t, method, htPath(route.Path)+"?"+r.query, r.json+r.form.Encode(), append(headers, "Content-Type", htMedia(r))...)
					},
					"a browser": func(headers ...string) apitest.Answer {
						return b.Call(method, htPath(route.Path)+"?"+r.query, r.json+r.form.Encode(), append(headers, "Content-Type", htMedia(r))...)
					},
				} {
					for range 2 { // beyond every budget
						a := send("Authorization", "Bearer dfoa_"+strings.Repeat("A", 43), "Origin", mtListed, "Access-Control-Request-Method", "GET")
						if method == http.MethodHead {
							if a.Status != http.StatusNotFound {
								t.Errorf("HEAD of %s: %d", who, a.Status)
							}
							continue
						}
						wantAnswer(t, a, http.StatusNotFound, "not_found")
						wantFailureShape(t, a)
						for name := range a.Header {
							if strings.HasPrefix(name, "Ratelimit-") || strings.HasPrefix(name, "Access-Control-") || name == "Allow" || name == "Www-Authenticate" {
								t.Errorf("%s of %s: %s: %s", method, who, name, a.Header.Get(name))
							}
						}
					}
				}
			}
		})
	}
	if gone < 20 {
		t.Errorf("only %d routes are off", gone)
	}
	t.Run("M-2 a browser reads a page that says so", func(t *testing.T) {
		a := b.Get("/device")
		if a.Status != http.StatusNotFound || !strings.Contains(a.Body, "Nothing is here") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("M-2 no budget was asked", func(t *testing.T) {
		if scopes := sharedCounters(t, s); slices.ContainsFunc(scopes, func(scope string) bool {
			return strings.Contains(scope, "device.") || strings.Contains(scope, "bearer.")
		}) {
			t.Errorf("counters of %q", scopes)
		}
	})
	t.Run("M-2 readiness is asked on the second listener", func(t *testing.T) {
		if a := htInner(t, s, "/readyz"); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

// mtRefused are the routes that ENABLE_OAUTH_BEARER=false closes, beside every route of
// a bearer.
var mtRefused = []string{
	"POST /openapi/v1/oauth/device/code", "POST /openapi/v1/oauth/device/token", "POST /openapi/v1/oauth/device/approve", "POST /openapi/v1/oauth/device/deny",
	"GET " + mtContext, "GET /device", "POST /device", "POST /device/authorize",
}

// mtWantOff is the one refusal, which no repeat changes.
func mtWantOff(t testing.TB, a apitest.Answer) {
	t.Helper()
	if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		if a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, "Devices cannot sign in here") {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	} else {
		wantAnswer(t, a, http.StatusServiceUnavailable, "bearer_auth_disabled")
		wantFailureShape(t, a)
	}
	for _, name := range []string{"Retry-After", "WWW-Authenticate", "RateLimit-Limit", "Location", "Set-Cookie"} {
		if got := a.Header.Get(name); got != "" {
			t.Fatalf("%s: %s", name, got)
		}
	}
}

func TestBearersAreOff(t *testing.T) {
	slow(t)
	dir := t.TempDir()
	var live, other string
	place := apitest.In(dir)
	if apitest.OnFleet() {
		place = apitest.On(apitest.NewPair(t))
	}
	t.Run("DF-40 tokens of before", func(t *testing.T) {
		s := apitest.Start(t, unlimited(), place)
		b := s.SignedIn(t)
		live, _ = s.SignInDevice(t, b, "box")
		other, _ = s.SignInDevice(t, b, "other")
	})
	s := apitest.Start(t, unlimited("device.code.addr=1/1h"), place, oaClients, faProxied, mtOrigins, apitest.Set("ENABLE_OAUTH_BEARER", "false"))
	b := s.SignedIn(t)
	csrf := b.CSRF()
	refused := 0
	for _, route := range httpapi.Routes() {
		key := route.Method + " " + route.Path
		r := htTable[key]
		if route.Caller != "bearer" && !slices.Contains(mtRefused, key) {
			if route.Method == http.MethodGet {
				t.Run("DF-40 it goes on working: "+key, func(t *testing.T) {
					if a := b.Call(route.Method, htPath(route.Path)+"?"+r.query, ""); a.Status != r.want[htCookie] {
						t.Errorf("status %d instead of %d", a.Status, r.want[htCookie])
					}
				})
			}
			continue
		}
		refused++
		t.Run("DF-40 "+key, func(t *testing.T) {
			path, body := htPath(route.Path)+"?"+r.query, r.json+r.form.Encode()
			cookieRoute := strings.HasPrefix(route.Caller, "cookie")
			if cookieRoute { // who asks comes first
				wantAnswer(t, s.Call(t, route.Method, path, body, "Content-Type", htMedia(r), "Authorization", "Bearer "+live), http.StatusUnauthorized, "unauthorized")
			} else {
				for _, headers := range [][]string{nil, {"Authorization", "Bearer " + live}, {"Authorization", "Bearer x", "Authorization", "Bearer y"}, {"Authorization", "Basic eDp5"}} {
					mtWantOff(t, s.Call(t, route.Method, path, body, append(headers, "Content-Type", htMedia(r))...))
				}
				mtWantOff(t, s.Call(t, route.Method, path, strings.Repeat("x", 70<<10), "Content-Type", "text/plain"))
			}
			// Before origin and token, content type and size.
			mtWantOff(t, b.Call(route.Method, path, strings.Repeat("x", 70<<10), "Content-Type", "text/plain", "Sec-Fetch-Site", "cross-site"))
			mtWantOff(t, b.Call(route.Method, path, body, "Content-Type", htMedia(r), "X-CSRF-Token", csrf, "Origin", s.URL))
			if strings.HasPrefix(route.Path, mtAPI) {
				a := s.Call(t, http.MethodOptions, path, "", "Origin", mtListed, "Access-Control-Request-Method", route.Method)
				if a.Status != http.StatusOK || a.Header.Get("Access-Control-Allow-Origin") != mtListed {
					t.Errorf("a script cannot read why: %d %v", a.Status, a.Header)
				}
			}
		})
	}
	if refused < len(mtRefused)+5 {
		t.Errorf("only %d routes are refused", refused)
	}
	t.Run("DF-40 a page of a browser says what to do", func(t *testing.T) {
		b.Lang = "zh-CN"
		if a := b.Get("/device"); a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, "请联系系统管理员") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("DF-40 proxies are told too, once their key is good", func(t *testing.T) {
		wantAnswer(t, faSend(t, s.Inner, http.MethodGet, faVerify, "Authorization", "Bearer "+live), http.StatusUnauthorized, "unauthorized")
		mtWantOff(t, faAsk(t, s.Inner, http.MethodGet, faVerify, live))
		mtWantOff(t, faAsk(t, s.Inner, http.MethodGet, faEnvoy+"/x", ""))
	})
	t.Run("DF-40 a code can be looked up", func(t *testing.T) {
		wantAnswer(t, s.Call(t, http.MethodGet, lookPath+"?user_code=BCDF-GHJK", ""), http.StatusOK, "")
	})
	t.Run("TK-21 DF-40 introspection and revocation go on working", func(t *testing.T) {
		if a := oaAsk(t, s, live); a.Status != http.StatusOK || a.JSON(t)["active"] != true {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a := s.Form(t, revokePath, url.Values{"token": {live}}); a.Status != http.StatusOK || a.Body != "{}" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		oaWantInactive(t, oaAsk(t, s, live))
		if a := oaAsk(t, s, other); a.JSON(t)["active"] != true {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		wantAnswer(t, s.Form(t, introspectPath, url.Values{"token": {live}}), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("DF-40 a device is still listed and ended in the browser", func(t *testing.T) {
		b.Lang = "en"
		if a := b.Get("/account/sessions"); a.Status != http.StatusOK || !strings.Contains(a.Body, "other") {
			t.Fatalf("%d", a.Status)
		}
	})
	t.Run("DF-40 before set-up a decision says that first", func(t *testing.T) {
		s := apitest.Start(t, apitest.Fresh(), apitest.Set("ENABLE_OAUTH_BEARER", "false"))
		wantAnswer(t, s.Post(t, "/openapi/v1/oauth/device/approve", map[string]string{}), http.StatusUnauthorized, "not_setup")
		mtWantOff(t, s.Post(t, codePath, map[string]string{}))
	})
}

func TestSystemFeatures(t *testing.T) {
	s := apitest.Start(t, unlimited(), apitest.Fresh())
	t.Run("what the Community Edition offers, before set-up too", func(t *testing.T) {
		a := s.Call(t, http.MethodGet, "/console/api/system-features", "")
		const want = `{"edition":"SELF_HOSTED","sso_enforced_for_signin":false,"enable_email_password_login":true,` +
			`"webapp_auth":{"enabled":false,"allow_sso":false,"sso_config":{"protocol":""}}}`
		if a.Status != http.StatusOK || a.Body != want || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
			t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
		}
	})
}
