// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestTokenShape(t *testing.T) {
	spy := &tkStore{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))
	bearer, id := tkLogin(t, s, s.SignedIn(t), "laptop")

	t.Run("TK-1 shape of the token and what is kept of it", func(t *testing.T) {
		if !regexp.MustCompile(`^dfoa_[A-Za-z0-9_-]{43}$`).MatchString(bearer) {
			t.Fatal("the token does not have its shape")
		}
		digest := secret.DigestOf(bearer)
		if sqlDigest(t, s, `SELECT token_hash FROM oauth_access_tokens WHERE id = $1`, id) != digest {
			t.Fatal("the stored hash is not the SHA-256 of the whole token")
		}
		if got := sqlText(t, s, `SELECT prefix FROM oauth_access_tokens WHERE id = $1`, id); got != "dfoa_" {
			t.Fatalf("prefix %q", got)
		}
		tkAsk(t, s, bearer, http.StatusOK, "")
	})

	body := strings.TrimPrefix(bearer, "dfoa_")
	flipped := []byte(bearer)
	for _, symbol := range []byte("AB") { // another symbol of the alphabet
		if flipped[10] != symbol {
			flipped[10] = symbol
			break
		}
	}
	cases := []struct {
		name, presented string
		store           bool
	}{
		{name: "TK-1 TOK-01 one symbol changed", presented: string(flipped), store: true},
		{name: "TK-1 TOK-01 unknown", presented: unknownToken, store: true},
		{name: "TK-1 TOK-01 one character more", presented: bearer + "A"},
		{name: "TK-1 TOK-01 one character less", presented: bearer[:len(bearer)-1]},
		{name: "TK-1 TOK-01 prefix alone", presented: "dfoa_"},
		{name: "TK-1 TOK-01 no prefix", presented: body},
		{name: "TK-1 TOK-01 prefix in upper case", presented: "DFOA_" + body},
		{name: "TK-1 TOK-01 prefix twice", presented: "dfoa_" + bearer},
		{name: "TK-1 TOK-01 a kind of the other edition", presented: "dfoe_" + body},
		{name: "TK-1 TOK-01 app key", presented: "app-" + body},
		{name: "TK-1 TOK-01 personal key", presented: "dfp_" + body},
		{name: "TK-1 TOK-01 Unicode letter", presented: "dfoa_é" + body[2:]},
		{name: "TK-1 TOK-01 Unicode look-alike of the prefix", presented: "dfоa_" + body},
		{name: "TK-1 TOK-01 full width", presented: "ｄfoa_" + body},
		{name: "TK-1 TOK-01 percent-encoded", presented: "dfoa%5F" + body},
		{name: "TK-1 TOK-01 percent-encoded within", presented: "dfoa_%41" + body[1:]},
		{name: "TK-1 TOK-01 padded", presented: bearer[:len(bearer)-1] + "="},
		{name: "TK-1 TOK-01 another base64 alphabet", presented: "dfoa_+/" + body[2:]},
		{name: "TK-1 TOK-01 blank within", presented: "dfoa_ " + body[1:]},
		{name: "TK-1 TOK-01 comma list", presented: bearer + ",x"},
		{name: "TK-1 TOK-01 unused bits of the last symbol", presented: bearer[:len(bearer)-1] + tkUnusedBit(bearer[len(bearer)-1])},
	}
	var first *apitest.Answer
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			before, _, _ := spy.counts()
			a := s.Bearer(t, tc.presented, http.MethodGet, accountPath)
			wantAnswer(t, a, http.StatusUnauthorized, "invalid_token")
			if after, _, _ := spy.counts(); (after != before) != tc.store {
				t.Fatalf("the store was asked %d times", after-before)
			}
			if hint := a.JSON(t)["hint"]; (hint != nil) != (strings.HasPrefix(tc.presented, "app-") || strings.HasPrefix(tc.presented, "dfp_")) {
				t.Fatalf("hint %v", hint)
			} else if hint != nil {
				return // names the kind of credential, and nothing else differs
			}
			if first == nil {
				first = &a
			}
			tkSameFailure(t, *first, a)
		})
	}

	t.Run("TOK-03 a miss of any cause is one body", func(t *testing.T) {
		s := apitest.Start(t, unlimited(), apitest.Wrap((&tkStore{}).wrap))
		b := s.SignedIn(t)
		revoked, revokedID := tkLogin(t, s, b, "revoked")
		wantAnswer(t, s.Bearer(t, revoked, http.MethodDelete, sessionsPath+"/"+revokedID), http.StatusOK, "")
		expired, expiredID := tkLogin(t, s, b, "expired")
		sqlExec(t, s, `UPDATE oauth_access_tokens SET expires_at = created_at WHERE id = $1`, expiredID)
		answers := []apitest.Answer{}
		for _, presented := range []string{"x", unknownToken, revoked, expired, expired} {
			answers = append(answers, tkAsk(t, s, presented, http.StatusUnauthorized, "invalid_token"))
		}
		live, _ := tkLogin(t, s, b, "banned")
		sqlExec(t, s, `UPDATE accounts SET status = 'banned'`)
		answers = append(answers, tkAsk(t, s, live, http.StatusUnauthorized, "invalid_token"))
		for _, a := range answers {
			tkSameFailure(t, answers[0], a)
		}
	})
	t.Run("TOK-03 the store compares hashes on an index", func(t *testing.T) {
		spy.set(func(s *tkStore) { s.asked = nil })
		s.Clock.Advance(token.LiveFor)
		tkAsk(t, s, bearer, http.StatusOK, "")
		spy.set(func(s *tkStore) {
			if len(s.asked) != 1 || s.asked[0] != secret.DigestOf(bearer) {
				t.Error("the store was not asked once by the token's digest")
			}
		})
		const many = `INSERT INTO oauth_access_tokens (id, subject_email, subject_issuer, subject_id, account_id, client_id, device_label, prefix,
			token_hash, created_at, expires_at, approved_at, grant_ref)
			SELECT gen_random_uuid()::text, subject_email, subject_issuer, subject_id, account_id, client_id, 'device ' || n, prefix,
			sha256(n::text::bytea), created_at, expires_at, approved_at, grant_ref FROM oauth_access_tokens, generate_series(1, 1000) n`
		plan := sqlPlan(t, s, many, `SELECT id FROM oauth_access_tokens t WHERE t.token_hash = $1 AND t.revoked_at IS NULL`, make([]byte, 32))
		if !regexp.MustCompile(`uq_oauth_token_hash (\(token_hash=\?\)|on oauth_access_tokens)`).MatchString(plan) {
			t.Fatal(plan)
		}
	})
}

// tkUnusedBit gives the next spelling of the last symbol of 43, whose two low bits are
// no part of the 32 bytes.
func tkUnusedBit(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, last)^1])
}

func TestWhereATokenMayStand(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	bearer, _ := tkLogin(t, s, b, "laptop")
	const wantChallenge = `Bearer realm="api"`

	get := func(t *testing.T, path string, headers ...string) apitest.Answer {
		t.Helper()
		return s.Call(t, http.MethodGet, path, "", headers...)
	}
	unauthorized := []struct {
		name    string
		path    string
		headers []string
	}{
		{name: "TOK-09 nowhere", path: accountPath},
		{name: "TOK-09 in the query", path: accountPath + "?access_token=" + bearer + "&token=" + bearer},
		{name: "TOK-09 in a cookie", path: accountPath, headers: []string{"Cookie", "access_token=" + bearer + "; token=" + bearer + "; console_session=" + bearer}},
		{name: "TOK-09 as Basic", path: accountPath, headers: []string{"Authorization", "Basic " + bearer}},
		{name: "TOK-09 without a scheme", path: accountPath, headers: []string{"Authorization", bearer}},
		{name: "TOK-09 in another header", path: accountPath, headers: []string{"X-Authorization", "Bearer " + bearer, "Proxy-Authorization", "Bearer " + bearer}},
		{name: "TOK-09 scheme alone", path: accountPath, headers: []string{"Authorization", "Bearer"}},
	}
	for _, tc := range unauthorized {
		t.Run(tc.name, func(t *testing.T) {
			a := get(t, tc.path, tc.headers...)
			wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
			if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, wantChallenge) || strings.Contains(got, "error=") {
				t.Fatalf("challenge %q", got)
			}
		})
	}
	t.Run("TOK-09 the scheme in any case is served", func(t *testing.T) {
		for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
			wantAnswer(t, get(t, accountPath, "Authorization", scheme+" "+bearer), http.StatusOK, "")
		}
	})
	t.Run("TOK-09 two headers are ambiguous", func(t *testing.T) {
		for _, second := range []string{"Bearer " + bearer, "Bearer " + unknownToken, "Basic eA=="} {
			wantAnswer(t, get(t, accountPath, "Authorization", "Bearer "+bearer, "Authorization", second), http.StatusBadRequest, "bad_request")
		}
	})
	t.Run("TOK-09 a folded header is refused", func(t *testing.T) {
		line := tkRaw(t, s, "GET "+accountPath+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(s.URL, "http://")+"\r\nAuthorization: Bearer\r\n "+bearer+"\r\nConnection: close\r\n\r\n")
		if !strings.Contains(line, " 400 ") {
			t.Fatal(line)
		}
	})

	t.Run("W-17 a bearer is nobody on cookie routes", func(t *testing.T) {
		for _, r := range [][2]string{{http.MethodGet, "/console/api/account/profile"}, {http.MethodGet, "/console/api/workspaces"}, {http.MethodGet, "/console/api/csrf-token"},
			{http.MethodPost, "/openapi/v1/oauth/device/approve"}, {http.MethodPost, "/openapi/v1/oauth/device/deny"}} {
			a := s.Bearer(t, bearer, r[0], r[1])
			wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
			if got := a.Header.Get("WWW-Authenticate"); got != `Cookie realm="console"` {
				t.Errorf("%s: challenge %q", r[1], got)
			}
		}
		a := s.Bearer(t, bearer, http.MethodGet, "/account/sessions")
		if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/signin") {
			t.Errorf("the page: %d to %q", a.Status, a.Header.Get("Location"))
		}
	})
	t.Run("W-17 a console cookie is nobody on bearer routes", func(t *testing.T) {
		csrf := b.CSRF()
		for _, r := range [][2]string{{http.MethodGet, accountPath}, {http.MethodGet, sessionsPath}, {http.MethodDelete, sessionsPath}, {http.MethodDelete, sessionsPath + "/self"}} {
			a := b.Call(r[0], r[1], "", "Origin", s.URL, "X-CSRF-Token", csrf)
			wantAnswer(t, a, http.StatusUnauthorized, "unauthorized")
			if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, wantChallenge) {
				t.Errorf("%s %s: challenge %q", r[0], r[1], got)
			}
			wantAnswer(t, s.Bearer(t, b.Cookie("console_session"), http.MethodGet, accountPath), http.StatusUnauthorized, "invalid_token")
		}
		tkAsk(t, s, bearer, http.StatusOK, "")
	})
}
