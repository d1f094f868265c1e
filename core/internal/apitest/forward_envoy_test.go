// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func TestExtAuthz(t *testing.T) {
	store := &tkStore{}
	s := apitest.Start(t, unlimited(), faProxied, apitest.Wrap(store.wrap))
	b := s.SignedIn(t)
	live, id := tkLogin(t, s, b, "laptop")
	who := faIs(t, s, id)
	ask := func(t testing.TB, method, path, bearer string, headers ...string) apitest.Answer {
		t.Helper()
		return faAsk(t, s.Inner, method, faEnvoy+path, bearer, headers...)
	}

	t.Run("API-33 every method, those that nobody knows included", func(t *testing.T) {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW", "get", "M-SEARCH"} {
			a := ask(t, method, "/v1/things", live)
			if a.Status != http.StatusOK || a.Body != "" || faWho(a.Header) != who {
				t.Errorf("%s: %d %s\n%s", method, a.Status, a.Body, faWho(a.Header))
			}
			a = ask(t, method, "/v1/things", unknownToken)
			if a.Status != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") != `Bearer realm="api", error="invalid_token"` {
				t.Errorf("%s: %d %v", method, a.Status, a.Header)
			}
			faWantNobody(t, a)
		}
	})
	odd := []string{"/", "//", "///", "/v1//things", "/v1/../../../inner/api/subjects/revoke", "/..", "/.", "/./x", "/%2e%2e/%2e%2e/healthz", "/a%2Fb", "/%2F", "/%", "/%zz", "/%00", "/%0d%0aX-Auth-Subject:%20root",
		"/a;b=c", "/a:b", "/*", "/:id", "/a\\b", "/ä", "/{x}", "/a%20b", "/~", "/" + strings.Repeat("a", 8<<10), "/" + strings.Repeat("a/", 4<<10), "/A/V1", "/inner/api/auth/verify?scope=x", "/" + strings.Repeat("../", 500)}
	t.Run("API-33 odd paths are neither judged nor decoded", func(t *testing.T) {
		for _, path := range odd {
			if a := ask(t, "GET", path, live); a.Status != http.StatusOK || faWho(a.Header) != who {
				t.Errorf("%.60q: %d %s", path, a.Status, a.Body)
			}
			a := ask(t, "POST", path, "")
			wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
			faWantNobody(t, a)
			wantAnswer(t, faSend(t, s.Inner, "GET", faEnvoy+path, "Authorization", "Bearer "+live), http.StatusUnauthorized, "unauthorized") // no key
		}
	})
	t.Run("API-33 nothing beside the prefix is it", func(t *testing.T) {
		for _, path := range []string{"x", "*", "%2Fv1", ";/v1"} {
			wantAnswer(t, ask(t, "GET", path, live), http.StatusNotFound, "not_found")
		}
	})
	t.Run("API-33 the query is the client's and asks for nothing", func(t *testing.T) {
		for _, query := range []string{"?scope=nonsense", "?subject=external_sso", "?scope=full&scope=full", "?%zz", "?X-Auth-Require-Scope=x", "?;"} {
			if a := ask(t, "GET", "/v1"+query, live); a.Status != http.StatusOK {
				t.Errorf("%s: %d %s", query, a.Status, a.Body)
			}
		}
	})
	t.Run("API-33 the scope of the gateway, and what is none lets nobody pass", func(t *testing.T) {
		wantAnswer(t, ask(t, "GET", "/v1", live, "X-Auth-Require-Scope", "apps:run"), 200, "")
		for _, headers := range [][]string{
			{"X-Auth-Require-Scope", ""}, {"X-Auth-Require-Scope", "app:run"}, {"X-Auth-Require-Scope", "full apps:run"}, {"X-Auth-Require-Scope", "full,apps:run"},
			{"X-Auth-Require-Scope", "full", "X-Auth-Require-Scope", "full"}, {"X-Auth-Require-Scope", "nonsense", "x-auth-require-scope", "full"},
		} {
			a := ask(t, "GET", "/v1", live, headers...)
			wantAnswer(t, a, http.StatusUnprocessableEntity, "invalid_param")
			faWantNobody(t, a)
		}
	})
	t.Run("API-33 other identity headers of a client mean nothing", func(t *testing.T) {
		if a := ask(t, "GET", "/v1", live, "X-Auth-Subject", "root", "X-Auth-Scopes", "none"); a.Status != 200 || faWho(a.Header) != who {
			t.Fatalf("%d\n%s", a.Status, faWho(a.Header))
		}
	})
	t.Run("API-33 a body is not read, and leaves the next request whole", func(t *testing.T) {
		c := htDial(t, s.Inner)
		head := "POST " + faEnvoy + "/v1 HTTP/1.1\r\nHost: x\r\nX-Inner-Api-Key: " + faKey + "\r\nAuthorization: Bearer " + live + "\r\n"
		c.send(head + "Content-Length: 5\r\n\r\nhello" + head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + head + "Content-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n")
		for i := range 3 {
			if a := c.read("POST"); a.Status != http.StatusOK || faWho(a.Header) != who {
				t.Fatalf("answer %d: %d %s", i, a.Status, a.Body)
			}
		}
	})
	t.Run("API-33 dead and out of order like the other route", func(t *testing.T) {
		dead, _ := tkLogin(t, s, b, "dead")
		wantAnswer(t, ask(t, "PUT", "/v1", dead), http.StatusOK, "")
		wantAnswer(t, s.Bearer(t, dead, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
		wantAnswer(t, ask(t, "PUT", "/v1", dead), http.StatusUnauthorized, "invalid_token")
		cold, _ := tkLogin(t, s, b, "cold")
		store.set(func(s *tkStore) { s.broken = true })
		a := ask(t, "PUT", "/v1", cold)
		store.set(func(s *tkStore) { s.broken = false })
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
	})
	t.Run("API-33 LOG-01 what the client asked for is not in the lines of the log", func(t *testing.T) {
		ask(t, "GET", "/path-canary?query-canary=1", live, "X-Forwarded-Uri", "/uri-canary")
		if log := s.Log.String(); strings.Contains(log, "-canary") || !strings.Contains(log, `"route":"`+faEnvoy+`/*"`) || strings.Contains(log, faKey) || strings.Contains(log, live) {
			t.Error("a path, a query, a key or a token is in the log")
		}
	})
}
