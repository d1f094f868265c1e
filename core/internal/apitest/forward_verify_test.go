// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func TestForwardAuth(t *testing.T) {
	store := &tkStore{}
	s := apitest.Start(t, unlimited(), faProxied, apitest.Wrap(store.wrap), apitest.Set("TRUSTED_PROXIES", "127.0.0.1"))
	b := s.SignedIn(t)
	live, id := tkLogin(t, s, b, "laptop")
	ask := func(t testing.TB, query, bearer string, headers ...string) apitest.Answer {
		t.Helper()
		return faAsk(t, s.Inner, "GET", faVerify+query, bearer, headers...)
	}
	refused := func(t testing.TB, a apitest.Answer, status int, code, challenge string) {
		t.Helper()
		wantAnswer(t, a, status, code)
		wantFailureShape(t, a)
		faWantNobody(t, a)
		if got := a.Header.Get("WWW-Authenticate"); got != challenge {
			t.Fatalf("challenge %q", got)
		}
	}

	t.Run("API-30 a live token: an empty 200 that says whose it is", func(t *testing.T) {
		for _, query := range []string{"", "?", "?scope=full", "?scope=apps:run", "?scope=workspace%3Awrite", "?subject=account", "?scope=apps:run&subject=account"} {
			a := ask(t, query, live)
			if a.Status != http.StatusOK || a.Body != "" || faWho(a.Header) != faIs(t, s, id) {
				t.Fatalf("%q: %d %s\n%s", query, a.Status, a.Body, faWho(a.Header))
			}
			if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
				t.Fatal(a.Header)
			}
		}
		a := faAsk(t, s.Inner, "HEAD", faVerify, live)
		if a.Status != http.StatusOK || faWho(a.Header) != faIs(t, s, id) {
			t.Fatalf("%d %v", a.Status, a.Header)
		}
	})
	t.Run("API-30 INV-11 a dead token, from the next request on", func(t *testing.T) {
		dead, _ := tkLogin(t, s, b, "dead")
		wantAnswer(t, ask(t, "", dead), http.StatusOK, "")
		wantAnswer(t, s.Post(t, revokePath, map[string]string{"token": dead}), http.StatusOK, "")
		refused(t, ask(t, "", dead), 401, "invalid_token", `Bearer realm="api", error="invalid_token"`)
		for _, bearer := range []string{unknownToken, "x", live + "x", "app-" + strings.Repeat("a", 24), "dfoe_" + strings.Repeat("A", 43)} {
			refused(t, ask(t, "", bearer), 401, "invalid_token", `Bearer realm="api", error="invalid_token"`)
		}
	})
	t.Run("API-30 no bearer", func(t *testing.T) {
		refused(t, ask(t, "", ""), 401, "unauthorized", `Bearer realm="api"`)
		refused(t, ask(t, "", "", "Authorization", "Basic "+live), 401, "unauthorized", `Bearer realm="api"`)
		refused(t, ask(t, "", "", "Cookie", "console_session="+b.Cookie("console_session")), 401, "unauthorized", `Bearer realm="api"`)
		refused(t, ask(t, "", live, "Authorization", "Bearer "+live), 400, "bad_request", "")
	})
	t.Run("API-30 the other kind of person, on record with what was asked", func(t *testing.T) {
		a := ask(t, "?subject=external_sso", live, "X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "/v1/things/7?secret=canary", "X-Forwarded-For", "203.0.113.7")
		refused(t, a, 403, "wrong_surface", "")
		awaitEvents(t, s, "openapi.wrong_surface_denied", 1)
		f := eventFields(t, s, "openapi.wrong_surface_denied")
		if f["subject_type"] != "account" || f["client_id"] != "difyctl" || f["token_id"] != id || f["route"] != faVerify || f["forwarded_method"] != "DELETE" || f["forwarded_path"] != "/v1/things/7" {
			t.Errorf("%v", f)
		}
		if got := sqlText(t, s, `SELECT actor_type || actor_id || ip FROM audit_events WHERE event = 'openapi.wrong_surface_denied'`); got != "account"+ownerID(t, s)+"203.0.113.7" {
			t.Errorf("%q", got)
		}
		if strings.Contains(s.Log.String(), "canary") {
			t.Error("the query is in the log")
		}
	})
	t.Run("API-30 what the proxy's configuration gets wrong lets nobody pass", func(t *testing.T) {
		for _, query := range []string{"?scope=", "?scope=app:run", "?scope=FULL", "?scope=full+apps:run", "?scope=full&scope=full", "?subject=", "?subject=anybody", "?scopes=full", "?scope=%zz", "?x"} {
			refused(t, ask(t, query, live), 422, "invalid_param", "")
		}
	})
	t.Run("API-30 an outage", func(t *testing.T) {
		cold, _ := tkLogin(t, s, b, "cold")
		store.set(func(s *tkStore) { s.broken = true })
		a := ask(t, "", cold)
		store.set(func(s *tkStore) { s.broken = false })
		refused(t, a, 503, "service_unavailable", "")
		if a.Header.Get("Retry-After") != "2" {
			t.Fatal(a.Header)
		}
		wantAnswer(t, ask(t, "", cold), 200, "")
	})
	t.Run("API-30 identity headers of a client mean nothing", func(t *testing.T) {
		forged := []string{"X-Auth-Subject", "root", "X-Auth-Email", "root@example.com", "X-Auth-Scopes", "full", "X-Auth-Require-Scope", "nonsense", "X-Forwarded-Uri", "/../%2f\"<>", "X-Forwarded-Method", "BREW"}
		a := ask(t, "", live, forged...)
		if a.Status != 200 || faWho(a.Header) != faIs(t, s, id) {
			t.Fatalf("%d %s\n%s", a.Status, a.Body, faWho(a.Header))
		}
		refused(t, ask(t, "", "", forged...), 401, "unauthorized", `Bearer realm="api"`)
	})
	t.Run("API-30 it is a use of the token, from the client's address", func(t *testing.T) {
		used, id := tkLogin(t, s, b, "used")
		wantAnswer(t, ask(t, "", used, "X-Forwarded-For", "203.0.113.5"), 200, "")
		eventually(t, func() (bool, string) {
			return sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND last_used_ip = '203.0.113.5'`, id) == 1, "the use is not on record"
		})
	})
	t.Run("API-30 no other method, and not on the public listener", func(t *testing.T) {
		a := faAsk(t, s.Inner, "POST", faVerify, live)
		refused(t, a, 405, "method_not_allowed", "")
		for _, path := range []string{faVerify, faEnvoy + "/x", "/inner%2fapi/auth/verify", "//inner/api/auth/verify"} {
			refused(t, faAsk(t, s.URL, "GET", path, live), 404, "not_found", "")
		}
	})
}

func TestKeysOfForwardAuth(t *testing.T) {
	s := apitest.Start(t, unlimited(), faProxied)
	live, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
	for _, path := range []string{faVerify, faEnvoy + "/v1"} {
		for _, tc := range []struct {
			name string
			keys []string
		}{
			{"API-30 API-33 no key", nil},
			{"API-30 API-33 an empty key", []string{""}},
			{"API-30 API-33 a wrong key", []string{faKey + "x"}},
			{"API-30 API-33 two keys", []string{faKey, faKey}},
			{"API-30 API-33 the bearer as key", []string{live}},
		} {
			t.Run(tc.name+" at "+path, func(t *testing.T) {
				headers := []string{"Authorization", "Bearer " + live}
				for _, key := range tc.keys {
					headers = append(headers, "X-Inner-Api-Key", key)
				}
				a := faSend(t, s.Inner, "GET", path, headers...)
				wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
				faWantNobody(t, a)
				if challenge := a.Header.Get("WWW-Authenticate"); challenge != "" {
					t.Errorf("the client is asked for the proxy's fault: %q", challenge)
				}
			})
		}
	}
	t.Run("API-33 each key on the routes of the other", func(t *testing.T) {
		const operator = "a key of operators, also of thirty-two bytes and more"
		s := apitest.Start(t, unlimited(), faProxied, apitest.Set("OPERATOR_API_KEY", operator))
		live, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		for _, path := range []string{faVerify, faEnvoy + "/v1"} {
			a := faSend(t, s.Inner, "GET", path, "X-Inner-Api-Key", operator, "Authorization", "Bearer "+live)
			wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
			wantAnswer(t, faAsk(t, s.Inner, "GET", path, live), http.StatusOK, "")
		}
		a := faAsk(t, s.Inner, "POST", "/inner/api/subjects/revoke", live, "Content-Type", "application/json", "Content-Length", "0")
		wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
		wantAnswer(t, faAsk(t, s.Inner, "GET", faVerify, live), http.StatusOK, "") // nothing ended
	})
	t.Run("API-30 API-33 without a key of their own the routes are none", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		for _, path := range []string{faVerify, faEnvoy + "/v1"} {
			for _, method := range []string{"GET", "POST", "BREW"} {
				wantAnswer(t, faAsk(t, s.Inner, method, path, live), http.StatusNotFound, "not_found")
			}
			wantAnswer(t, faSend(t, s.Inner, "GET", path, "X-Inner-Api-Key", ""), http.StatusNotFound, "not_found")
		}
	})
}

func TestLimitsOfForwardAuth(t *testing.T) {
	t.Run("API-30 the token's limit is one for the proxy and the API, with its headers", func(t *testing.T) {
		s := apitest.Start(t, unlimited("bearer.token=3/1m"), faProxied)
		live, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		a := faAsk(t, s.Inner, "GET", faVerify, live)
		if a.Status != 200 || a.Header.Get("RateLimit-Limit") != "3" || a.Header.Get("RateLimit-Remaining") != "2" {
			t.Fatalf("%d %v", a.Status, a.Header)
		}
		wantAnswer(t, faAsk(t, s.Inner, "POST", faEnvoy+"/v1", live), 200, "")
		tkAsk(t, s, live, 200, "")
		for _, path := range []string{faVerify, faEnvoy + "/v1"} {
			a := faAsk(t, s.Inner, "GET", path, live)
			tkRefusedBy(t, a, "3")
			wantAnswer(t, a, 429, "too_many_requests")
			faWantNobody(t, a)
		}
	})
	t.Run("LIM-14 RL-06 301 bad bearers through a proxy, and good ones of its other clients are served", func(t *testing.T) {
		s := apitest.Start(t, unlimited("bearer.failed.addr=300/24h"), faProxied)
		live, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		fresh, _ := tkLogin(t, s, s.SignedIn(t), "fresh") // nobody has asked about it: it costs SQL
		for i := range 301 {
			bearer := fmt.Sprintf("dfoa_%s%03dA", strings.Repeat("A", 39), i)
			if i%2 == 0 {
				bearer = "malformed"
			}
			path := faVerify
			if i%3 == 0 {
				path = faEnvoy + "/v1"
			}
			wantAnswer(t, faAsk(t, s.Inner, "GET", path, bearer), 401, "invalid_token")
		}
		wantAnswer(t, faAsk(t, s.Inner, "GET", faVerify, live), 200, "")
		wantAnswer(t, faAsk(t, s.Inner, "GET", faEnvoy+"/v1", fresh), 200, "")
		// Neither has any of it been counted against the address on the API's own routes.
		wantAnswer(t, s.Bearer(t, "malformed", http.MethodGet, accountPath), 401, "invalid_token")
		awaitEvents(t, s, "oauth.bearer_rejected", 2)
	})
	t.Run("LIM-14 an address that is used up at the API is served through a proxy", func(t *testing.T) {
		s := apitest.Start(t, unlimited("bearer.failed.addr=1/24h"), faProxied)
		fresh, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		wantAnswer(t, s.Bearer(t, "malformed", http.MethodGet, accountPath), 401, "")
		wantAnswer(t, s.Bearer(t, "malformed", http.MethodGet, accountPath), 429, "")
		wantAnswer(t, faAsk(t, s.Inner, "GET", faVerify, fresh), 200, "")
	})
}

// Both kinds of person, of which this edition has one.
func TestSubjectsOfForwardAuth(t *testing.T) {
	base := faStub(t)
	ask := func(t testing.TB, path, bearer string, headers ...string) apitest.Answer {
		t.Helper()
		return faAsk(t, base, "GET", path, bearer, headers...)
	}
	t.Run("API-30 a name is percent-encoded, whatever is in it", func(t *testing.T) {
		a := ask(t, faVerify, faAccount)
		wantAnswer(t, a, 200, "")
		if got := a.Header.Get("X-Auth-Name"); got != "Ada%20M%C3%BCller%2C%20100%25%20%26%20%0D%0AX-Evil%3A%201" || a.Header.Get("X-Evil") != "" {
			t.Fatalf("%q", got)
		}
	})
	t.Run("API-30 a person of an identity provider", func(t *testing.T) {
		want := strings.Join([]string{"X-Auth-Subject=röck|7", "X-Auth-Subject-Type=external_sso", "X-Auth-Issuer=https://idp.example.com/a", "X-Auth-Email=röck@example.com", "X-Auth-Name=",
			"X-Auth-Client-Id=difyctl", "X-Auth-Token-Id=session-of-röck@example.com", "X-Auth-Scopes=apps:run apps:read:permitted-external", "X-Auth-Expires=2000000000"}, "\n")
		for _, path := range []string{faVerify, faVerify + "?scope=apps:run", faVerify + "?scope=apps:read:permitted-external&subject=external_sso", faEnvoy + "/v1"} {
			if a := ask(t, path, faExternal); a.Status != 200 || faWho(a.Header) != want {
				t.Fatalf("%s: %d\n%s", path, a.Status, faWho(a.Header))
			}
		}
	})
	t.Run("API-30 API-33 a scope that the token lacks", func(t *testing.T) {
		for _, scope := range []string{"full", "apps:read", "workspace:read", "workspace:write"} {
			for _, a := range []apitest.Answer{ask(t, faVerify+"?scope="+scope, faExternal), ask(t, faEnvoy+"/v1", faExternal, "X-Auth-Require-Scope", scope)} {
				wantAnswer(t, a, 403, "insufficient_scope")
				faWantNobody(t, a)
				if got := a.Header.Get("WWW-Authenticate"); got != `Bearer realm="api", error="insufficient_scope", scope="`+scope+`"` {
					t.Fatalf("challenge %q", got)
				}
			}
			wantAnswer(t, ask(t, faVerify+"?scope="+scope, faAccount), 200, "")
		}
	})
	t.Run("API-30 the kind of person comes before the scope", func(t *testing.T) {
		wantAnswer(t, ask(t, faVerify+"?subject=account&scope=full", faExternal), 403, "wrong_surface")
		wantAnswer(t, ask(t, faVerify+"?subject=external_sso", faAccount), 403, "wrong_surface")
	})
	t.Run("API-30 HTTP-22 an identity that cannot stand in a header is nobody's", func(t *testing.T) {
		for _, path := range []string{faVerify, faEnvoy + "/v1"} {
			a := ask(t, path, faOdd)
			wantAnswer(t, a, 500, "internal_server_error")
			faWantNobody(t, a)
		}
	})
}
