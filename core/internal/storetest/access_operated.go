// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func accessOperated(t *testing.T, open OpenDurable) {
	byID := func(d Durable, id string) account.Account {
		t.Helper()
		a, err := d.Accounts.ByID(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}

	t.Run("an account comes back as it went in, and its e-mail is taken whatever its status", func(t *testing.T) {
		a, b := open(t)
		full, bare := fullAccount("ada@example.com"), account.Account{
			ID: canon.NewID(), Email: "bob@example.com", Name: "Bob", Status: account.Closed, CreatedAt: start, UpdatedAt: start,
		}
		a.within(t, func(ctx context.Context, tx access.Tx) error {
			return errors.Join(tx.AddAccount(ctx, full), tx.AddAccount(ctx, bare))
		})
		same(t, "full", byID(b, full.ID), full)
		same(t, "bare", byID(b, bare.ID), bare)
		for _, taken := range []account.Account{full, bare} {
			taken.ID = canon.NewID()
			err := b.Access.InTx(t.Context(), func(ctx context.Context, tx access.Tx) error {
				return errors.Join(tx.Append(ctx, event("x")), tx.AddAccount(ctx, taken))
			})
			if !errors.Is(err, access.ErrEmailTaken) {
				t.Errorf("%s: %v", taken.Email, err)
			}
		}
		if n := a.Count(t, `SELECT count(*) FROM accounts`); n != 2 || len(a.Events(t)) > 0 {
			t.Errorf("%d accounts, events %v", n, a.eventNames(t))
		}
	})

	t.Run("of two that take an e-mail at once one gets it", func(t *testing.T) {
		a, b := open(t)
		errs := make(chan error, 2)
		for _, d := range []Durable{a, b} {
			go func() {
				errs <- d.Access.InTx(context.WithoutCancel(t.Context()), func(ctx context.Context, tx access.Tx) error {
					return tx.AddAccount(ctx, account.Account{ID: canon.NewID(), Email: "ada@example.com", Name: "Ada", Status: account.Active, CreatedAt: start, UpdatedAt: start})
				})
			}()
		}
		one, two := <-errs, <-errs
		if (one == nil) == (two == nil) || !errors.Is(errors.Join(one, two), access.ErrEmailTaken) {
			t.Errorf("%v, %v", one, two)
		}
	})

	t.Run("mark and password change, and nothing else does", func(t *testing.T) {
		a, b := open(t)
		who, other := a.AddAccount(t, fullAccount("ada@example.com")), a.AddActive(t, "bob@example.com")
		for i, to := range []bool{false, true, true} {
			now := after(time.Duration(i+1) * time.Hour)
			b.within(t, func(ctx context.Context, tx access.Tx) error { return tx.SetAdministrator(ctx, who.ID, to, now) })
			who.DeploymentAdmin, who.UpdatedAt = to, now
			same(t, "marked", byID(a, who.ID), who)
		}
		for _, of := range []*account.Account{&who, &other} { // one had a hash, the other none
			b.within(t, func(ctx context.Context, tx access.Tx) error {
				return tx.ReplacePassword(ctx, of.ID, "new", after(5*time.Hour))
			})
			of.PasswordHash, of.UpdatedAt = "new", after(5*time.Hour)
			same(t, of.Email, byID(a, of.ID), *of)
		}
	})

	t.Run("a list is of all, of an e-mail, of a status, newest first, page by page", func(t *testing.T) {
		a, b := open(t)
		one, two, three := a.AddAccount(t, fullAccount("one@example.com")), a.AddActive(t, "two@example.com"), a.AddActive(t, "three@example.com")
		a.SetStatus(t, three.ID, account.Banned)
		three.Status = account.Banned
		for _, c := range []struct {
			name          string
			f             access.AccountFilter
			offset, limit int
			want          []account.Account
			total         int
		}{
			{"all", access.AccountFilter{}, 0, 10, []account.Account{three, two, one}, 3},
			{"first page", access.AccountFilter{}, 0, 2, []account.Account{three, two}, 3},
			{"second page", access.AccountFilter{}, 2, 2, []account.Account{one}, 3},
			{"past the end", access.AccountFilter{}, 4, 2, nil, 3},
			{"a status", access.AccountFilter{Status: account.Banned}, 0, 10, []account.Account{three}, 1},
			{"an e-mail", access.AccountFilter{Email: "two@example.com"}, 0, 10, []account.Account{two}, 1},
			{"both", access.AccountFilter{Email: "two@example.com", Status: account.Banned}, 0, 10, nil, 0},
			{"nobody", access.AccountFilter{Email: "eve@example.com"}, 0, 10, nil, 0},
		} {
			got, total, err := b.Access.ListAccounts(t.Context(), c.f, c.offset, c.limit)
			if err != nil || total != c.total {
				t.Fatalf("%s: total %d, %v", c.name, total, err)
			}
			same(t, c.name, got, c.want)
		}
		if _, _, err := b.Access.ListAccounts(cancelled(t), access.AccountFilter{}, 0, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
