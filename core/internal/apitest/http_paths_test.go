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
		{name: "M-4 unknown", path: "/openapi/v1/nothing"},
		{name: "M-4 the index", path: "/openapi/v1/"},
		{name: "M-4 the index without its slash", path: "/openapi/v1"},
		{name: "M-4 HTTP-14 another case", path: "/openapi/v1/_Health"},
		{name: "M-4 HTTP-14 another case of a bearer route", path: "/OpenAPI/v1/account"},
		{name: "M-4 HTTP-14 a final slash", path: "/openapi/v1/_health/"},
		{name: "M-4 HTTP-14 a final slash of a bearer route", path: "/openapi/v1/account/"},
		{name: "M-4 HTTP-14 a final slash of a page", path: "/device/"},
		{name: "M-4 HTTP-12 a doubled slash in front", path: "//openapi/v1/_health"},
		{name: "M-4 HTTP-12 a doubled slash inside", path: "/openapi//v1/_health"},
		{name: "M-4 HTTP-12 a step up", path: "/openapi/v1/../v1/_health"},
		{name: "M-4 HTTP-12 a step up out of a static file", path: "/static/../openapi/v1/_health"},
		{name: "HTTP-12 a step to itself", path: "/openapi/v1/./_health"},
		{name: "HTTP-12 an escaped letter", path: "/openapi/v1/%5fhealth"},
		{name: "HTTP-12 an escaped letter of a bearer route", path: "/openapi/v1/%61ccount"},
		{name: "HTTP-12 an escaped step up", path: "/openapi/v1/%2e%2e/v1/_health"},
		{name: "HTTP-12 a backslash", path: `/openapi\v1\_health`},
		{name: "HTTP-13 more letters", path: "/openapi/v1/accountx"},
		{name: "HTTP-13 a path parameter", path: "/openapi/v1/account;/sessions"},
		{name: "HTTP-13 an escaped slash", path: "/openapi/v1/account%2fsessions"},
		{name: "HTTP-13 an escaped question mark", path: "/openapi/v1/_health%3f"},
		{name: "HTTP-13 an escaped NUL", path: "/openapi/v1/_health%00"},
		{name: "HTTP-13 a free route's name in front of a guarded one", path: "/openapi/v1/_health/account"},
		{name: "HTTP-13 a guarded route below a free one", path: "/openapi/v1/_health/../account"},
		{name: "HTTP-13 a free prefix of the console", path: "/console/api/setup/workspaces"},
		{name: "HTTP-21 a static file by an escaped step up", path: "/static/%2e%2e%2fapp.css"},
		{name: "HTTP-21 a static file by a step up escaped twice", path: "/static/%252e%252e%252fapp.css"},
		{name: "HTTP-21 a static file by an escaped letter", path: "/static/app%2ecss"},
		{name: "HTTP-21 a static file by an escaped slash", path: "/static/%2fapp.css"},
		{name: "HTTP-21 a static file through a folder", path: "/static/x/app.css"},
		{name: "HTTP-21 a static file with a NUL", path: "/static/app.css%00"},
		{name: "HTTP-21 a file outside", path: "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd"},
		{name: "HTTP-21 the folder", path: "/static/"},
		{name: "M-15 the second listener's health", path: "/healthz"},
		{name: "M-15 the second listener's readiness", path: "/readyz"},
		{name: "M-15 the metrics", path: "/metrics"},
		{name: "M-15 the inner routes", path: "/inner/api/auth/verify"},
		{name: "M-15 killing a subject", path: "/inner/api/subjects/revoke"},
		{name: "M-15 profiles", path: "/debug/pprof/"},
		{name: "M-7 the former code route", path: "/v1/oauth/device/code"},
		{name: "M-7 the former token route", path: "/v1/oauth/device/token"},
		{name: "M-7 the former lookup", path: "/v1/oauth/device/lookup"},
		{name: "M-7 the former end of company sign-in", path: "/v1/device/sso-complete"},
		{name: "M-7 the former account route", path: "/v1/me"},
		{name: "M-7 the former logout", path: "/v1/oauth/authorizations/self"},
		{name: "M-7 the former approval", path: "/console/api/oauth/device/approve"},
		{name: "M-7 the former refusal", path: "/console/api/oauth/device/deny"},
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
		{name: "M-21 HTTP-10 XML", media: "application/xml", encoding: "", body: "<client_id>difyctl</client_id>"},
		{name: "M-21 HTTP-10 multipart", media: "multipart/form-data; boundary=b", encoding: "", body: multi},
		{name: "M-21 HTTP-10 JSON as text", media: "text/plain", encoding: "", body: htStart},
		{name: "M-21 HTTP-08 a gzip body", media: "application/json", encoding: "gzip", body: "\x1f\x8b\x08"},
		{name: "M-21 HTTP-08 another encoding", media: "application/json", encoding: "br", body: htStart},
		{name: "M-21 HTTP-08 two encodings", media: "application/json", encoding: "identity, gzip", body: htStart},
		{name: "HTTP-10 nothing named", media: "", encoding: "", body: htStart},
		{name: "HTTP-10 another charset", media: "application/json; charset=utf-16", encoding: "", body: htStart},
		{name: "HTTP-10 two types", media: "application/json, text/plain", encoding: "", body: htStart},
		{name: "HTTP-10 a suffix", media: "application/problem+json", encoding: "", body: htStart},
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
