// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
)

// neverMinted has the shape of a token.
var neverMinted = "dfoa_" + strings.Repeat("A", 43)

func TestIntrospect(t *testing.T) {
	t.Run("TK-20 a live token, and that nothing of it moves", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		for range 2 { // out of the registry, then out of the cache
			who, live, err := b.Introspect(t.Context(), m.Token.Reveal())
			if err != nil || !live || who.SessionID != m.Session.ID || who.Kind.Prefix != "dfoa_" || who.Subject != b.subject() || who.ClientID != "difyctl" || !who.ExpiresAt.Equal(m.Session.ExpiresAt) {
				t.Fatalf("%+v %t %v", who, live, err)
			}
		}
		if err := b.FlushUsage(t.Context()); err != nil || b.faults.Calls("TouchUsed") != 0 {
			t.Fatalf("its last use moved: %v", err)
		}
	})
	t.Run("TK-20 what is not live for any reason", func(t *testing.T) {
		for name, kill := range map[string]func(b *bench, m token.Minted){
			"revoked":        func(b *bench, m token.Minted) { _ = b.Revoke(b.t.Context(), m.Token.Reveal(), "") },
			"rotated":        func(b *bench, m token.Minted) { b.minted(b.request("l")) },
			"expired":        func(b *bench, m token.Minted) { b.Clock.Advance(life) },
			"account banned": func(b *bench, m token.Minted) { b.SetStatus(b.t, b.ada.ID, account.Banned) },
		} {
			b := newBench(t)
			m := b.minted(b.request("l"))
			kill(b, m)
			if who, live, err := b.Introspect(t.Context(), m.Token.Reveal()); live || err != nil || who.SessionID != "" {
				t.Errorf("%s: %+v %t %v", name, who, live, err)
			}
		}
		b := newBench(t)
		for _, presented := range []string{"", "x", neverMinted, "dfoe_" + strings.Repeat("A", 43), "app-" + strings.Repeat("a", 24)} {
			if _, live, err := b.Introspect(t.Context(), presented); live || err != nil {
				t.Errorf("%q: %t %v", presented, live, err)
			}
		}
	})
	t.Run("TK-20 an outage is no verdict", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.faults.Plan(storetest.Fault{Method: "ByDigest"})
		_, live, err := b.Introspect(t.Context(), m.Token.Reveal())
		if b.unavailable(err); live {
			t.Error("live")
		}
	})
}

func TestRevoke(t *testing.T) {
	revoke := func(b *bench, m token.Minted) error { return b.Revoke(b.t.Context(), m.Token.Reveal(), "") }
	// ok fails unless one call of Revoke succeeds.
	ok := func(b *bench, presented, clientID string) {
		b.t.Helper()
		if err := b.Revoke(b.t.Context(), presented, clientID); err != nil {
			b.t.Fatalf("%q: %v", presented, err)
		}
	}

	t.Run("TK-22 a live token ends for its reason, on record as its subject's act", func(t *testing.T) {
		b := newBench(t)
		m, other := b.minted(b.request("l")), b.minted(b.request("other"))
		b.alive(m)
		ok(b, m.Token.Reveal(), "difyctl")
		b.dead(m, token.CauseRevoked)
		b.alive(other)
		ok(b, m.Token.Reveal(), "")
		ok(b, m.Token.Reveal(), "another")
		events := b.Recorded(t, "oauth.token_revoked")
		if len(events) != 1 || events[0].Actor != audit.Account(b.ada.ID) || events[0].TokenID != m.Session.ID || fields(t, events[0])["reason"] != "rfc7009" {
			t.Fatalf("events %+v", events)
		}
		if n := b.Count(t, `SELECT count(*) FROM oauth_access_tokens WHERE revoke_reason = 'rfc7009'`); n != 1 {
			t.Fatalf("%d rows", n)
		}
	})
	t.Run("TK-22 another client's token stays", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		if err := b.Revoke(t.Context(), m.Token.Reveal(), "difyauth"); !errors.Is(err, token.ErrOtherClient) {
			t.Fatal(err)
		}
		b.alive(m)
	})
	t.Run("TK-22 what is no token of ours touches no store, what is unknown changes no row", func(t *testing.T) {
		b := newBench(t)
		for _, presented := range []string{"", "x", "dfoa_", "dfoe_" + strings.Repeat("A", 43), "app-" + strings.Repeat("a", 24)} {
			ok(b, presented, "")
		}
		if n := b.faults.Total(); n != 0 {
			t.Fatalf("%d calls", n)
		}
		ok(b, neverMinted, "difyctl")
		if n := len(b.Recorded(t, "oauth.token_revoked")); n != 0 {
			t.Fatalf("%d events", n)
		}
	})
	t.Run("a token that ran out keeps that reason", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.Clock.Advance(life)
		ok(b, m.Token.Reveal(), "")
		if n := b.Count(t, `SELECT count(*) FROM oauth_access_tokens WHERE revoke_reason = 'expired'`); n != 1 || len(b.Recorded(t, "oauth.token_revoked")) != 0 {
			t.Fatalf("%d rows", n)
		}
	})
	t.Run("a token of a banned account can be ended", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.SetStatus(t, b.ada.ID, account.Banned)
		ok(b, m.Token.Reveal(), "")
		b.SetStatus(t, b.ada.ID, account.Active)
		b.dead(m, token.CauseRevoked)
	})
	t.Run("a login that rotates the row meanwhile is left alone", func(t *testing.T) {
		b := newBench(t)
		old := b.minted(b.request("l"))
		var fresh token.Minted
		b.faults.Plan(storetest.Fault{Method: "InTx", On: 2, Mode: storetest.Pass, Before: func() { fresh = b.minted(b.request("l")) }})
		ok(b, old.Token.Reveal(), "")
		b.dead(old, token.CauseRevoked)
		b.alive(fresh)
		if n := len(b.Recorded(t, "oauth.token_revoked")); n != 0 {
			t.Fatalf("%d events", n)
		}
	})
	t.Run("TK-20 of two ends at once one is on record", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.faults.Plan(storetest.Fault{Method: "InTx", On: 2, Mode: storetest.Pass, Before: func() {
			if err := b.End(t.Context(), b.subject(), m.Session.ID, token.ReasonUser, audit.System); err != nil {
				t.Error(err)
			}
		}})
		ok(b, m.Token.Reveal(), "")
		b.dead(m, token.CauseRevoked)
		if n := len(b.Recorded(t, "oauth.token_revoked")); n != 1 {
			t.Fatalf("%d events", n)
		}
	})
	t.Run("TK-24 OUT-06 what cannot be put on record does not end", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		for _, at := range []string{"ByDigest", "InTx", "Tx.End", "Tx.Append", "Tx.Commit"} {
			b.faults.Clear()
			b.faults.Plan(storetest.Fault{Method: at})
			b.unavailable(revoke(b, m))
		}
		b.faults.Clear()
		b.alive(m)
	})
	t.Run("TK-11 without its tombstone it is 503, and the repeat writes the tombstone before its 200", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.alive(m) // a positive is in the cache
		b.faults.Plan(storetest.Fault{Method: "Cache.Bury"})
		b.unavailable(revoke(b, m))
		b.unavailable(revoke(b, m)) // the registry knows it no longer
		b.alive(m)                  // out of the cache, for LiveFor at most
		b.faults.Clear()
		ok(b, m.Token.Reveal(), "")
		b.dead(m, token.CauseRevoked)
	})
	t.Run("TK-10 a warm cache, and the very next request is refused", func(t *testing.T) {
		b := newBench(t)
		m := b.minted(b.request("l"))
		b.alive(m)
		ok(b, m.Token.Reveal(), "")
		b.dead(m, token.CauseRevoked)
		b.Clock.Advance(token.BuriedFor + time.Second)
		b.dead(m, token.CauseUnknown)
	})
	t.Run("TK-31 a tombstone that a stranger had written hides no fresh token", func(t *testing.T) {
		b := newBench(t)
		drawn := strings.Repeat("B", 42) + "A"
		b.draws = []string{drawn}
		ok(b, "dfoa_"+drawn, "")
		b.alive(b.minted(b.request("l")))
	})
}
