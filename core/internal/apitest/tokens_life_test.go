// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

func TestTokenExpiry(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	expires := func(id string) time.Time {
		return sqlTime(t, s, `SELECT expires_at FROM oauth_access_tokens WHERE id = $1`, id)
	}
	t.Run("TK-7 TOK-06 a token in use ends in the second of its expiry", func(t *testing.T) {
		bearer, id := tkLogin(t, s, b, "a")
		s.Clock.Advance(expires(id).Sub(s.Clock.Now()) - 10*time.Second)
		tkAsk(t, s, bearer, http.StatusOK, "")
		s.Clock.Advance(10 * time.Second)
		tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
		if got := sqlText(t, s, `SELECT revoke_reason FROM oauth_access_tokens WHERE id = $1`, id); got != "expired" {
			t.Fatalf("reason %q", got)
		}
		t.Run("TOK-06 a clock that steps back revives nothing", func(t *testing.T) {
			s.Clock.Advance(-24 * time.Hour)
			tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
			s.Clock.Advance(24 * time.Hour)
		})
	})
	t.Run("TK-7 to the microsecond, without leeway", func(t *testing.T) {
		b = s.SignedIn(t)
		bearer, id := tkLogin(t, s, b, "b")
		end := expires(id)
		at := func(now time.Time) error {
			service := tkService(t, s, s.App.Stores.Tokens, func() time.Time { return now })
			_, err := service.Resolve(t.Context(), token.AccountKind, secret.DigestOf(bearer))
			return err
		}
		if err := at(end.Add(-time.Microsecond)); err != nil {
			t.Fatal(err)
		}
		if err := at(end); !errors.Is(err, token.ErrInvalid) {
			t.Fatalf("at the end itself: %v", err)
		}
	})
	t.Run("TK-8 twenty uses after expiry make one event", func(t *testing.T) {
		before := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_expired'`)
		bearer, id := tkLogin(t, s, s.SignedIn(t), "c")
		s.Clock.Advance(15 * 24 * time.Hour)
		statuses := tkAtOnce(20, func(int) int { return s.Bearer(t, bearer, http.MethodGet, accountPath).Status })
		if n := tkCount(statuses, http.StatusUnauthorized); n != 20 {
			t.Fatal(statuses)
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_expired'`); n != before+1 {
			t.Fatalf("%d events", n-before)
		}
		if f := eventFields(t, s, "oauth.token_expired"); f["token_id"] != id || f["subject"] != ownerID(t, s) || f["client_id"] != "difyctl" {
			t.Fatal(f)
		}
	})
}

func TestAnAccountThatIsNotActive(t *testing.T) {
	slow(t)
	const bobs = "bob@example.com"
	set := func(status account.Status) func(t *testing.T, s *apitest.Server) {
		return func(t *testing.T, s *apitest.Server) {
			if _, err := s.App.Access.SetStatus(t.Context(), bobs, status, audit.Operator); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Past the service, as a restore would: what is remembered of a token may live on.
	write := func(statement string) func(t *testing.T, s *apitest.Server) {
		return func(t *testing.T, s *apitest.Server) {
			sqlExec(t, s, statement)
			s.Clock.Advance(token.LiveFor)
		}
	}
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, s *apitest.Server)
	}{
		{name: "TK-15 banned", end: set(account.Banned)},
		{name: "TK-15 closed", end: set(account.Closed)},
		{name: "TK-15 pending", end: write(`UPDATE accounts SET status = 'pending' WHERE email = 'bob@example.com'`)},
		{name: "TK-15 deleted", end: write(`DELETE FROM accounts WHERE email = 'bob@example.com'`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := apitest.Start(t, unlimited())
			addAccount(t, s, bobs)
			bob := signedInAs(t, s, bobs)
			first, _ := tkLogin(t, s, bob, "one")
			second, _ := tkLogin(t, s, bob, "two")
			ada, _ := tkLogin(t, s, s.SignedIn(t), "one")
			c := s.Code(t, "approved before")
			allow(t, bob, c)
			tkAsk(t, s, first, http.StatusOK, "") // and is remembered
			tc.end(t, s)
			tkAsk(t, s, first, http.StatusUnauthorized, "invalid_token")
			tkAsk(t, s, second, http.StatusUnauthorized, "invalid_token")
			wantAnswer(t, s.Bearer(t, first, http.MethodDelete, sessionsPath), http.StatusUnauthorized, "invalid_token")
			wantAnswer(t, s.Poll(t, c), http.StatusBadRequest, "access_denied")
			wantAnswer(t, bob.Call(http.MethodGet, "/console/api/account/profile", ""), http.StatusUnauthorized, "unauthorized")
			tkAsk(t, s, ada, http.StatusOK, "")
		})
	}
}

func TestARowThatContradictsItself(t *testing.T) {
	slow(t)
	t.Run("TK-17 another prefix than the token's is refused and told", func(t *testing.T) {
		s := apitest.Start(t, unlimited())
		bearer, id := tkLogin(t, s, s.SignedIn(t), "laptop")
		// The schema forbids such a row; a broken restore does not ask it.
		writer, ok := sqldb.Standard(s.App.Stores.DB)
		if !ok {
			t.Fatal("no writer")
		}
		before, after := `PRAGMA ignore_check_constraints = ON`, `PRAGMA ignore_check_constraints = OFF`
		if s.App.Stores.DB.Dialect() == sqldb.Postgres {
			before, after = `ALTER TABLE oauth_access_tokens DROP CONSTRAINT ck_oauth_account_prefix, DROP CONSTRAINT ck_oauth_external_prefix`, `SELECT 1`
		}
		for _, statement := range []string{before, `UPDATE oauth_access_tokens SET prefix = 'dfoe_'`, after} {
			if _, err := writer.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
		awaitEvents(t, s, "internal_state_invariant", 1)
		if f := eventFields(t, s, "internal_state_invariant"); f["token_id"] != id || f["invariant"] != "prefix" {
			t.Fatal(f)
		}
		if !strings.Contains(s.Log.String(), `"event":"internal_state_invariant"`) {
			t.Fatal("the log does not tell")
		}
	})
}

func TestLastUse(t *testing.T) {
	slow(t)
	spy := &tkStore{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap), apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"))
	bearer, id := tkLogin(t, s, s.SignedIn(t), "laptop")
	lastUse := func() any {
		t.Helper()
		return s.Bearer(t, bearer, http.MethodGet, sessionsPath).JSON(t)["data"].([]any)[0].(map[string]any)["last_used_at"]
	}
	t.Run("TK-18 null before the first use, then its time and address", func(t *testing.T) {
		if v := lastUse(); v != nil {
			t.Fatal(v)
		}
		eventually(t, func() (bool, string) { return lastUse() != nil, "last_used_at is not set" })
		s.Clock.Advance(2 * time.Minute) // some of it is left to chance
		before := s.Clock.Now()
		wantAnswer(t, s.Call(t, http.MethodGet, sessionsPath, "", "Authorization", "Bearer "+bearer, "X-Forwarded-For", "203.0.113.9"), http.StatusOK, "")
		eventually(t, func() (bool, string) {
			n := sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND last_used_at >= $2 AND last_used_ip = '203.0.113.9'`, id, before)
			return n == 1, "a use a minute later is not set"
		})
	})
	t.Run("TK-18 written at most once a minute", func(t *testing.T) {
		now := s.Clock.Now()
		service := tkService(t, s, spy, func() time.Time { return now })
		minted := sqlTime(t, s, `SELECT created_at FROM oauth_access_tokens WHERE id = $1`, id)
		_, _, before := spy.counts()
		var got []int
		for range 8 { // every 20 seconds, each with a batch of its own
			for range 3 {
				service.Used(id, minted, "198.51.100.7")
			}
			if err := service.FlushUsage(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, _, touches := spy.counts()
			got = append(got, touches-before)
			now = now.Add(20 * time.Second)
		}
		if want := []int{1, 1, 1, 2, 2, 2, 3, 3}; !slices.Equal(got, want) {
			t.Fatalf("writes after each batch: %v, want %v", got, want)
		}
	})
}

// tkService is a token service of our own on the server's store, with its own clock.
func tkService(t *testing.T, s *apitest.Server, store token.Store, now func() time.Time) *token.Service {
	t.Helper()
	recorder, err := audit.NewRecorder(s.App.Stores.Audit, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := token.NewKindRegistry(token.AccountKind)
	if err != nil {
		t.Fatal(err)
	}
	service, err := token.New(token.Deps{Store: store, Cache: s.App.Stores.Bearers, Kinds: kinds, Recorder: recorder, Now: now, TTL: time.Hour,
		Jitter: func(time.Duration) time.Duration { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func TestTokenStoreOutage(t *testing.T) {
	spy := &tkStore{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))
	b := s.SignedIn(t)
	bearer, id := tkLogin(t, s, b, "laptop")

	t.Run("TK-23 an outage is 503 and is not remembered as unknown", func(t *testing.T) {
		spy.set(func(s *tkStore) { s.broken = true })
		for range 3 {
			a := tkAsk(t, s, bearer, http.StatusServiceUnavailable, "service_unavailable")
			if a.Header.Get("Retry-After") != "2" || a.Header.Get("WWW-Authenticate") != "" || strings.Contains(a.Body, "sql.internal") {
				t.Fatalf("%v %s", a.Header, a.Body)
			}
		}
		spy.set(func(s *tkStore) { s.broken = false })
		tkAsk(t, s, bearer, http.StatusOK, "")
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.bearer_rejected'`); n != 0 {
			t.Fatal("an outage was recorded as a refused bearer")
		}
	})
	t.Run("TK-24 without its event nothing is revoked", func(t *testing.T) {
		spy.set(func(s *tkStore) { s.noAppend = true })
		for _, path := range []string{sessionsPath + "/self", sessionsPath + "/" + id} {
			wantAnswer(t, s.Bearer(t, bearer, http.MethodDelete, path), http.StatusServiceUnavailable, "service_unavailable")
			tkAsk(t, s, bearer, http.StatusOK, "")
		}
		spy.set(func(s *tkStore) { s.noAppend = false })
		if n := liveRows(t, s); n != 1 {
			t.Fatalf("%d live rows", n)
		}
		wantAnswer(t, s.Bearer(t, bearer, http.MethodDelete, sessionsPath+"/self"), http.StatusOK, "")
		tkAsk(t, s, bearer, http.StatusUnauthorized, "invalid_token")
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_revoked'`); n != 1 {
			t.Fatalf("%d events", n)
		}
	})
}
