// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	introspectPath = "/openapi/v1/oauth/introspect"
	revokePath     = "/openapi/v1/oauth/revoke"
	oaSecret       = "gateway secret: thirty-two bytes and more"
	oaOtherSecret  = "report secret, as long as the other one is"
)

// oaClients lets two services introspect.
func oaClients(s *apitest.Server) {
	apitest.Set("INTROSPECTION_CLIENTS", "gateway:"+secret.DigestOf(oaSecret).Hex()+", report:"+secret.DigestOf(oaOtherSecret).Hex())(s)
}

func oaBasic(user, password string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

// oaAsk introspects as the gateway does (RFC 7662 section 2.1).
func oaAsk(t testing.TB, s *apitest.Server, presented string) apitest.Answer {
	t.Helper()
	return s.Form(t, introspectPath, url.Values{"token": {presented}, "token_type_hint": {"refresh_token"}}, oaBasic("gateway", oaSecret)...)
}

func oaWantInactive(t testing.TB, a apitest.Answer) {
	t.Helper()
	if a.Status != http.StatusOK || a.Body != `{"active":false}` {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
}

func TestIntrospection(t *testing.T) {
	store := &tkStore{}
	s := apitest.Start(t, unlimited(), oaClients, apitest.Wrap(store.wrap))
	b := s.SignedIn(t)
	live, id := tkLogin(t, s, b, "laptop")

	t.Run("TK-20 a live token: every member and no other", func(t *testing.T) {
		a := oaAsk(t, s, live)
		wantAnswer(t, a, http.StatusOK, "")
		want := []string{"active", "scope", "client_id", "token_type", "exp", "iat", "iss", "sub", "jti", "subject_type", "subject_issuer", "username"}
		if got := tkMembers(t, a.Body); !slices.Equal(got, want) {
			t.Fatalf("members %q", got)
		}
		body := a.JSON(t)
		iat, _ := body["iat"].(float64)
		exp, _ := body["exp"].(float64)
		if body["active"] != true || body["scope"] != "full" || body["client_id"] != "difyctl" || body["token_type"] != "Bearer" || body["iss"] != s.URL ||
			body["sub"] != ownerID(t, s) || body["jti"] != id || body["subject_type"] != "account" || body["subject_issuer"] != "dify:account" ||
			body["username"] != apitest.OwnerEmail || exp-iat != 14*24*3600 || time.Since(time.Unix(int64(iat), 0)) > time.Hour {
			t.Fatal(a.Body)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" || a.Header.Get("Content-Type") != "application/json" {
			t.Fatal(a.Header)
		}
		wantFrameless(t, a)
	})
	t.Run("TK-20 both spellings of the credentials", func(t *testing.T) {
		for _, password := range []string{oaSecret, url.QueryEscape(oaSecret)} {
			a := s.Form(t, introspectPath, url.Values{"token": {live}}, oaBasic("gateway", password)...)
			if a.Status != http.StatusOK || a.JSON(t)["active"] != true {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
	})
	t.Run("TK-20 what is not live says nothing else", func(t *testing.T) {
		revoked, _ := tkLogin(t, s, b, "revoked")
		wantAnswer(t, s.Bearer(t, revoked, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
		rotated, _ := tkLogin(t, s, b, "rotated")
		tkLogin(t, s, b, "rotated")
		expired, over := tkLogin(t, s, b, "expired")
		sqlExec(t, s, `UPDATE oauth_access_tokens SET expires_at = created_at WHERE id = $1`, over)
		addAccount(t, s, "banned@example.com")
		banned, _ := tkLogin(t, s, signedInAs(t, s, "banned@example.com"), "x")
		sqlExec(t, s, `UPDATE accounts SET status = 'banned' WHERE email = 'banned@example.com'`)
		for _, presented := range []string{
			revoked, rotated, expired, banned, unknownToken, "x", live + "x", live[:len(live)-1], strings.ToUpper(live), "app-" + strings.Repeat("a", 24),
			"dfoe_" + strings.Repeat("A", 43), unknownCode.Device, " " + live, live + "\n",
		} {
			oaWantInactive(t, oaAsk(t, s, presented))
		}
	})
	t.Run("TK-20 no use and no call of the token itself", func(t *testing.T) {
		s := apitest.Start(t, oaClients, unlimited("bearer.token=1/1h"))
		live, id := tkLogin(t, s, s.SignedIn(t), "laptop")
		for range 5 {
			if a := oaAsk(t, s, live); a.JSON(t)["active"] != true {
				t.Fatal(a.Body)
			}
		}
		unused := `SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND last_used_at IS NULL`
		if sqlInt(t, s, unused, id) != 1 {
			t.Error("its last use moved")
		}
		tkAsk(t, s, live, http.StatusOK, "")
		if a := oaAsk(t, s, live); a.JSON(t)["active"] != true { // its own limit is spent
			t.Fatal(a.Body)
		}
	})
	t.Run("TK-20 an outage is no verdict", func(t *testing.T) {
		store.set(func(s *tkStore) { s.broken = true })
		fresh := "dfoa_" + strings.Repeat("C", 42) + "A"
		a := oaAsk(t, s, fresh)
		store.set(func(s *tkStore) { s.broken = false })
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
		if a.JSON(t)["error"] != "temporarily_unavailable" || a.Header.Get("Retry-After") != "2" || strings.Contains(a.Body, "active") || strings.Contains(a.Body, "sql.internal") {
			t.Fatalf("%v %s", a.Header, a.Body)
		}
		oaWantInactive(t, oaAsk(t, s, fresh))
	})
}

func TestWhoMayIntrospect(t *testing.T) {
	s := apitest.Start(t, unlimited(), oaClients, apitest.Set("FORWARD_AUTH_KEY", faKey))
	live, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
	b := s.SignedIn(t)
	for _, tc := range []struct {
		name    string
		headers []string
	}{
		{"TK-21 a bearer, which it would be live for", []string{"Authorization", "Bearer " + live}},
		{"TK-21 the key of an inner route", []string{"X-Inner-Api-Key", faKey}},
		{"TK-21 the key of an inner route as Basic", oaBasic("gateway", faKey)},
		{"TK-21 nobody", nil},
		{"TK-21 an empty header", []string{"Authorization", ""}},
		{"TK-20 a wrong secret", oaBasic("gateway", oaOtherSecret)},
		{"TK-20 an unknown client", oaBasic("nobody", oaSecret)},
		{"TK-20 a client without its secret", oaBasic("gateway", "")},
		{"TK-20 the digest in place of the secret", oaBasic("gateway", secret.DigestOf(oaSecret).Hex())},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Form(t, introspectPath, url.Values{"token": {live}, "client_id": {"gateway"}, "client_secret": {oaSecret}}, tc.headers...)
			if a.Status != http.StatusUnauthorized || a.Body != `{"error":"invalid_client"}` || a.Header.Get("WWW-Authenticate") != `Basic realm="introspection"` {
				t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
			}
		})
	}
	t.Run("TK-21 a console session", func(t *testing.T) {
		a := b.Call(http.MethodPost, introspectPath, "token="+live, "Content-Type", "application/x-www-form-urlencoded", "Origin", s.URL, "X-CSRF-Token", b.CSRF())
		wantAnswer(t, a, http.StatusUnauthorized, "invalid_client")
	})
	t.Run("TK-21 an introspection client is nobody elsewhere", func(t *testing.T) {
		wantAnswer(t, s.Call(t, http.MethodGet, accountPath, "", oaBasic("gateway", oaSecret)...), http.StatusUnauthorized, "unauthorized")
	})
	t.Run("TK-21 without a list of clients everybody is refused", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		wantAnswer(t, oaAsk(t, s, "x"), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("M-23 two credentials", func(t *testing.T) {
		a := s.Form(t, introspectPath, url.Values{"token": {live}}, append(oaBasic("gateway", oaSecret), oaBasic("gateway", oaSecret)...)...)
		wantAnswer(t, a, http.StatusBadRequest, "bad_request")
		if a.JSON(t)["error"] != "invalid_request" {
			t.Fatal(a.Body)
		}
	})
}

func TestRequestsOfIntrospection(t *testing.T) {
	s := apitest.Start(t, unlimited(), oaClients, apitest.Set("FORWARD_AUTH_KEY", faKey))
	live, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
	const asForm, asJSON = "application/x-www-form-urlencoded", "application/json"
	for _, tc := range []struct {
		name, query, media, body string
		status                   int
		oauth                    string
	}{
		{"a form", "", asForm, "token=" + live, 200, ""},
		{"HTTP-11 a token in the query is not read", "?token=" + live, asForm, "", 400, "invalid_request"},
		{"no token", "", asForm, "token_type_hint=access_token", 400, "invalid_request"},
		{"an empty token", "", asForm, "token=", 400, "invalid_request"},
		{"two tokens", "", asForm, "token=" + live + "&token=" + live, 400, "invalid_request"},
		{"M-21 JSON", "", asJSON, `{"token":"` + live + `"}`, 415, "invalid_request"},
		{"M-21 no content type", "", "", "token=" + live, 415, "invalid_request"},
		{"M-22 a large body", "", asForm, "token=" + strings.Repeat("a", 64<<10), 413, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			headers := oaBasic("gateway", oaSecret)
			if tc.media != "" {
				headers = append(headers, "Content-Type", tc.media)
			}
			a := s.Call(t, http.MethodPost, introspectPath+tc.query, tc.body, headers...)
			wantAnswer(t, a, tc.status, "")
			if got, _ := a.JSON(t)["error"].(string); got != tc.oauth {
				t.Fatalf("error %q: %s", got, a.Body)
			}
			if strings.Contains(a.Body, live) {
				t.Error("the token is repeated")
			}
		})
	}
	t.Run("a credential comes before everything that is wrong with the request", func(t *testing.T) {
		wantAnswer(t, s.Call(t, http.MethodPost, introspectPath, "{}", "Content-Type", "text/plain"), http.StatusUnauthorized, "invalid_client")
	})
}

func TestLimitsOfIntrospectionAndRevocation(t *testing.T) {
	frozen := &tkFrozen{}
	s := apitest.Start(t, oaClients, unlimited("oauth.introspect.client=2/1m", "oauth.revoke.addr=2/1m"), apitest.Set("TRUSTED_PROXIES", "127.0.0.1"), apitest.Wrap(frozen.wrap))
	t.Run("LIM-1 the limit of a client, and another client beside it", func(t *testing.T) {
		for range 2 {
			a := oaAsk(t, s, "x")
			oaWantInactive(t, a)
			if a.Header.Get("RateLimit-Limit") != "2" {
				t.Fatal(a.Header)
			}
		}
		a := oaAsk(t, s, "x")
		tkRefusedBy(t, a, "2")
		if a.JSON(t)["error"] != "slow_down" {
			t.Fatal(a.Body)
		}
		oaWantInactive(t, s.Form(t, introspectPath, url.Values{"token": {"x"}}, oaBasic("report", oaOtherSecret)...))
		for range 3 { // who is not that client spends nothing of it
			wantAnswer(t, s.Form(t, introspectPath, url.Values{"token": {"x"}}, oaBasic("report", oaSecret)...), http.StatusUnauthorized, "invalid_client")
		}
		oaWantInactive(t, s.Form(t, introspectPath, url.Values{"token": {"x"}}, oaBasic("report", oaOtherSecret)...))
	})
	t.Run("LIM-4 LIM-1 the limit of an address on revocation", func(t *testing.T) {
		from := func(ip string) apitest.Answer {
			return s.Form(t, revokePath, url.Values{"token": {"x"}}, "X-Forwarded-For", ip)
		}
		for range 2 {
			wantAnswer(t, from("192.0.2.1"), http.StatusOK, "")
		}
		a := from("192.0.2.1")
		tkRefusedBy(t, a, "2")
		if a.JSON(t)["error"] != "slow_down" {
			t.Fatal(a.Body)
		}
		wantAnswer(t, from("192.0.2.2"), http.StatusOK, "")
	})
	t.Run("LIM-7 without the counters both count in process", func(t *testing.T) {
		stores := htNewStores()
		s := apitest.Start(t, oaClients, unlimited("oauth.introspect.client=2/1h", "oauth.revoke.addr=2/1h"), apitest.Wrap(stores.wrap))
		stores.set("counters", htFails)
		for range 2 {
			oaWantInactive(t, oaAsk(t, s, "x"))
			wantAnswer(t, s.Form(t, revokePath, url.Values{"token": {"x"}}), http.StatusOK, "")
		}
		wantAnswer(t, oaAsk(t, s, "x"), http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, s.Form(t, revokePath, url.Values{"token": {"x"}}), http.StatusTooManyRequests, "too_many_requests")
	})
}
