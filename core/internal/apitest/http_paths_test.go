// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// htGet sends a GET for a path as it stands: a client library would tidy it up.
func htGet(t testing.TB, s *apitest.Server, path string, headers ...string) apitest.Answer {
	t.Helper()
	return htAsk(t, s, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
}

func TestPathsThatAreNone(t *testing.T) {
	s := apitest.Start(t, unlimited())
	token, _ := s.SignInDevice(t, s.SignedIn(t), "box")
	cases := []struct{ name, path string }{
		{"M-4 unknown", "/openapi/v1/nothing"},
		{"M-4 the index", "/openapi/v1/"},
		{"M-4 the index without its slash", "/openapi/v1"},
		{"M-4 HTTP-14 another case", "/openapi/v1/_Health"},
		{"M-4 HTTP-14 another case of a bearer route", "/OpenAPI/v1/account"},
		{"M-4 HTTP-14 a final slash", "/openapi/v1/_health/"},
		{"M-4 HTTP-14 a final slash of a bearer route", "/openapi/v1/account/"},
		{"M-4 HTTP-14 a final slash of a page", "/device/"},
		{"M-4 HTTP-12 a doubled slash in front", "//openapi/v1/_health"},
		{"M-4 HTTP-12 a doubled slash inside", "/openapi//v1/_health"},
		{"M-4 HTTP-12 a step up", "/openapi/v1/../v1/_health"},
		{"M-4 HTTP-12 a step up out of a static file", "/static/../openapi/v1/_health"},
		{"HTTP-12 a step to itself", "/openapi/v1/./_health"},
		{"HTTP-12 an escaped letter", "/openapi/v1/%5fhealth"},
		{"HTTP-12 an escaped letter of a bearer route", "/openapi/v1/%61ccount"},
		{"HTTP-12 an escaped step up", "/openapi/v1/%2e%2e/v1/_health"},
		{"HTTP-12 a backslash", `/openapi\v1\_health`},
		{"HTTP-13 more letters", "/openapi/v1/accountx"},
		{"HTTP-13 a path parameter", "/openapi/v1/account;/sessions"},
		{"HTTP-13 an escaped slash", "/openapi/v1/account%2fsessions"},
		{"HTTP-13 an escaped question mark", "/openapi/v1/_health%3f"},
		{"HTTP-13 an escaped NUL", "/openapi/v1/_health%00"},
		{"HTTP-13 a free route's name in front of a guarded one", "/openapi/v1/_health/account"},
		{"HTTP-13 a guarded route below a free one", "/openapi/v1/_health/../account"},
		{"HTTP-13 a free prefix of the console", "/console/api/setup/workspaces"},
		{"HTTP-21 a static file by an escaped step up", "/static/%2e%2e%2fapp.css"},
		{"HTTP-21 a static file by a step up escaped twice", "/static/%252e%252e%252fapp.css"},
		{"HTTP-21 a static file by an escaped letter", "/static/app%2ecss"},
		{"HTTP-21 a static file by an escaped slash", "/static/%2fapp.css"},
		{"HTTP-21 a static file through a folder", "/static/x/app.css"},
		{"HTTP-21 a static file with a NUL", "/static/app.css%00"},
		{"HTTP-21 a file outside", "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd"},
		{"HTTP-21 the folder", "/static/"},
		{"M-15 the second listener's health", "/healthz"},
		{"M-15 the second listener's readiness", "/readyz"},
		{"M-15 the metrics", "/metrics"},
		{"M-15 the inner routes", "/inner/api/auth/verify"},
		{"M-15 killing a subject", "/inner/api/subjects/revoke"},
		{"M-15 profiles", "/debug/pprof/"},
		{"M-7 the former code route", "/v1/oauth/device/code"},
		{"M-7 the former token route", "/v1/oauth/device/token"},
		{"M-7 the former lookup", "/v1/oauth/device/lookup"},
		{"M-7 the former end of company sign-in", "/v1/device/sso-complete"},
		{"M-7 the former account route", "/v1/me"},
		{"M-7 the former logout", "/v1/oauth/authorizations/self"},
		{"M-7 the former approval", "/console/api/oauth/device/approve"},
		{"M-7 the former refusal", "/console/api/oauth/device/deny"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			methods := []string{"GET", "POST", "DELETE"}
			if strings.HasPrefix(tc.path, "/static/%") || strings.HasPrefix(tc.path, "/static/app") {
				methods = methods[:1] // for the others the pattern answers 405
			}
			for _, method := range methods {
				for _, credential := range []string{"", "Authorization: Bearer " + token + "\r\n"} {
					a := htAsk(t, s, method+" "+tc.path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"+credential+"\r\n")
					wantAnswer(t, a, http.StatusNotFound, "not_found")
					if a.Body != `{"code":"not_found","message":"Nothing is here.","status":404}` {
						t.Fatalf("%s: %s", method, a.Body)
					}
					wantFrameless(t, a)
				}
			}
		})
	}
	t.Run("HTTP-13 an escaped slash stays inside its segment", func(t *testing.T) {
		a := s.Bearer(t, token, http.MethodDelete, "/openapi/v1/account/sessions/self%2f")
		wantAnswer(t, a, http.StatusNotFound, "session_not_found")
		wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
	})
	t.Run("HTTP-21 the embedded files by their names", func(t *testing.T) {
		a := htGet(t, s, "/static/app.css")
		wantAnswer(t, a, http.StatusOK, "")
		if a.Header.Get("Content-Type") != "text/css; charset=utf-8" {
			t.Fatalf("%v", a.Header)
		}
	})
}

func TestMediaOfBodies(t *testing.T) {
	spy := &grantSpy{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))
	b := s.SignedIn(t)
	form := url.Values{"client_id": {"difyctl"}, "device_label": {"box"}}.Encode()
	multi := "--b\r\nContent-Disposition: form-data; name=\"client_id\"\r\n\r\ndifyctl\r\n--b--\r\n"
	cases := []struct{ name, media, encoding, body string }{
		{"M-21 HTTP-10 XML", "application/xml", "", "<client_id>difyctl</client_id>"},
		{"M-21 HTTP-10 multipart", "multipart/form-data; boundary=b", "", multi},
		{"M-21 HTTP-10 JSON as text", "text/plain", "", htStart},
		{"M-21 HTTP-08 a gzip body", "application/json", "gzip", "\x1f\x8b\x08"},
		{"M-21 HTTP-08 another encoding", "application/json", "br", htStart},
		{"M-21 HTTP-08 two encodings", "application/json", "identity, gzip", htStart},
		{"HTTP-10 nothing named", "", "", htStart},
		{"HTTP-10 another charset", "application/json; charset=utf-16", "", htStart},
		{"HTTP-10 two types", "application/json, text/plain", "", htStart},
		{"HTTP-10 a suffix", "application/problem+json", "", htStart},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			before, _, _ := spy.asked()
			csrf := b.CSRF()
			for _, path := range []string{codePath, tokenPath, "/openapi/v1/oauth/device/approve", "/openapi/v1/oauth/device/deny", "/console/api/login", "/signin", "/device"} {
				headers := []string{"Origin", s.URL, "X-CSRF-Token", csrf}
				if tc.media != "" {
					headers = append(headers, "Content-Type", tc.media)
				}
				if tc.encoding != "" {
					headers = append(headers, "Content-Encoding", tc.encoding)
				}
				a := b.Call(http.MethodPost, path, tc.body, headers...)
				if a.Status != http.StatusUnsupportedMediaType {
					t.Fatalf("%s: status %d: %.200s", path, a.Status, a.Body)
				}
				if strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
					wantAnswer(t, a, http.StatusUnsupportedMediaType, "unsupported_media_type")
					wantFailureShape(t, a)
				}
			}
			if after, _, _ := spy.asked(); after != before {
				t.Fatal("a grant was created")
			}
		})
	}
	t.Run("HTTP-10 a type is read by its own decoder", func(t *testing.T) {
		wantAnswer(t, s.Call(t, http.MethodPost, codePath, form, "Content-Type", "application/json"), http.StatusBadRequest, "invalid_json")
		wantAnswer(t, s.Call(t, http.MethodPost, codePath, htStart, "Content-Type", "application/x-www-form-urlencoded"), http.StatusBadRequest, "bad_request")
		wantAnswer(t, b.Call(http.MethodPost, "/openapi/v1/oauth/device/approve", form, "Content-Type", "application/x-www-form-urlencoded",
			"Origin", s.URL, "X-CSRF-Token", b.CSRF()), http.StatusUnsupportedMediaType, "unsupported_media_type")
	})
	t.Run("HTTP-10 the accepted ways to say JSON", func(t *testing.T) {
		for _, media := range []string{"application/json", "Application/JSON", "application/json;charset=UTF-8", `application/json; charset="utf-8"`} {
			wantAnswer(t, s.Call(t, http.MethodPost, codePath, htStart, "Content-Type", media, "Content-Encoding", "identity"), http.StatusOK, "")
		}
	})
	t.Run("HTTP-11 the query gives no form value", func(t *testing.T) {
		c := s.Code(t, "box")
		query := "?" + url.Values{"client_id": {"difyctl"}, "device_code": {c.Device}, "grant_type": {grantType}, "device_label": {"x"}}.Encode()
		for _, media := range []string{"application/x-www-form-urlencoded", "application/json"} {
			body := map[bool]string{true: "{}", false: ""}[media == "application/json"]
			wantAnswer(t, s.Call(t, http.MethodPost, tokenPath+query, body, "Content-Type", media), http.StatusBadRequest, "bad_request")
			wantAnswer(t, s.Call(t, http.MethodPost, codePath+query, body, "Content-Type", media), http.StatusBadRequest, "bad_request")
		}
		a := s.Form(t, tokenPath+"?device_code=other&client_id=other", url.Values{"client_id": {"difyctl"}, "device_code": {c.Device}, "grant_type": {grantType}})
		wantAnswer(t, a, http.StatusBadRequest, "authorization_pending")
	})
	t.Run("HTTP-11 nor a page's", func(t *testing.T) {
		fresh := s.Browser(t)
		fresh.Get("/signin")
		hidden := fresh.Hidden("/signin")
		query := url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}, "csrf_token": hidden["csrf_token"]}.Encode()
		a := fresh.Call(http.MethodPost, "/signin?"+query, hidden.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", s.URL)
		if a.Status != http.StatusUnauthorized {
			t.Fatalf("signed in by the query: %d", a.Status)
		}
		a = fresh.Call(http.MethodPost, "/signin?"+query, "", "Content-Type", "application/x-www-form-urlencoded", "Origin", s.URL)
		if a.Status != http.StatusForbidden {
			t.Fatalf("the query's CSRF token counts: %d", a.Status)
		}
	})
}

func TestNoGetChangesAnything(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	c := s.Code(t, "box")
	b.Get("/device")
	b.Submit("/device", url.Values{"user_code": {c.User}})
	t.Run("HTTP-15 neither GET nor HEAD decides", func(t *testing.T) {
		csrf := b.CSRF()
		query := "?" + url.Values{"user_code": {c.User}, "decision": {"allow"}, "csrf_token": {csrf}, "kind": {"others"}}.Encode()
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, path := range []string{"/device", "/device/authorize", "/account/sessions/end", "/signout", "/openapi/v1/oauth/device/approve",
				"/openapi/v1/oauth/device/lookup", "/console/api/logout"} {
				b.Call(method, path+query, "", "Origin", s.URL, "X-CSRF-Token", csrf)
			}
		}
		wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "authorization_pending")
		wantAnswer(t, b.Call(http.MethodGet, "/console/api/account/profile", ""), http.StatusOK, "")
	})
	t.Run("HTTP-15 no answer tells a foreign origin that it may read", func(t *testing.T) {
		for _, origin := range []string{"https://evil.example", "null", s.URL} {
			for _, path := range []string{htHealth, "/openapi/v1/account", "/console/api/csrf-token", "/device", "/console/api/setup"} {
				a := b.Call(http.MethodGet, path, "", "Origin", origin)
				for name := range a.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s for %s: %s", path, origin, name)
					}
				}
			}
		}
	})
	t.Run("HTTP-15 a method is taken from the request line alone", func(t *testing.T) {
		token, id := s.SignInDevice(t, b, "spare")
		for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			s.Call(t, http.MethodGet, "/openapi/v1/account/sessions?_method=DELETE", "", "Authorization", "Bearer "+token, header, "DELETE")
			a := s.Call(t, http.MethodPost, "/openapi/v1/account/sessions/"+id, "", "Authorization", "Bearer "+token, header, "DELETE")
			wantAnswer(t, a, http.StatusMethodNotAllowed, "method_not_allowed")
		}
		wantAnswer(t, s.Bearer(t, token, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
	})
}
