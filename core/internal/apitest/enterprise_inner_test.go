// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	brRevoke = klPath
	brUnlink = "/inner/api/identities/unlink"
	brOf     = `{"connection_id":"corp","reason":"disabled","actor":"account:1"}`
)

// brSend asks the second listener with the Authorization lines given.
func brSend(t testing.TB, s *apitest.Server, path, body string, lines ...string) apitest.Answer {
	t.Helper()
	headers := []string{"Content-Type", "application/json"}
	for _, line := range lines {
		headers = append(headers, "Authorization", line)
	}
	return klSend(t, s, http.MethodPost, path, body, headers...)
}

// brCall is a request of the bridge.
func brCall(t testing.TB, s *apitest.Server, path, body string) apitest.Answer {
	t.Helper()
	return brSend(t, s, path, body, s.AsBridge(t, http.MethodPost, path, body))
}

// brToken is a message with what a test changes of it, signed with the file's active key
// for an audience.
type brToken struct {
	header, claims map[string]any
	audience       string // of the key
}

func brGood(s *apitest.Server, body string) brToken {
	at, hash := s.Clock.Now().Unix(), sha256.Sum256([]byte(body))
	return brToken{
		audience: "inner.request.bridge_to_core",
		header:   map[string]any{"alg": "HS256", "kid": "first", "typ": "inner.request.bridge_to_core+jwt"},
		claims: map[string]any{
			"iss": apitest.BridgePublic, "aud": "inner.request.bridge_to_core", "iat": at, "exp": at + 60, "jti": secret.Random()[:21] + "A",
			"htm": "POST", "htu": brRevoke, "bh": base64.RawURLEncoding.EncodeToString(hash[:]),
		},
	}
}

func (b brToken) sign(t testing.TB, s *apitest.Server) string {
	t.Helper()
	return b.signWith(t, s, s.Keys(t).Active())
}

// signWith is sign with the key of any entry, as its holder signs who has not read the
// file since.
func (b brToken) signWith(t testing.TB, s *apitest.Server, kid string) string {
	t.Helper()
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	key, err := s.Keys(t).Verify(kid, b.audience, secret.Text{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	signed := part(b.header) + "." + part(b.claims)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return "Bearer " + signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestInnerRequestsOfTheBridge(t *testing.T) {
	s := klStart(t, apitest.Enterprise(t))
	good := brGood(s, brOf).sign(t, s)
	t.Run("what the table changes is admitted unchanged", func(t *testing.T) {
		wantAnswer(t, brSend(t, s, brRevoke, brOf, good), http.StatusOK, "")
	})
	changed := func(change func(b *brToken)) string {
		b := brGood(s, brOf)
		change(&b)
		return b.sign(t, s)
	}
	claim := func(name string, value any) string {
		return changed(func(b *brToken) { b.claims[name] = value })
	}
	at := s.Clock.Now().Unix()
	for _, tc := range []struct {
		name   string
		lines  []string
		path   string // brRevoke unless it is set
		body   string // brOf unless it is set
		code   string
		reason string // in audit
	}{
		{name: "INN-01 no Authorization", code: "inner_token_missing"},
		{name: "INN-01 two of them", lines: []string{changed(func(*brToken) {}), changed(func(*brToken) {})}, code: "inner_token_missing"},
		{name: "INN-01 another scheme", lines: []string{"Basic eDp5"}, code: "inner_token_missing"},
		{name: "INN-01 a scheme alone", lines: []string{"Bearer "}, code: "inner_token_missing"},
		{name: "INN-02 another method", lines: []string{claim("htm", "GET")}, code: "inner_request_mismatch"},
		{name: "INN-02 another path", lines: []string{claim("htu", brUnlink)}, code: "inner_request_mismatch"},
		{name: "INN-02 a query that the token lacks", lines: []string{changed(func(*brToken) {})}, path: brRevoke + "?x=1", code: "inner_request_mismatch"},
		{name: "INN-02 another body", lines: []string{changed(func(*brToken) {})}, body: strings.Replace(brOf, "corp", "cork", 1), code: "inner_request_mismatch"},
		{name: "INN-02 the token of another request", lines: []string{s.AsBridge(t, "POST", brUnlink, brOf)}, code: "inner_request_mismatch"},
		{name: "INN-03 reflected", lines: []string{changed(func(b *brToken) {
			b.audience, b.header["typ"], b.claims["aud"] = "inner.request.core_to_bridge", "inner.request.core_to_bridge+jwt", "inner.request.core_to_bridge"
		})}, code: "inner_token_invalid", reason: "type"},
		{name: "INN-03 the key of the other direction", lines: []string{changed(func(b *brToken) { b.audience = "inner.request.core_to_bridge" })}, code: "inner_token_invalid", reason: "mac"},
		{name: "INN-03 signed as core", lines: []string{claim("iss", s.URL)}, code: "inner_token_invalid", reason: "iss"},
		{name: "INN-03 a login message", lines: []string{changed(func(b *brToken) {
			b.audience, b.header["typ"] = string(envelope.ExternalSubject), string(envelope.ExternalSubject)+"+jwt"
		})}, code: "inner_token_invalid", reason: "type"},
		{name: "INN-05 a life of 61 seconds", lines: []string{claim("exp", at+61)}, code: "inner_token_invalid", reason: "time"},
		{name: "INN-05 over for 31 seconds", lines: []string{changed(func(b *brToken) { b.claims["iat"], b.claims["exp"] = at-92, at-32 })}, code: "inner_token_invalid", reason: "time"},
		{name: "INN-05 from 90 seconds ahead", lines: []string{changed(func(b *brToken) { b.claims["iat"], b.claims["exp"] = at+90, at+150 })}, code: "inner_token_invalid", reason: "time"},
		{name: "INN-06 JWS-05 an unknown kid", lines: []string{changed(func(b *brToken) { b.header["kid"] = "second" })}, code: "inner_token_invalid", reason: "kid"},
		{name: "INN-06 JWS-05 an empty kid", lines: []string{changed(func(b *brToken) { b.header["kid"] = "" })}, code: "inner_token_invalid", reason: "kid"},
		{name: "INN-06 JWS-05 a kid like a path", lines: []string{changed(func(b *brToken) { b.header["kid"] = "../first" })}, code: "inner_token_invalid", reason: "kid"},
		{name: "no message", lines: []string{"Bearer garbage"}, code: "inner_token_invalid", reason: "shape"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path, body := tc.path, tc.body
			if path == "" {
				path = brRevoke
			}
			if body == "" {
				body = brOf
			}
			before := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.subject_revoked'`)
			a := brSend(t, s, path, body, tc.lines...)
			wantAnswer(t, a, http.StatusUnauthorized, tc.code)
			wantFailureShape(t, a)
			if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.subject_revoked'`); n != before {
				t.Error("a refused request ended something")
			}
			eventually(t, func() (bool, string) {
				if sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'inner.request_refused'`) == 0 {
					return false, "the refusal is not on record"
				}
				f := eventFields(t, s, "inner.request_refused")
				reason, _ := f["reason"].(string)
				return f["code"] == tc.code && reason == tc.reason && f["route"] == brRevoke, "on record are " + f["code"].(string) + " and " + reason
			})
		})
	}
	t.Run("INN-04 the same token again, one by one and many at once", func(t *testing.T) {
		wantAnswer(t, brSend(t, s, brRevoke, brOf, good), http.StatusUnauthorized, "inner_token_replayed")
		token := changed(func(*brToken) {})
		var mu sync.Mutex
		var wg sync.WaitGroup
		statuses := map[int]int{}
		for range 20 {
			wg.Go(func() {
				a := brSend(t, s, brRevoke, brOf, token)
				mu.Lock()
				defer mu.Unlock()
				statuses[a.Status]++
			})
		}
		wg.Wait()
		if statuses[http.StatusOK] != 1 || statuses[http.StatusUnauthorized] != 19 {
			t.Fatalf("%v", statuses)
		}
	})
	// The last one: what Redis forgets meanwhile does not come back with the clock.
	t.Run("INN-05 over for less than 30 seconds, and again 120 seconds later", func(t *testing.T) {
		now := s.Clock.Now().Unix()
		token := changed(func(b *brToken) { b.claims["iat"], b.claims["exp"] = now-87, now-27 })
		wantAnswer(t, brSend(t, s, brRevoke, brOf, token), http.StatusOK, "")
		s.Clock.Advance(2 * time.Minute)
		wantAnswer(t, brSend(t, s, brRevoke, brOf, token), http.StatusUnauthorized, "inner_token_invalid")
	})
}

// brReplay cannot be asked.
type brReplay struct{}

func (brReplay) Consume(context.Context, envelope.Audience, string, time.Duration) (bool, error) {
	return false, errStore
}

func TestInnerRequestsWithoutTheirStore(t *testing.T) {
	s := klStart(t, apitest.Enterprise(t), apitest.Wrap(func(st *app.Stores) { st.Replay = brReplay{} }))
	t.Run("INN-04 a store that cannot be asked is 503 and ends nothing", func(t *testing.T) {
		a := brCall(t, s, brRevoke, brOf)
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
		if a.Header.Get("Retry-After") == "" || sqlInt(t, s, `SELECT count(*) FROM subject_epochs`) != 0 {
			t.Fatalf("%v", a.Header)
		}
	})
}

func TestWhoOpensInnerRoutes(t *testing.T) {
	s := klStart(t, apitest.Enterprise(t), apitest.Set("FORWARD_AUTH_KEY", faKey))
	id := canon.NewID()
	ofAccount, unlink := `{"account_id":"`+id+`","reason":"x"}`, `{"issuer":"`+klIDP+`","reason":"x","actor":"y"}`
	typed := []string{"Content-Type", "application/json"}
	with := func(key string, more ...string) []string {
		return append(append([]string{"X-Inner-Api-Key", key}, typed...), more...)
	}
	for _, tc := range []struct {
		name, path, body string
		headers          []string
		status           int
		code             string
	}{
		{"the operator's key and an account", brRevoke, ofAccount, with(klKey), 200, ""},
		{"the operator's key and a connection", brRevoke, brOf, with(klKey), 422, "invalid_param"},
		{"the bridge's token and a connection", brRevoke, brOf, append(typed, "Authorization", s.AsBridge(t, "POST", brRevoke, brOf)), 200, ""},
		{"the bridge's token and an account", brRevoke, ofAccount, append(typed, "Authorization", s.AsBridge(t, "POST", brRevoke, ofAccount)), 422, "invalid_param"},
		{"INN-09 the proxies' key", brRevoke, ofAccount, with(faKey), 401, "unauthorized"},
		{"INN-09 a wrong key beside the bridge's token", brRevoke, brOf, with(faKey, "Authorization", s.AsBridge(t, "POST", brRevoke, brOf)), 401, "unauthorized"},
		{"INN-09 the operator's key opens the bridge's route no more than none", brUnlink, unlink, with(klKey), 401, "inner_token_missing"},
		{"INN-09 the proxies' key does neither", brUnlink, unlink, with(faKey), 401, "inner_token_missing"},
		{"the bridge's token opens it", brUnlink, unlink, append(typed, "Authorization", s.AsBridge(t, "POST", brUnlink, unlink)), 200, ""},
		{"INN-09 the bridge's token at a route of proxies", faVerify, "", []string{"Authorization", s.AsBridge(t, "POST", faVerify, "")}, 405, ""},
		{"another content type", brUnlink, unlink, []string{"Content-Type", "text/plain", "Authorization", s.AsBridge(t, "POST", brUnlink, unlink)}, 415, "unsupported_media_type"},
		{"a body above 64 KiB", brUnlink, unlink + strings.Repeat(" ", 64<<10), append(typed, "Authorization", "Bearer x"), 413, ""},
		{"a member that nobody knows", brUnlink, `{"issuer":"x","reason":"x","actor":"y","z":1}`, append(typed, "Authorization", s.AsBridge(t, "POST", brUnlink, `{"issuer":"x","reason":"x","actor":"y","z":1}`)), 422, "invalid_param"},
		{"a member that is missing", brUnlink, `{"issuer":"x","reason":"x"}`, append(typed, "Authorization", s.AsBridge(t, "POST", brUnlink, `{"issuer":"x","reason":"x"}`)), 422, "invalid_param"},
		{"an issuer that is too long", brUnlink, `{"issuer":"` + strings.Repeat("x", 256) + `","reason":"x","actor":"y"}`, append(typed, "Authorization", s.AsBridge(t, "POST", brUnlink, `{"issuer":"`+strings.Repeat("x", 256)+`","reason":"x","actor":"y"}`)), 422, "invalid_param"},
		{"a connection that cannot be", brRevoke, `{"connection_id":"` + strings.Repeat("x", 41) + `","reason":"x","actor":"y"}`, append(typed, "Authorization", s.AsBridge(t, "POST", brRevoke, `{"connection_id":"`+strings.Repeat("x", 41)+`","reason":"x","actor":"y"}`)), 422, "invalid_param"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := klSend(t, s, http.MethodPost, tc.path, tc.body, tc.headers...)
			if a.Status != tc.status || tc.code != "" && reasonOf(a) != tc.code {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("INN-09 a bridge's token at the routes of proxies", func(t *testing.T) {
		a := klSend(t, s, http.MethodGet, faVerify, "", "Authorization", s.AsBridge(t, "GET", faVerify, ""))
		wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
	})
	t.Run("INN-07 none of them is on the public listener", func(t *testing.T) {
		for _, path := range []string{brRevoke, brUnlink, "/inner%2fapi/subjects/revoke", "//inner/api/subjects/revoke", "/inner/api/"} {
			a := faSend(t, s.URL, "POST", path, "Content-Length", "0", "Authorization", s.AsBridge(t, "POST", path, ""))
			wantAnswer(t, a, http.StatusNotFound, "not_found")
		}
	})
	t.Run("SSO-01 the Community Edition has no route for a bridge", func(t *testing.T) {
		ce := klStart(t)
		wantAnswer(t, brSend(t, ce, brUnlink, unlink, s.AsBridge(t, "POST", brUnlink, unlink)), http.StatusNotFound, "not_found")
		wantAnswer(t, brSend(t, ce, brRevoke, brOf, s.AsBridge(t, "POST", brRevoke, brOf)), http.StatusUnauthorized, "unauthorized")
	})
	t.Run("the bridge needs no key of operators", func(t *testing.T) {
		alone := apitest.Start(t, unlimited(), apitest.Enterprise(t))
		wantAnswer(t, brCall(t, alone, brRevoke, brOf), http.StatusOK, "")
		wantAnswer(t, klSend(t, alone, http.MethodPost, brRevoke, ofAccount), http.StatusUnauthorized, "unauthorized")
	})
}

func TestAConnectionEnds(t *testing.T) {
	s := klStart(t, apitest.Enterprise(t))
	guests := map[string]string{}
	for subject, connection := range map[string]string{"ann": "corp", "bea": "corp", "cem": "other"} {
		guests[subject] = exGuest(t, s, subject, subject+"@corp.example", connection)
	}
	owner := ownerID(t, s)
	s.SignedIn(t)
	through := s.SignedIn(t)
	sqlExec(t, s, `UPDATE console_sessions SET how = 'sso', connection_id = 'corp' WHERE id = (SELECT max(id) FROM console_sessions)`)
	t.Run("SSO-83 its tokens and browsers are dead at the next request, others live", func(t *testing.T) {
		a := brCall(t, s, brRevoke, brOf)
		wantAnswer(t, a, http.StatusOK, "")
		if m := a.JSON(t); m["tokens_revoked"] != 2.0 || m["console_sessions_ended"] != 1.0 || len(m["accounts"].([]any)) != 0 {
			t.Fatalf("%s", a.Body)
		}
		for subject, status := range map[string]int{"ann": 401, "bea": 401, "cem": 200} {
			if a := s.Bearer(t, guests[subject], http.MethodGet, "/openapi/v1/account"); a.Status != status {
				t.Errorf("%s: %d %s", subject, a.Status, a.Body)
			}
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM console_sessions WHERE account_id = $1`, owner); n != 1 {
			t.Errorf("%d browsers are left", n)
		}
		_ = through
	})
	t.Run("SSO-83 whom the bridge acted for is on record", func(t *testing.T) {
		if got := sqlText(t, s, `SELECT actor_type || ' ' || actor_id FROM audit_events WHERE event = 'oauth.subject_revoked'`); got != "operator bridge:account:1" {
			t.Error(got)
		}
	})
	t.Run("SSO-108 identities of an issuer are unlinked, each on record", func(t *testing.T) {
		klLink(t, s, owner, "ada")
		klLink(t, s, owner, "ada2")
		body := `{"issuer":"` + klIDP + `","reason":"taken over","actor":"cli:root"}`
		a := brCall(t, s, brUnlink, body)
		wantAnswer(t, a, http.StatusOK, "")
		if a.Body != `{"unlinked":2}` || sqlInt(t, s, `SELECT count(*) FROM account_identities`) != 0 {
			t.Fatal(a.Body)
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'sso.identity_unlinked' AND actor_id = 'bridge:cli:root'`); n != 2 {
			t.Errorf("%d on record", n)
		}
	})
}
