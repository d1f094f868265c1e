// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// oaCache cannot write tombstones while it is told so.
type oaCache struct {
	token.Cache
	fails atomic.Bool
}

func (c *oaCache) wrap(st *app.Stores) { c.Cache, st.Bearers = st.Bearers, c }

func (c *oaCache) Bury(ctx context.Context, now time.Time, digests ...secret.Digest) error {
	if c.fails.Load() {
		return errors.New("the cache is down")
	}
	return c.Cache.Bury(ctx, now, digests...)
}

func oaWantEmpty(t testing.TB, a apitest.Answer) {
	t.Helper()
	if a.Status != http.StatusOK || a.Body != `{}` || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
	}
}

func TestRevocation(t *testing.T) {
	store, cache := &tkStore{}, &oaCache{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(func(st *app.Stores) { store.wrap(st); cache.wrap(st) }))
	b := s.SignedIn(t)
	form := func(v url.Values, headers ...string) apitest.Answer { return s.Form(t, revokePath, v, headers...) }
	revoked := func(id string) int {
		return sqlInt(t, s, `SELECT count(*) FROM oauth_access_tokens WHERE id = $1 AND revoke_reason = 'rfc7009' AND token_hash IS NULL`, id)
	}

	t.Run("TK-22 TK-10 a live token by form, and the next request with it is refused", func(t *testing.T) {
		live, id := tkLogin(t, s, b, "form")
		other, _ := tkLogin(t, s, b, "other")
		tkAsk(t, s, live, http.StatusOK, "")
		oaWantEmpty(t, form(url.Values{"token": {live}, "token_type_hint": {"refresh_token"}}))
		tkAsk(t, s, live, http.StatusUnauthorized, "invalid_token")
		tkAsk(t, s, other, http.StatusOK, "")
		if revoked(id) != 1 {
			t.Error("the row does not say so")
		}
		if got := sqlText(t, s, `SELECT actor_type || actor_id FROM audit_events WHERE event = 'oauth.token_revoked' AND token_id = $1`, id); got != "account"+ownerID(t, s) {
			t.Errorf("actor %q", got)
		}
		if f := eventFields(t, s, "oauth.token_revoked"); f["reason"] != "rfc7009" || f["token_id"] != id {
			t.Error(f)
		}
		for range 2 {
			oaWantEmpty(t, form(url.Values{"token": {live}}))
		}
		if n := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_revoked' AND token_id = $1`, id); n != 1 {
			t.Errorf("%d events", n)
		}
	})
	t.Run("TK-22 by JSON, with its client", func(t *testing.T) {
		live, id := tkLogin(t, s, b, "json")
		oaWantEmpty(t, s.Post(t, revokePath, map[string]any{"token": live, "client_id": "difyctl", "more": 1}))
		if revoked(id) != 1 {
			t.Error("the row does not say so")
		}
		tkAsk(t, s, live, http.StatusUnauthorized, "invalid_token")
	})
	t.Run("TK-22 another client is refused", func(t *testing.T) {
		live, _ := tkLogin(t, s, b, "client")
		for _, a := range []apitest.Answer{form(url.Values{"token": {live}, "client_id": {"difyauth"}}), s.Post(t, revokePath, map[string]any{"token": live, "client_id": "x"})} {
			if a.Status != http.StatusBadRequest || a.Body != `{"error":"invalid_grant"}` {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		tkAsk(t, s, live, http.StatusOK, "")
		oaWantEmpty(t, form(url.Values{"token": {live}, "client_id": {""}})) // RFC 6749 section 3.1: as if it were not there
	})
	t.Run("TK-22 what is unknown or no token of ours", func(t *testing.T) {
		before := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_revoked'`)
		for _, presented := range []string{unknownToken, "x", "app-" + strings.Repeat("a", 24), "dfoe_" + strings.Repeat("A", 43), unknownCode.Device, "日本"} {
			oaWantEmpty(t, form(url.Values{"token": {presented}}))
		}
		if after := sqlInt(t, s, `SELECT count(*) FROM audit_events WHERE event = 'oauth.token_revoked'`); after != before {
			t.Error("something ended")
		}
	})
	t.Run("TK-22 no credential is looked at beside the token", func(t *testing.T) {
		for _, header := range []string{"Bearer garbage", "Basic Og==", "Bearer " + unknownToken} {
			live, _ := tkLogin(t, s, b, "alone")
			oaWantEmpty(t, form(url.Values{"token": {live}}, "Authorization", header))
			tkAsk(t, s, live, http.StatusUnauthorized, "invalid_token")
		}
	})
	t.Run("TK-22 a bearer names no token to end", func(t *testing.T) {
		live, _ := tkLogin(t, s, b, "bearer")
		for _, a := range []apitest.Answer{
			form(url.Values{}, "Authorization", "Bearer "+live), s.Post(t, revokePath, map[string]any{}, "Authorization", "Bearer "+live),
			form(url.Values{"token": {""}}), s.Post(t, revokePath, map[string]any{"token": nil}), s.Post(t, revokePath, map[string]any{"token": 1}),
			s.Post(t, revokePath+"?token="+live, map[string]any{}), s.Post(t, revokePath, map[string]any{"TOKEN": live}),
		} {
			wantAnswer(t, a, http.StatusBadRequest, "bad_request")
			if a.JSON(t)["error"] != "invalid_request" {
				t.Fatal(a.Body)
			}
		}
		wantAnswer(t, s.Call(t, http.MethodPost, revokePath, `{"token":1,"token":2}`, "Content-Type", "application/json"), http.StatusBadRequest, "invalid_json")
		tkAsk(t, s, live, http.StatusOK, "")
	})
	t.Run("TK-24 OUT-06 what cannot be put on record does not end", func(t *testing.T) {
		live, _ := tkLogin(t, s, b, "record")
		store.set(func(s *tkStore) { s.noAppend = true })
		a := form(url.Values{"token": {live}})
		store.set(func(s *tkStore) { s.noAppend = false })
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
		if a.JSON(t)["error"] != "temporarily_unavailable" {
			t.Fatal(a.Body)
		}
		tkAsk(t, s, live, http.StatusOK, "")
	})
	t.Run("TK-11 without its tombstone 503 and the row revoked, and the repeat is 200 and holds at once", func(t *testing.T) {
		live, id := tkLogin(t, s, b, "tombstone")
		tkAsk(t, s, live, http.StatusOK, "") // remembered
		cache.fails.Store(true)
		wantAnswer(t, form(url.Values{"token": {live}}), http.StatusServiceUnavailable, "service_unavailable")
		if revoked(id) != 1 {
			t.Error("the row lives")
		}
		wantAnswer(t, form(url.Values{"token": {live}}), http.StatusServiceUnavailable, "service_unavailable")
		cache.fails.Store(false)
		oaWantEmpty(t, form(url.Values{"token": {live}}))
		tkAsk(t, s, live, http.StatusUnauthorized, "invalid_token")
	})
}
