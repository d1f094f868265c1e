// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// pxRefused fails unless the client reads a refusal of core and the API nothing.
func pxRefused(t testing.TB, u *pxUpstream, before int, a apitest.Answer, status int, code, challenge string) {
	t.Helper()
	wantAnswer(t, a, status, code)
	if got := a.Header.Values("WWW-Authenticate"); strings.Join(got, "&") != challenge {
		t.Fatalf("challenges %q", got)
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" || !strings.HasPrefix(a.Header.Get("Cache-Control"), "no-store") && status != 503 {
		t.Fatalf("%v", a.Header)
	}
	faWantNobody(t, a)
	if u.count() != before {
		t.Fatal("it has reached the API")
	}
}

func TestForwardAuthBehindProxies(t *testing.T) {
	for _, kind := range pxKinds {
		t.Run(kind, func(t *testing.T) { pxForward(t, kind) })
	}
}

func pxForward(t *testing.T, kind string) {
	store := &tkStore{}
	s := apitest.Start(t, unlimited(), faProxied, apitest.Set("TRUSTED_PROXIES", "127.0.0.1"), apitest.Wrap(store.wrap))
	u := pxServe(t)
	p := pxStart(t, kind, pxTargets{core: s.URL, inner: s.Inner, api: u.URL, key: faKey})
	b := s.SignedIn(t)
	live, id := tkLogin(t, s, b, "laptop")
	who := faIs(t, s, id)
	ask := func(t testing.TB, method, path, body string, headers ...string) apitest.Answer {
		t.Helper()
		return p.ask(t, pxAPI, method, path, body, headers...)
	}
	with := func(bearer string) []string { return []string{"Authorization", "Bearer " + bearer} }

	t.Run("API-30 the API learns who calls, and never the token or the key", func(t *testing.T) {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			a := ask(t, method, "/v1/things?x=1", "a body", with(live)...)
			if a.Status != http.StatusOK || a.Body != "the API" {
				t.Fatalf("%s: %d %s", method, a.Status, a.Body)
			}
			got := u.last(t)
			if faWho(got.header) != who || got.method != method || got.path != "/v1/things?x=1" || got.body != "a body" {
				t.Fatalf("%+v", got)
			}
			for name, values := range got.header {
				if strings.Contains(strings.Join(values, ""), live) || strings.Contains(strings.Join(values, ""), faKey) || strings.EqualFold(name, "X-Inner-Api-Key") {
					t.Errorf("%s reaches the API", name)
				}
			}
			faWantNobody(t, a)
		}
	})
	t.Run("API-30 what a client says about itself is dropped, in every spelling", func(t *testing.T) {
		forged := append(with(live),
			"X-Auth-Subject", "root", "x-auth-subject", "root", "X-AUTH-EMAIL", "root@example.com", "X-Auth-Scopes", "everything", "X-Auth-Name", "root", "X-Auth-Require-Scope", "nonsense",
			"X_Auth_Subject", "root", "X-Auth_Subject", "root", "x_auth-subject", "root", "X-Inner-Api-Key", "root", "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Uri", "/root")
		a := ask(t, "GET", "/v1", "", forged...)
		if a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		got := u.last(t).header
		if faWho(got) != who {
			t.Fatalf("%s", faWho(got))
		}
		for name, values := range got {
			if strings.Contains(strings.Join(values, ""), "root") && name != "X-Forwarded-Uri" || strings.HasPrefix(strings.ToLower(strings.ReplaceAll(name, "_", "-")), "x-auth") && !slices.Contains(faHeaders, name) {
				t.Errorf("%s: %q reaches the API", name, values)
			}
		}
		if got.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("X-Forwarded-For %q", got.Values("X-Forwarded-For"))
		}
		before := u.count()
		pxRefused(t, u, before, ask(t, "GET", "/v1", "", forged[2:]...), 401, "unauthorized", `Bearer realm="api"`)
	})
	t.Run("API-30 missing and dead bearers", func(t *testing.T) {
		before := u.count()
		pxRefused(t, u, before, ask(t, "POST", "/v1", "a body"), 401, "unauthorized", `Bearer realm="api"`)
		for _, bearer := range []string{"x", unknownToken, live + "x"} {
			pxRefused(t, u, before, ask(t, "POST", "/v1", "a body", with(bearer)...), 401, "invalid_token", `Bearer realm="api", error="invalid_token"`)
		}
		head := ask(t, "HEAD", "/v1", "", with("x")...)
		if head.Status != 401 || head.Header.Get("WWW-Authenticate") == "" {
			t.Fatalf("%d %v", head.Status, head.Header)
		}
	})
	t.Run("API-30 INV-11 a revoked token at the next request", func(t *testing.T) {
		dead, _ := tkLogin(t, s, b, "dead")
		wantAnswer(t, ask(t, "GET", "/v1", "", with(dead)...), 200, "")
		wantAnswer(t, s.Post(t, revokePath, map[string]string{"token": dead}), 200, "")
		pxRefused(t, u, u.count(), ask(t, "GET", "/v1", "", with(dead)...), 401, "invalid_token", `Bearer realm="api", error="invalid_token"`)
	})
	t.Run("API-30 an outage of core's stores", func(t *testing.T) {
		cold, _ := tkLogin(t, s, b, "cold")
		before := u.count()
		store.set(func(s *tkStore) { s.broken = true })
		a := ask(t, "GET", "/v1", "", with(cold)...)
		store.set(func(s *tkStore) { s.broken = false })
		pxRefused(t, u, before, a, 503, "service_unavailable", "")
		if a.Header.Get("Retry-After") != "2" {
			t.Fatal(a.Header)
		}
		wantAnswer(t, ask(t, "GET", "/v1", "", with(cold)...), 200, "")
	})
	t.Run("API-30 a failure of the API is its own", func(t *testing.T) {
		if a := ask(t, "GET", "/fails", "", with(live)...); a.Status != 500 || a.Body != "the API's own failure\n" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("API-30 the address and the request of the client reach core", func(t *testing.T) {
		eventually(t, func() (bool, string) {
			return sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND last_used_ip = '127.0.0.1'`, id) == 1, "the use is not on record"
		})
		if strings.Contains(s.Log.String(), "203.0.113.9") {
			t.Error("an address that a client made up is in the log")
		}
	})
	t.Run("LIM-14 301 bad bearers, and the proxy's other clients are served", func(t *testing.T) {
		s := apitest.Start(t, unlimited("bearer.failed.addr=300/24h"), faProxied)
		p := pxStart(t, kind, pxTargets{core: s.URL, inner: s.Inner, api: u.URL, key: faKey})
		live, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		for i := range 301 {
			a := p.ask(t, pxAPI, "GET", "/v1", "", with(fmt.Sprintf("dfoa_%s%03dA", strings.Repeat("A", 39), i))...)
			wantAnswer(t, a, 401, "invalid_token")
		}
		wantAnswer(t, p.ask(t, pxAPI, "GET", "/v1", "", with(live)...), 200, "")
	})
	t.Run("API-30 a token that is used too often, and when it may again", func(t *testing.T) {
		s := apitest.Start(t, unlimited("bearer.token=2/1h"), faProxied)
		p := pxStart(t, kind, pxTargets{core: s.URL, inner: s.Inner, api: u.URL, key: faKey})
		live, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		for range 2 {
			wantAnswer(t, p.ask(t, pxAPI, "GET", "/v1", "", with(live)...), 200, "")
		}
		a := p.ask(t, pxAPI, "GET", "/v1", "", with(live)...)
		pxRefused(t, u, u.count(), a, 429, "too_many_requests", "")
		tkRefusedBy(t, a, "2")
	})
	t.Run("API-30 the wrong key is not the client's fault", func(t *testing.T) {
		p := pxStart(t, kind, pxTargets{core: s.URL, inner: s.Inner, api: u.URL, key: strings.Repeat("wrong", 10)})
		before := u.count()
		for _, headers := range [][]string{nil, with(live), with("x")} {
			pxRefused(t, u, before, p.ask(t, pxAPI, "GET", "/v1", "", headers...), 503, "service_unavailable", "")
		}
	})
	t.Run("API-30 core is down", func(t *testing.T) {
		gone, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = gone.Close() }()
		closed := pxFree(t)
		p := pxStart(t, kind, pxTargets{core: closed, inner: closed, api: u.URL, key: faKey})
		before := u.count()
		a := p.ask(t, pxAPI, "GET", "/v1", "", with(live)...)
		// nginx knows that it was the question that failed; Caddy has one answer for both.
		if want := map[string]int{"nginx": 503, "caddy": 502}[kind]; a.Status != want || u.count() != before {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("API-30 a stream reaches the client as it is written", func(t *testing.T) {
		res := p.do(t, p.request(t, pxAPI, "GET", "/stream", "", with(live)...))
		defer func() { _ = res.Body.Close() }()
		first := make([]byte, len("first\n"))
		if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first\n" { // the API waits until this has come
			t.Fatalf("%q: %v", first, err)
		}
		u.release <- struct{}{}
		if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "second\n" {
			t.Fatalf("%q: %v", rest, err)
		}
	})
}

// The locations of the samples ask for more than a live token.
func TestScopesBehindProxies(t *testing.T) {
	inner, u := faStub(t), pxServe(t)
	for _, kind := range pxKinds {
		t.Run(kind, func(t *testing.T) {
			p := pxStart(t, kind, pxTargets{core: inner, inner: inner, api: u.URL, key: faKey})
			for _, tc := range []struct {
				name, path, bearer, code, challenge string
			}{
				{"API-30 a scope that both have", "/v1/things", faExternal, "", ""},
				{"API-30 a scope that both have, an account", "/v1/things", faAccount, "", ""},
				{"API-30 a scope that is missing", "/workspace/1", faExternal, "insufficient_scope", `Bearer realm="api", error="insufficient_scope", scope="workspace:read"`},
				{"API-30 a scope that is there", "/workspace/1", faAccount, "", ""},
				{"API-30 the other kind of person", "/staff/1", faExternal, "wrong_surface", ""},
				{"API-30 the right kind of person", "/staff/1", faAccount, "", ""},
				{"API-30 an odd path of a guarded place", "/v1/../workspace/1", faExternal, "insufficient_scope", `Bearer realm="api", error="insufficient_scope", scope="workspace:read"`},
				{"API-30 another odd path of it", "/%77orkspace/1", faExternal, "insufficient_scope", `Bearer realm="api", error="insufficient_scope", scope="workspace:read"`},
			} {
				t.Run(tc.name, func(t *testing.T) {
					before := u.count()
					c := p.open(t, pxAPI) // so that no library tidies the path
					c.send("GET " + tc.path + " HTTP/1.1\r\nHost: " + pxAPI + "\r\nX-Auth-Scopes: full\r\nAuthorization: Bearer " + tc.bearer + "\r\nConnection: close\r\n\r\n")
					a := c.read("GET")
					if tc.code != "" {
						pxRefused(t, u, before, a, 403, tc.code, tc.challenge)
						return
					}
					if wantAnswer(t, a, 200, ""); u.last(t).header.Get("X-Auth-Subject") == "" {
						t.Fatal(u.last(t))
					}
				})
			}
			t.Run("API-30 HTTP-22 an identity that cannot stand in a header is nobody's", func(t *testing.T) {
				before := u.count()
				a := p.ask(t, pxAPI, "GET", "/v1", "", "Authorization", "Bearer "+faOdd)
				if a.Status < 500 || u.count() != before {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
			})
			t.Run("API-30 letters beyond ASCII and an empty name arrive as they are", func(t *testing.T) {
				wantAnswer(t, p.ask(t, pxAPI, "GET", "/v1", "", "Authorization", "Bearer "+faExternal), 200, "")
				got := u.last(t).header
				if got.Get("X-Auth-Subject") != "röck|7" || got.Get("X-Auth-Name") != "" || got.Get("X-Auth-Issuer") != "https://idp.example.com/a" {
					t.Fatal(faWho(got))
				}
				wantAnswer(t, p.ask(t, pxAPI, "GET", "/v1", "", "Authorization", "Bearer "+faAccount), 200, "")
				if name := u.last(t).header.Get("X-Auth-Name"); !strings.HasPrefix(name, "Ada%20M%C3%BCller%2C") {
					t.Fatal(name)
				}
			})
		})
	}
}
