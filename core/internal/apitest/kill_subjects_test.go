// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	klPath = "/inner/api/subjects/revoke"
	klKey  = "operator-key-operator-key-operator-key"
	klIDP  = "https://idp.example.com"
)

// klCache fails to bury on demand.
type klCache struct {
	token.Cache
	mu     sync.Mutex
	broken bool
}

func (c *klCache) wrap(st *app.Stores) { c.Cache, st.Bearers = st.Bearers, c }

func (c *klCache) setBroken(broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = broken
}

func (c *klCache) Bury(ctx context.Context, now time.Time, digests ...secret.Digest) error {
	c.mu.Lock()
	broken := c.broken
	c.mu.Unlock()
	if broken {
		return errStore
	}
	return c.Cache.Bury(ctx, now, digests...)
}

func klStart(t testing.TB, options ...apitest.Option) *apitest.Server {
	t.Helper()
	return apitest.Start(t, append([]apitest.Option{unlimited(), apitest.Set("OPERATOR_API_KEY", klKey)}, options...)...)
}

// klSend asks the second listener, as the operator unless headers say otherwise.
func klSend(t testing.TB, s *apitest.Server, method, path, body string, headers ...string) apitest.Answer {
	t.Helper()
	if headers == nil {
		headers = []string{"X-Inner-Api-Key", klKey, "Content-Type", "application/json"}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.Inner+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return apitest.Answer{Status: res.StatusCode, Header: res.Header, Body: string(content)}
}

type klReceipt struct {
	ID          string   `json:"receipt_id"`
	Tokens      int      `json:"tokens_revoked"`
	Browsers    int      `json:"console_sessions_ended"`
	Accounts    []string `json:"accounts"`
	RefusedFrom string   `json:"grants_refused_from"`
}

// klRevoke is a kill that is to succeed.
func klRevoke(t testing.TB, s *apitest.Server, body string) klReceipt {
	t.Helper()
	a := klSend(t, s, http.MethodPost, klPath, body)
	wantAnswer(t, a, http.StatusOK, "")
	var r klReceipt
	if err := json.Unmarshal([]byte(a.Body), &r); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", r.RefusedFrom)
	if members := a.JSON(t); err != nil || len(members) != 5 || members["accounts"] == nil || !canon.IsID(r.ID) || s.Clock.Now().Sub(at).Abs() > time.Minute {
		t.Fatalf("%s: %v", a.Body, err)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v", a.Header)
	}
	return r
}

// klGuest gives a person without an account a live row, as the Enterprise Edition mints.
func klGuest(t testing.TB, s *apitest.Server, subjectID, email, connection string) {
	t.Helper()
	hash, ref := secret.DigestOf(secret.Random()), secret.DigestOf(secret.Random())
	now := s.Clock.Now()
	sqlExec(t, s, `INSERT INTO oauth_access_tokens (id, subject_email, subject_issuer, subject_id, connection_id, client_id, device_label, prefix,
		token_hash, created_at, expires_at, approved_at, grant_ref) VALUES ($1, $2, $3, $4, $5, 'difyctl', $1, 'dfoe_', $6, $7, $8, $7, $9)`,
		canon.NewID(), email, klIDP, subjectID, connection, hash[:], now, now.Add(time.Hour), ref[:])
}

func klLink(t testing.TB, s *apitest.Server, accountID, subjectID string) {
	t.Helper()
	sqlExec(t, s, `INSERT INTO account_identities (id, account_id, issuer, subject_id, linked_at, linked_by) VALUES ($1, $2, $3, $4, $5, 'test')`,
		canon.NewID(), accountID, klIDP, subjectID, s.Clock.Now())
}

func TestOperatorKey(t *testing.T) {
	body := `{"account_id":"` + canon.NewID() + `","reason":"x"}`
	typed := []string{"Content-Type", "application/json"}

	t.Run("API-31 without a key the route does not exist, whatever is sent", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			for _, headers := range [][]string{typed, append([]string{"X-Inner-Api-Key", ""}, typed...), append([]string{"X-Inner-Api-Key", klKey}, typed...)} {
				a := klSend(t, s, method, klPath, body, headers...)
				wantAnswer(t, a, http.StatusNotFound, "not_found")
				wantFailureShape(t, a)
			}
		}
	})

	t.Run("API-31 a wrong key, none, two, and what opens other doors", func(t *testing.T) {
		s := klStart(t)
		bearer, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		session := tkSignIn(t, s, false)
		for name, headers := range map[string][]string{
			"none":      {},
			"empty":     {"X-Inner-Api-Key", ""},
			"another":   {"X-Inner-Api-Key", strings.ToUpper(klKey)},
			"cut short": {"X-Inner-Api-Key", klKey[1:]},
			"longer":    {"X-Inner-Api-Key", klKey + "y"},
			"twice":     {"X-Inner-Api-Key", klKey, "X-Inner-Api-Key", klKey},
			"bearer":    {"Authorization", "Bearer " + bearer},
			"as bearer": {"Authorization", "Bearer " + klKey},
			"cookie":    {"Cookie", "console_session=" + session},
		} {
			a := klSend(t, s, http.MethodPost, klPath, body, append(headers, typed...)...)
			if a.Status != http.StatusUnauthorized || reasonOf(a) != "unauthorized" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
				t.Errorf("%s: %d %s %v", name, a.Status, a.Body, a.Header)
			}
			wantFailureShape(t, a)
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.subject_revoked'`); n != 0 {
			t.Errorf("%d kills", n)
		}
		// The key opens nothing else, and the public listener has no such route.
		wantAnswer(t, s.Bearer(t, klKey, http.MethodGet, accountPath), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, s.Call(t, http.MethodPost, klPath, body, "X-Inner-Api-Key", klKey, "Content-Type", "application/json"), http.StatusNotFound, "not_found")
	})

	t.Run("LOG-01 the key stands in no log", func(t *testing.T) {
		s := klStart(t)
		klRevoke(t, s, body)
		if strings.Contains(s.Log.String(), klKey) {
			t.Error("it does")
		}
	})
}

func TestSubjectsRevoke(t *testing.T) {
	t.Run("API-31 a body that names nobody, two, or more than it may", func(t *testing.T) {
		s := klStart(t)
		id := canon.NewID()
		for name, c := range map[string]struct {
			body   string
			status int
			code   string
		}{
			"nothing":                 {`{"reason":"x"}`, 422, "invalid_param"},
			"an empty object":         {`{}`, 422, "invalid_param"},
			"issuer alone":            {`{"issuer":"i","reason":"x"}`, 422, "invalid_param"},
			"e-mail alone":            {`{"email":"a@b.c","reason":"x"}`, 422, "invalid_param"},
			"subject id alone":        {`{"subject_id":"a","reason":"x"}`, 422, "invalid_param"},
			"subject id and e-mail":   {`{"issuer":"i","subject_id":"a","email":"a@b.c","reason":"x"}`, 422, "invalid_param"},
			"identity and account":    {`{"issuer":"i","subject_id":"a","account_id":"` + id + `","reason":"x"}`, 422, "invalid_param"},
			"issuer and account":      {`{"issuer":"i","account_id":"` + id + `","reason":"x"}`, 422, "invalid_param"},
			"a connection":            {`{"connection_id":"con-1","reason":"x"}`, 422, "invalid_param"},
			"account and connection":  {`{"account_id":"` + id + `","connection_id":"con-1","reason":"x"}`, 422, "invalid_param"},
			"null beside it":          {`{"account_id":"` + id + `","issuer":null,"reason":"x"}`, 200, ""},
			"no account id":           {`{"account_id":"x","reason":"x"}`, 422, "invalid_param"},
			"no e-mail":               {`{"issuer":"i","email":"x","reason":"x"}`, 422, "invalid_param"},
			"an empty issuer":         {`{"issuer":"","subject_id":"a","reason":"x"}`, 422, "invalid_param"},
			"an issuer too long":      {`{"issuer":"` + strings.Repeat("i", 256) + `","subject_id":"a","reason":"x"}`, 422, "invalid_param"},
			"a control character":     {`{"issuer":"i","subject_id":"a\u0000b","reason":"x"}`, 422, "invalid_param"},
			"no reason":               {`{"account_id":"` + id + `"}`, 422, "invalid_param"},
			"an empty reason":         {`{"account_id":"` + id + `","reason":""}`, 422, "invalid_param"},
			"a reason of 64":          {`{"account_id":"` + id + `","reason":"` + strings.Repeat("é", 64) + `"}`, 200, ""},
			"a reason of 65":          {`{"account_id":"` + id + `","reason":"` + strings.Repeat("é", 65) + `"}`, 422, "invalid_param"},
			"an empty actor":          {`{"account_id":"` + id + `","reason":"x","actor":""}`, 422, "invalid_param"},
			"an actor of 256":         {`{"account_id":"` + id + `","reason":"x","actor":"` + strings.Repeat("a", 256) + `"}`, 422, "invalid_param"},
			"an unknown member":       {`{"account_id":"` + id + `","reason":"x","more":1}`, 422, "invalid_param"},
			"a member of other case":  {`{"Account_ID":"` + id + `","reason":"x"}`, 422, "invalid_param"},
			"a wrong type":            {`{"account_id":1,"reason":"x"}`, 422, "invalid_param"},
			"a member twice":          {`{"account_id":"` + id + `","account_id":"` + id + `","reason":"x"}`, 400, "invalid_json"},
			"no object":               {`[]`, 400, "invalid_json"},
			"trailing data":           {`{"account_id":"` + id + `","reason":"x"} x`, 400, "invalid_json"},
			"more than is read of it": {`{"reason":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "request_entity_too_large"},
		} {
			a := klSend(t, s, http.MethodPost, klPath, c.body)
			if a.Status != c.status || c.code != "" && reasonOf(a) != c.code {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
			if a.Status >= 400 {
				wantFailureShape(t, a)
			}
			if strings.Contains(a.Body, id) {
				t.Errorf("%s: the answer repeats what was sent: %s", name, a.Body)
			}
		}
		a := klSend(t, s, http.MethodPost, klPath, "account_id="+id, "X-Inner-Api-Key", klKey, "Content-Type", "application/x-www-form-urlencoded")
		wantAnswer(t, a, http.StatusUnsupportedMediaType, "unsupported_media_type")
		wantAnswer(t, klSend(t, s, http.MethodGet, klPath, ""), http.StatusMethodNotAllowed, "method_not_allowed")
	})

	t.Run("API-31 by account, identity and e-mail, and nobody", func(t *testing.T) {
		s := klStart(t)
		bob := addAccount(t, s, "bob@example.com")
		browser := signedInAs(t, s, "bob@example.com")
		bearer, _ := tkLogin(t, s, browser, "laptop")
		ada, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		tkAsk(t, s, bearer, http.StatusOK, "")
		klGuest(t, s, "eve", "eve@idp.example.com", "con-1")
		klGuest(t, s, "mallory", "mallory@idp.example.com", "con-1")
		klGuest(t, s, "mallory", "mallory@idp.example.com", "con-1")

		r := klRevoke(t, s, `{"account_id":"`+bob+`","reason":"left","actor":"account:root"}`)
		if r.Tokens != 1 || r.Browsers != 1 || len(r.Accounts) != 1 || r.Accounts[0] != bob {
			t.Fatalf("%+v", r)
		}
		tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
		tkAsk(t, s, ada, http.StatusOK, "")
		wantAnswer(t, browser.Call(http.MethodGet, profilePath, ""), http.StatusUnauthorized, "unauthorized")
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.subject_revoked' AND actor_type = 'operator' AND actor_id = 'account:root'`); n != 1 {
			t.Errorf("%d events of that actor", n)
		}
		if f := eventFields(t, s, "oauth.subject_revoked"); f["receipt_id"] != r.ID || f["cause"] != "left" {
			t.Errorf("%v", f)
		}
		if r := klRevoke(t, s, `{"issuer":"`+klIDP+`","subject_id":"eve","reason":"left"}`); r.Tokens != 1 || len(r.Accounts) != 0 {
			t.Fatalf("%+v", r)
		}
		if r := klRevoke(t, s, `{"issuer":"`+klIDP+`","email":" Mallory@IDP.example.com","reason":"left"}`); r.Tokens != 2 || len(r.Accounts) != 0 {
			t.Fatalf("%+v", r)
		}
		before := sqlInt(t, s, `SELECT sum(epoch) FROM subject_epochs`)
		if r := klRevoke(t, s, `{"issuer":"`+klIDP+`","subject_id":"nobody","reason":"left"}`); r.Tokens != 0 || r.Browsers != 0 || len(r.Accounts) != 0 {
			t.Fatalf("%+v", r)
		}
		if n := sqlInt(t, s, `SELECT sum(epoch) FROM subject_epochs`); n != before+1 {
			t.Errorf("the epoch of nobody did not move")
		}
	})

	t.Run("API-31 TK-11 a tombstone that cannot be written is a 503, and the repeat writes it", func(t *testing.T) {
		cache := &klCache{}
		s := klStart(t, apitest.Wrap(cache.wrap))
		body := `{"account_id":"` + ownerID(t, s) + `","reason":"left"}`
		bearer, _ := tkLogin(t, s, s.SignedIn(t), "laptop")
		tkAsk(t, s, bearer, http.StatusOK, "")
		cache.setBroken(true)
		a := klSend(t, s, http.MethodPost, klPath, body)
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
		if a.Header.Get("Retry-After") != "2" || liveRows(t, s) != 0 {
			t.Fatalf("Retry-After %q, %d live rows", a.Header.Get("Retry-After"), liveRows(t, s))
		}
		cache.setBroken(false)
		if r := klRevoke(t, s, body); r.Tokens != 0 {
			t.Fatalf("%+v", r)
		}
		tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
	})
}

func TestAPersonLeaves(t *testing.T) {
	t.Run("PPL-09 API-34 one call ends all of the person, the linked account's too, and names it", func(t *testing.T) {
		s := klStart(t)
		bob := addAccount(t, s, "bob@example.com")
		klLink(t, s, bob, "bob-at-idp")
		browser, other := signedInAs(t, s, "bob@example.com"), signedInAs(t, s, "bob@example.com")
		one, _ := tkLogin(t, s, browser, "one")
		two, _ := tkLogin(t, s, other, "two")
		for _, bearer := range []string{one, two} {
			tkAsk(t, s, bearer, http.StatusOK, "") // and is remembered
		}
		approved := s.Code(t, "approved before")
		allow(t, browser, approved)

		r := klRevoke(t, s, `{"issuer":"`+klIDP+`","subject_id":"bob-at-idp","reason":"left the company"}`)
		if r.Tokens != 2 || r.Browsers != 2 || len(r.Accounts) != 1 || r.Accounts[0] != bob {
			t.Fatalf("%+v", r)
		}
		for _, bearer := range []string{one, two} {
			tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
		}
		for _, b := range []*apitest.Browser{browser, other} {
			wantAnswer(t, b.Call(http.MethodGet, profilePath, ""), http.StatusUnauthorized, "unauthorized")
		}
		wantAnswer(t, s.Poll(t, approved), http.StatusBadRequest, "access_denied")

		// The account itself stays as it was: who may sign in may begin anew.
		again, _ := tkLogin(t, s, signedInAs(t, s, "bob@example.com"), "three")
		tkAsk(t, s, again, http.StatusOK, "")
	})

	t.Run("PPL-09 API-34 a connection that ends takes its tokens and the browsers begun through it", func(t *testing.T) {
		s := klStart(t)
		addAccount(t, s, "bob@example.com")
		through, beside := signedInAs(t, s, "bob@example.com"), signedInAs(t, s, "bob@example.com")
		hash := secret.DigestOf(through.Cookie("console_session"))
		sqlExec(t, s, `UPDATE console_sessions SET how = 'sso', connection_id = 'con-1' WHERE token_hash = $1`, hash[:])
		klGuest(t, s, "eve", "eve@idp.example.com", "con-1")
		klGuest(t, s, "mallory", "mallory@idp.example.com", "con-2")
		bearer, _ := tkLogin(t, s, beside, "laptop")

		// The bridge's route comes with the Enterprise Edition; the service is there.
		r, err := s.App.Access.Kill(t.Context(), access.Target{ConnectionID: "con-1"}, "connection disabled", audit.Operator)
		if err != nil || r.TokensRevoked != 1 || r.ConsoleSessionsEnded != 1 || len(r.Accounts) != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		wantAnswer(t, through.Call(http.MethodGet, profilePath, ""), http.StatusUnauthorized, "unauthorized")
		wantAnswer(t, beside.Call(http.MethodGet, profilePath, ""), http.StatusOK, "")
		tkAsk(t, s, bearer, http.StatusOK, "")
		if n := liveRows(t, s); n != 2 {
			t.Errorf("%d live rows", n)
		}
	})
}
