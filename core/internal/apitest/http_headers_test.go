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

// The two halves of a page's policy that a browser enforces for us.
const htPagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func TestHeadersOfEveryRoute(t *testing.T) {
	for _, edge := range []struct {
		name, public, hsts string
	}{
		{name: "HTTP-23 HTTP-25 M-3 behind https", public: "https://sso.example.com", hsts: "max-age=31536000"},
		{name: "HTTP-23 HTTP-25 M-3 on loopback", public: "http://127.0.0.1:5001"},
	} {
		t.Run(edge.name, func(t *testing.T) {
			s := apitest.Start(t, unlimited(), apitest.Set("CONSOLE_API_URL", edge.public))
			for _, route := range httpapi.Routes() {
				r := htTable[route.Method+" "+route.Path]
				a := s.Call(t, route.Method, htPath(route.Path)+"?"+r.query, r.json+r.form.Encode(), "Accept", "text/html", "Content-Type", htMedia(r))
				wantFrameless(t, a)
				want := map[string]string{"Cache-Control": "no-store", "Strict-Transport-Security": edge.hsts, "Pragma": "no-cache", "Content-Security-Policy": "frame-ancestors 'none'"}
				switch {
				case strings.HasPrefix(route.Path, "/openapi/v1/_") || route.Path == "/openapi/v1/openapi.json":
					want["Pragma"] = ""
				case strings.HasPrefix(route.Path, "/.well-known/"):
					want["Pragma"], want["Cache-Control"] = "", "public, max-age=300"
				case route.Caller == "static":
					want["Pragma"], want["Cache-Control"] = "", "public, max-age=300"
				case a.Status == http.StatusSeeOther:
					want["Referrer-Policy"] = "no-referrer"
				case strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"):
					want["Content-Security-Policy"], want["Referrer-Policy"], want["Cross-Origin-Opener-Policy"] = htPagePolicy, "strict-origin", "same-origin"
					if !strings.Contains(a.Header.Get("Permissions-Policy"), "geolocation=()") {
						t.Errorf("%s %s: Permissions-Policy %q", route.Method, route.Path, a.Header.Get("Permissions-Policy"))
					}
				}
				for name, value := range want {
					if got := a.Header.Get(name); got != value {
						t.Errorf("%s %s (%d): %s is %q instead of %q", route.Method, route.Path, a.Status, name, got, value)
					}
				}
				if got := a.Header.Get("Server"); got != "" {
					t.Errorf("%s %s names its server: %q", route.Method, route.Path, got)
				}
			}
		})
	}
}

func htMedia(r htRequest) string {
	if r.form != nil {
		return "application/x-www-form-urlencoded"
	}
	return "application/json"
}

func TestHeadersOfFailures(t *testing.T) {
	stores := htNewStores()
	s := apitest.Start(t, unlimited(), apitest.Wrap(stores.wrap))
	answers := map[string]apitest.Answer{
		"404 of a client": s.Call(t, http.MethodGet, "/nothing", ""), "404 of a browser": s.Call(t, http.MethodGet, "/nothing", "", "Accept", "text/html"),
		"405 of a client": s.Call(t, http.MethodPut, "/device", ""), "405 of a browser": s.Call(t, http.MethodPut, "/device", "", "Accept", "text/html"),
		"preflight": s.Call(t, http.MethodOptions, codePath, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"),
		"303":       s.Call(t, http.MethodGet, "/", ""), "401": s.Call(t, http.MethodGet, "/openapi/v1/account", ""), "403": s.Form(t, "/signin", url.Values{}),
		"400": s.Form(t, tokenPath, url.Values{}), "431": s.Call(t, http.MethodGet, htHealth, "", "X-Note", strings.Repeat("a", 20<<10)),
	}
	stores.set("grants", htFails)
	answers["503"] = s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "x"})
	stores.set("grants", htPanics)
	answers["500"] = s.Post(t, codePath, map[string]string{"client_id": "difyctl", "device_label": "x"})
	stores.set("grants", htWorks)
	for name, a := range answers {
		t.Run("M-3 "+name, func(t *testing.T) {
			wantFrameless(t, a)
			if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Request-Id") == "" {
				t.Fatalf("%v", a.Header)
			}
			if want := name[:3]; want != "pre" && want != htItoa(a.Status) {
				t.Fatalf("status %d", a.Status)
			}
		})
	}
	t.Run("M-8 a browser's failures are pages and a client's are JSON", func(t *testing.T) {
		for name, a := range answers {
			if html := strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"); strings.HasSuffix(name, "browser") != html && a.Status != 303 && a.Status != 403 {
				t.Errorf("%s: %q", name, a.Header.Get("Content-Type"))
			}
		}
	})
	t.Run("HTTP-16 a request's own bytes are in no failure", func(t *testing.T) {
		for _, a := range []apitest.Answer{
			s.Call(t, http.MethodGet, "/nothing?query-canary=1", "", "X-Header", "header-canary", "Cookie", "console_session=cookie-canary"),
			s.Call(t, http.MethodGet, "/nothing?query-canary=1", "", "Accept", "text/html", "User-Agent", "header-canary"),
			s.Call(t, http.MethodPost, codePath, `{"client_id":"body-canary!","device_label":"label-canary\u0000","member-canary":1}`, "Content-Type", "application/json"),
			s.Call(t, http.MethodPost, codePath, `{"client_id":"body-canary`, "Content-Type", "application/json"),
			s.Call(t, http.MethodGet, "/openapi/v1/account", "", "Authorization", "Bearer header-canary"),
			s.Call(t, http.MethodGet, lookPath+"?user_code=query-canary&user_code=query-canary", ""),
			htAsk(t, s, "GET /nothing HTTP/1.1\r\nHost: x\r\nheader-canary : 1\r\n\r\n"),
			htAsk(t, s, "method-canary /nothing HTTP/1.1\r\nHost: x\r\n\r\n"),
		} {
			if strings.Contains(a.Body, "-canary") {
				t.Errorf("status %d: %s", a.Status, a.Body)
			}
		}
	})
}

func TestAddressesComeFromConfiguration(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited())
	spoofed := []string{"Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Port: 1",
		"X-Original-URL: /admin", "X-Rewrite-URL: /admin", "Forwarded: for=203.0.113.9;host=evil.example;proto=gopher", "X-Real-IP: 203.0.113.9",
		"CF-Connecting-IP: 203.0.113.9", "True-Client-IP: 203.0.113.9"}
	t.Run("M-12 HTTP-06 no address in any answer changes", func(t *testing.T) {
		for _, route := range httpapi.Routes() {
			r := htTable[route.Method+" "+route.Path]
			a := htAsk(t, s, route.Method+" "+htPath(route.Path)+"?"+r.query+" HTTP/1.1\r\n"+strings.Join(spoofed, "\r\n")+"\r\nContent-Type: "+htMedia(r)+
				"\r\nContent-Length: "+htItoa(len(r.json+r.form.Encode()))+"\r\n\r\n"+r.json+r.form.Encode())
			for _, word := range []string{"evil.example", "gopher", "203.0.113.9"} {
				if strings.Contains(a.Body, word) || strings.Contains(a.Header.Get("Location"), word) || strings.Contains(a.Header.Get("Set-Cookie"), word) {
					t.Errorf("%s %s: %s in %v %.300s", route.Method, route.Path, word, a.Header, a.Body)
				}
			}
		}
		a := htAsk(t, s, "POST "+codePath+" HTTP/1.1\r\n"+strings.Join(spoofed, "\r\n")+"\r\nContent-Type: application/json\r\nContent-Length: "+htItoa(len(htStart))+"\r\n\r\n"+htStart)
		if got := a.Text(t, "verification_uri"); got != s.URL+"/device" {
			t.Errorf("verification_uri %q", got)
		}
	})
	t.Run("M-12 HTTP-06 a stranger's request id, scheme and address mean nothing", func(t *testing.T) {
		a := htAsk(t, s, "GET "+htHealth+" HTTP/1.1\r\n"+strings.Join(spoofed, "\r\n")+"\r\nX-Request-Id: chosen-by-a-stranger\r\n\r\n")
		if a.Header.Get("X-Request-Id") == "chosen-by-a-stranger" {
			t.Error("the request id was taken over")
		}
		a = htAsk(t, s, "GET /signin HTTP/1.1\r\nX-Forwarded-Proto: https\r\n"+spoofed[0]+"\r\n\r\n")
		if cookie := a.Header.Get("Set-Cookie"); strings.Contains(strings.ToLower(cookie), "secure") || a.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("the scheme was taken over: %q", cookie)
		}
		s.Call(t, http.MethodGet, "/openapi/v1/account", "", "Authorization", "Bearer x", "X-Forwarded-For", "203.0.113.9", "X-Real-IP", "203.0.113.9",
			"CF-Connecting-IP", "203.0.113.9", "True-Client-IP", "203.0.113.9", "Forwarded", "for=203.0.113.9")
		awaitEvents(t, s, "oauth.bearer_rejected", 1)
		if got := sqlText(t, s, `SELECT ip FROM audit_events WHERE event = 'oauth.bearer_rejected'`); got != "127.0.0.1" {
			t.Errorf("the event is about %s", got)
		}
	})
	t.Run("HTTP-06 a trusted proxy's request id is kept when it has a fitting shape", func(t *testing.T) {
		s := apitest.Start(t, apitest.Set("TRUSTED_PROXIES", "127.0.0.0/8"))
		for id, kept := range map[string]bool{"req-12345678": true, "a.b_c-0123": true, "short": false, "with space and more": false, strings.Repeat("x", 65): false, "semi;colon;": false} {
			if got := s.Call(t, http.MethodGet, htHealth, "", "X-Request-Id", id).Header.Get("X-Request-Id"); (got == id) != kept {
				t.Errorf("%q became %q", id, got)
			}
		}
	})
}

func TestOtherLoopbackNames(t *testing.T) {
	s, fresh := apitest.Start(t, unlimited()), apitest.Start(t, unlimited(), apitest.Fresh())
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	ask := func(host, target string) apitest.Answer {
		return htAsk(t, s, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	}
	for _, host := range []string{"localhost" + port, "[::1]" + port} {
		t.Run("M-30 HTTP-05 "+host, func(t *testing.T) {
			for _, target := range []string{"/", "/signin", "/device?user_code=BCDF-GHJK&lang=en", "/account/sessions", "/setup"} {
				a := ask(host, target)
				if a.Status != http.StatusSeeOther || a.Header.Get("Location") != s.URL+target {
					t.Errorf("%s: %d to %q", target, a.Status, a.Header.Get("Location"))
				}
				if a := ask(host, "http://"+host+target); a.Status != http.StatusSeeOther || a.Header.Get("Location") != s.URL+target {
					t.Errorf("as a whole address, %s: %d to %q", target, a.Status, a.Header.Get("Location"))
				}
				if a := ask(host, "http://evil.example"+target); strings.Contains(a.Header.Get("Location"), "evil.example") || strings.Contains(a.Body, "evil.example") {
					t.Errorf("as a stranger's address, %s: %d to %q", target, a.Status, a.Header.Get("Location"))
				}
			}
			for _, target := range []string{htHealth, "/console/api/setup", "/static/app.css"} {
				if a := ask(host, target); a.Status != http.StatusOK {
					t.Errorf("%s: %d", target, a.Status)
				}
			}
			if a := ask(host, "/openapi/v1/account"); a.Status != http.StatusUnauthorized {
				t.Errorf("a bearer route: %d", a.Status)
			}
		})
	}
	for _, route := range httpapi.Routes() {
		if route.Method != http.MethodGet || !strings.HasSuffix(route.Caller, "page") {
			continue
		}
		t.Run("M-30 every page: "+route.Path, func(t *testing.T) {
			target := htPath(route.Path) + "?a=%2F&lang=en"
			for name, s := range map[string]*apitest.Server{"set up": s, "before set-up": fresh} {
				port := s.URL[strings.LastIndex(s.URL, ":"):]
				for _, host := range []string{"localhost", "[::1]"} {
					a := htAsk(t, s, "GET "+target+" HTTP/1.1\r\nHost: "+host+port+"\r\nCookie: console_session=x\r\n\r\n")
					if a.Status != http.StatusSeeOther || a.Header.Get("Location") != s.URL+target || len(a.Cookies) > 0 {
						t.Errorf("%s, %s: %d to %q", name, host, a.Status, a.Header.Get("Location"))
					}
				}
			}
		})
	}
	t.Run("M-30 HTTP-05 any other name is served where it is", func(t *testing.T) {
		for _, host := range []string{"evil.example" + port, "localhost:1", "127.0.0.1" + port, "localhost", "127.0.0.1.evil.example" + port} {
			if a := ask(host, "/signin"); a.Status != http.StatusOK {
				t.Errorf("%s: %d to %q", host, a.Status, a.Header.Get("Location"))
			}
		}
	})
	t.Run("M-30 a public address that is not loopback sends nobody anywhere", func(t *testing.T) {
		s := apitest.Start(t, apitest.Set("CONSOLE_API_URL", "https://sso.example.com"))
		if a := htAsk(t, s, "GET /signin HTTP/1.1\r\nHost: localhost\r\n\r\n"); a.Status != http.StatusOK {
			t.Fatalf("%d to %q", a.Status, a.Header.Get("Location"))
		}
	})
}

func TestLinesInValues(t *testing.T) {
	s := apitest.Start(t, unlimited())
	const evil = "%0d%0aSet-Cookie:%20planted=1%0d%0a"
	t.Run("HTTP-22 a line feed gets into no header", func(t *testing.T) {
		browser := s.SignedIn(t)
		csrf := url.Values{"csrf_token": {browser.CSRF()}, "return_to": {"/device\r\nSet-Cookie: planted=1"}}
		answers := []apitest.Answer{
			htGet(t, s, "/signin?return_to=/device"+evil), htGet(t, s, "/signin?lang="+evil), htGet(t, s, "/account/sessions?x="+evil),
			htGet(t, s, "/account/sessions/end?kind="+evil), htGet(t, s, "/device?user_code="+evil), htGet(t, s, "/"+evil),
			htGet(t, s, "/openapi/v1/account/sessions?page="+evil, "Authorization: Bearer x"),
			htAsk(t, s, "GET /signin?a="+evil+" HTTP/1.1\r\nHost: localhost"+s.URL[strings.LastIndex(s.URL, ":"):]+"\r\n\r\n"),
			browser.Call(http.MethodPost, "/signout", csrf.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", s.URL),
		}
		for i, a := range answers {
			for _, c := range a.Cookies {
				if c.Name == "planted" {
					t.Errorf("answer %d plants a cookie: %v", i, a.Header)
				}
			}
			if location := a.Header.Get("Location"); strings.ContainsAny(location, "\r\n") {
				t.Errorf("answer %d leads to %q", i, location)
			}
		}
	})
	t.Run("HTTP-22 a bare line feed or NUL inside a header is no header", func(t *testing.T) {
		for _, value := range []string{"a\x00b", "a\rb"} {
			a := htAsk(t, s, "GET "+htHealth+" HTTP/1.1\r\nHost: x\r\nX-Note: "+value+"\r\n\r\n")
			wantAnswer(t, a, http.StatusBadRequest, "bad_request")
		}
	})
}
