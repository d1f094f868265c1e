// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func tokenContention(t *testing.T, open OpenDurable) {
	t.Run("TK-3 INV-9 INV-10 fifty logins of one device at once leave one live row", func(t *testing.T) {
		a, b := open(t)
		handles := []Durable{a, b}
		who := a.subject(t, "ada@example.com")
		type login struct {
			id       string
			previous secret.Digest
			err      error
		}
		logins := atOnce(contenders, func(i int) (l login) {
			l.err = handles[i%2].Tokens.InTx(context.Background(), func(ctx context.Context, tx token.Tx) (err error) {
				l.id, l.previous, err = tx.Upsert(ctx, device(who, "l", fmt.Sprint(i), start))
				return err
			})
			return l
		})
		replaced := map[secret.Digest]int{}
		for _, l := range logins {
			if l.err != nil {
				t.Fatal(l.err)
			}
			if l.id != logins[0].id {
				t.Fatalf("two ids: %s and %s", l.id, logins[0].id)
			}
			replaced[l.previous]++
		}
		// Each replaced another one's token, and the first replaced none.
		if len(replaced) != contenders || replaced[secret.Digest{}] != 1 {
			t.Fatalf("%d different tokens were replaced", len(replaced))
		}
		alive := 0
		for i := range contenders {
			if _, err := b.Tokens.ByDigest(t.Context(), digestOf(fmt.Sprint(i))); err == nil {
				alive++
			}
		}
		if n := a.Count(t, liveRows); n != 1 || alive != 1 {
			t.Fatalf("%d live rows, %d live tokens", n, alive)
		}
	})

	t.Run("INV-9 the index holds where a row is written past the upsert", func(t *testing.T) {
		a, b := open(t)
		handles := []Durable{a, b}
		who := a.subject(t, "ada@example.com")
		errs := atOnce(10, func(i int) error {
			s := device(who, "l", fmt.Sprint(i), start)
			_, err := handles[i%2].DB.Exec(context.Background(), `INSERT INTO oauth_access_tokens
				(id, subject_email, subject_issuer, subject_id, account_id, client_id, device_label, prefix, token_hash, created_at, expires_at, approved_at, grant_ref)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
				s.ID, who.Email, who.Issuer, who.ID, who.AccountID, s.ClientID, s.Label, s.Prefix, s.TokenHash[:], s.CreatedAt, s.ExpiresAt, s.ApprovedAt, s.GrantRef[:])
			return err
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			}
		}
		if won != 1 {
			t.Fatalf("%d live rows of one device", won)
		}
	})

	t.Run("TK-8 of many that end one session one succeeds", func(t *testing.T) {
		a, b := open(t)
		handles := []Durable{a, b}
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", start))
		won := 0
		for _, ok := range atOnce(20, func(i int) (ok bool) {
			err := handles[i%2].Tokens.InTx(context.Background(), func(ctx context.Context, tx token.Tx) (err error) {
				_, ok, err = tx.End(ctx, s.ID, token.ReasonExpired, start)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			return ok
		}) {
			if ok {
				won++
			}
		}
		if won != 1 {
			t.Fatalf("%d ended it", won)
		}
	})
}

func tokenTransactions(t *testing.T, open OpenDurable) {
	t.Run("an account as of the transaction, or none", func(t *testing.T) {
		a, b := open(t)
		want := a.AddAccount(t, fullAccount("ada@example.com"))
		b.inTx(t, func(ctx context.Context, tx token.Tx) error {
			got, err := tx.Account(ctx, want.ID)
			same(t, "account", got, want)
			if _, err := tx.Account(ctx, canon.NewID()); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("an unknown one: %v, want %v", err, account.ErrNotFound)
			}
			return err
		})
	})

	t.Run("OUT-06 TK-24 what is rolled back leaves nothing, its events neither", func(t *testing.T) {
		a, b := open(t)
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", start))
		boom := errors.New("boom")
		err := a.Tokens.InTx(t.Context(), func(ctx context.Context, tx token.Tx) error {
			_, _, upsert := tx.Upsert(ctx, device(s.Subject, "new", "new", start))
			_, ok, end := tx.End(ctx, s.ID, token.ReasonUser, start)
			if !ok {
				t.Error("did not end")
			}
			return errors.Join(upsert, end, tx.BumpEpoch(ctx, epochKey, "test", start), tx.Append(ctx, event("x"), event("y")), boom)
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		same(t, "the session", b.resolve(t, s.TokenHash), s)
		b.dead(t, digestOf("new"))
		if got := b.Events(t); len(got) > 0 || b.epoch(t, epochKey) != 0 {
			t.Fatalf("events %v, epoch %d", b.eventNames(t), b.epoch(t, epochKey))
		}
	})

	t.Run("a cancelled context writes nothing", func(t *testing.T) {
		a, b := open(t)
		s := a.login(t, device(a.subject(t, "ada@example.com"), "l", "one", start))
		ctx := cancelled(t)
		_, byDigest := a.Tokens.ByDigest(ctx, s.TokenHash)
		_, _, list := a.Tokens.List(ctx, s.Subject, start, 0, 1)
		_, _, find := a.Tokens.Find(ctx, s.Subject, s.ID)
		_, _, epochs := a.Tokens.Epochs(ctx, []string{epochKey})
		for name, err := range map[string]error{
			"InTx":     a.Tokens.InTx(ctx, func(context.Context, token.Tx) error { t.Error("ran"); return nil }),
			"ByDigest": byDigest, "List": list, "Find": find, "Epochs": epochs,
			"TouchUsed": a.Tokens.TouchUsed(ctx, []token.Use{{ID: s.ID, At: start}}),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		same(t, "the session", b.resolve(t, s.TokenHash), s)
	})

	t.Run("a context that ends in the middle writes nothing", func(t *testing.T) {
		a, b := open(t)
		who := a.subject(t, "ada@example.com")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := a.Tokens.InTx(ctx, func(ctx context.Context, tx token.Tx) error {
			if _, _, err := tx.Upsert(ctx, device(who, "l", "one", start)); err != nil {
				return err
			}
			cancel()
			return tx.Append(ctx, event("x"))
		})
		if err == nil || errors.Is(err, token.ErrCommitUnknown) {
			t.Fatalf("in transaction: %v, want a failure of a statement", err)
		}
		b.dead(t, digestOf("one"))
	})
}
