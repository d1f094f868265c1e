// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func tokenEnds(t *testing.T, open OpenDurable) {
	t.Run("one ends once and says what it was", func(t *testing.T) {
		a, b := open(t)
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", start))
		kept := a.login(t, device(s.Subject, "kept", "two", start))
		got, ok := a.end(t, s.ID, after(time.Minute))
		if !ok {
			t.Fatal("did not end")
		}
		same(t, "ended", got, token.Ended{ID: s.ID, Previous: s.TokenHash, Subject: s.Subject, ClientID: s.ClientID})
		b.dead(t, s.TokenHash)
		same(t, "kept", b.resolve(t, kept.TokenHash), kept)
		if n := b.Count(t, `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at = $1 AND revoke_reason = 'user' AND previous_hash = $2 AND token_hash IS NULL`,
			after(time.Minute), s.TokenHash[:]); n != 1 {
			t.Errorf("%d rows keep when, why and which hash", n)
		}
		if again, ok := b.end(t, s.ID, after(time.Hour)); ok {
			t.Errorf("ended twice: %+v", again)
		}
		if n := b.Count(t, `SELECT count(*) FROM oauth_access_tokens WHERE revoked_at = $1`, after(time.Minute)); n != 1 {
			t.Error("the second end moved the time of the first")
		}
		if _, ok := b.end(t, canon.NewID(), start); ok {
			t.Error("an unknown one ended")
		}
	})

	endAll := func(t *testing.T, d Durable, who token.Subject, but string) (out []token.Ended) {
		t.Helper()
		d.inTx(t, func(ctx context.Context, tx token.Tx) (err error) {
			out, err = tx.EndAll(ctx, who, but, token.ReasonUser, start)
			return err
		})
		slices.SortFunc(out, func(x, y token.Ended) int { return cmp.Compare(x.ID, y.ID) })
		return out
	}
	as := func(s token.Session) token.Ended {
		return token.Ended{ID: s.ID, Previous: s.TokenHash, Subject: s.Subject, ClientID: s.ClientID}
	}

	t.Run("all of a subject end but the one that is named", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		one, two, kept := a.login(t, device(who, "1", "one", start)), a.login(t, device(who, "2", "two", start)), a.login(t, device(who, "3", "three", start))
		a.end(t, a.login(t, device(who, "4", "four", start)).ID, start)
		expired := a.login(t, device(who, "5", "five", after(-30*24*time.Hour)))
		external := device(token.Subject{Issuer: "https://idp.example.com", ID: who.ID, Email: who.Email}, "1", "external", start)
		external.Prefix = "dfoe_"
		foreign := []token.Session{a.login(t, device(a.subject(t, "bob@example.com"), "1", "foreign", start)), a.login(t, external)}

		same(t, "ended", endAll(t, a, who, kept.ID), []token.Ended{as(one), as(two), as(expired)})
		b.dead(t, one.TokenHash, two.TokenHash, expired.TokenHash)
		for _, s := range append(foreign, kept) {
			same(t, "kept", b.resolve(t, s.TokenHash), s)
		}
		if again := endAll(t, b, who, kept.ID); len(again) > 0 {
			t.Errorf("ended twice: %+v", again)
		}
		same(t, "the last", endAll(t, b, who, ""), []token.Ended{as(kept)})
	})

	t.Run("all of a subject without an account end, and no account's", func(t *testing.T) {
		a, b := open(t)
		who := token.Subject{Issuer: "https://idp.example.com", ID: "ada", Email: "ada@example.com"}
		mine, other := device(who, "1", "one", start), device(token.Subject{Issuer: who.Issuer, ID: "bob", Email: "bob@example.com"}, "1", "two", start)
		mine.Prefix, other.Prefix = "dfoe_", "dfoe_"
		a.login(t, mine)
		a.login(t, other)
		kept := a.login(t, device(a.subject(t, who.Email), "1", "account", start))
		same(t, "ended", endAll(t, a, who, ""), []token.Ended{as(mine)})
		for _, s := range []token.Session{other, kept} {
			same(t, "kept", b.resolve(t, s.TokenHash), s)
		}
	})
}
