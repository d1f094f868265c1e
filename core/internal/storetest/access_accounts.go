// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func accessAccounts(t *testing.T, open OpenDurable) {
	t.Run("links", func(t *testing.T) {
		a, b := open(t)
		who := a.AddActive(t, "ada@example.com")
		a.AddIdentity(t, who.ID, idp, "ada")
		for _, c := range []struct{ issuer, id, want string }{{idp, "ada", who.ID}, {idp, "bob", ""}, {idp + "/2", "ada", ""}, {idp, "ADA", ""}} {
			got, err := b.Access.Linked(t.Context(), c.issuer, c.id)
			if err != nil || got != c.want {
				t.Errorf("%s %s: %q, %v", c.issuer, c.id, got, err)
			}
			b.within(t, func(ctx context.Context, tx access.Tx) error {
				got, err := tx.Linked(ctx, c.issuer, c.id)
				if got != c.want {
					t.Errorf("in transaction, %s %s: %q", c.issuer, c.id, got)
				}
				return err
			})
		}
	})

	t.Run("what keeps a person without an account from a token", func(t *testing.T) {
		a, b := open(t)
		who := a.AddActive(t, "ada@example.com")
		a.AddIdentity(t, who.ID, idp, "linked")
		for _, c := range []struct {
			name               string
			status             account.Status
			s                  token.Subject
			emailTaken, linked bool
		}{
			{"nothing", account.Active, external(idp, "x", "x@example.com", ""), false, false},
			{"their e-mail is an account's", account.Active, external(idp, "x", "ada@example.com", ""), true, false},
			{"their e-mail is a pending account's", account.Pending, external(idp, "x", "ada@example.com", ""), false, false},
			{"their e-mail is a closed account's", account.Closed, external(idp, "x", "ada@example.com", ""), false, false},
			{"their identity is linked", account.Banned, external(idp, "linked", "x@example.com", ""), false, true},
			{"both", account.Active, external(idp, "linked", "ada@example.com", ""), true, true},
		} {
			a.SetStatus(t, who.ID, c.status)
			b.inTx(t, func(ctx context.Context, tx token.Tx) error {
				taken, linked, err := tx.External(ctx, c.s)
				if taken != c.emailTaken || linked != c.linked {
					t.Errorf("%s: %t, %t", c.name, taken, linked)
				}
				return err
			})
		}
	})

	t.Run("a status changes and nothing beside it", func(t *testing.T) {
		a, b := open(t)
		who, other := a.AddAccount(t, fullAccount("ada@example.com")), a.AddAccount(t, fullAccount("bob@example.com"))
		a.within(t, func(ctx context.Context, tx access.Tx) error {
			return tx.SetStatus(ctx, who.ID, account.Banned, after(time.Hour))
		})
		who.Status, who.UpdatedAt = account.Banned, after(time.Hour)
		for _, want := range []account.Account{who, other} {
			got, err := b.Accounts.ByID(t.Context(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			same(t, want.Email, got, want)
		}
	})

	t.Run("other administrators are active ones", func(t *testing.T) {
		a, b := open(t)
		admin := func(email string, s account.Status, is bool) string {
			acc := fullAccount(email)
			acc.Status, acc.DeploymentAdmin = s, is
			return a.AddAccount(t, acc).ID
		}
		one, two := admin("1@example.com", account.Active, true), admin("2@example.com", account.Active, true)
		admin("3@example.com", account.Banned, true)
		admin("4@example.com", account.Active, false)
		for but, want := range map[string]int{one: 1, two: 1, canon.NewID(): 2} {
			b.within(t, func(ctx context.Context, tx access.Tx) error {
				got, err := tx.OtherAdministrators(ctx, but)
				if got != want {
					t.Errorf("%d, want %d", got, want)
				}
				return err
			})
		}
	})

	t.Run("a password changes from what it was, and of an active account alone", func(t *testing.T) {
		a, b := open(t)
		who := a.AddAccount(t, fullAccount("ada@example.com"))
		set := func(old, hash string) (ok bool) {
			b.within(t, func(ctx context.Context, tx access.Tx) (err error) {
				ok, err = tx.SetPassword(ctx, who.ID, old, hash, after(time.Hour))
				return err
			})
			return ok
		}
		if set("other", "new") || set("", "new") || !set(who.PasswordHash, "new") {
			t.Error("the old hash does not decide")
		}
		want := who
		want.PasswordHash, want.UpdatedAt = "new", after(time.Hour)
		got, err := a.Accounts.ByID(t.Context(), who.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "account", got, want)
		a.SetStatus(t, who.ID, account.Banned)
		if set("new", "newer") {
			t.Error("a banned account's password changed")
		}
	})
}

func accessBrowsers(t *testing.T, open OpenDurable) {
	t.Run("one, an account's, a connection's", func(t *testing.T) {
		a, b := open(t)
		ada, bob := a.AddActive(t, "ada@example.com"), a.AddActive(t, "bob@example.com")
		begin := func(who account.Account, value, connection string) console.Session {
			s := a.begin(t, browser(who.ID, value, start))
			if connection != "" {
				a.ThroughConnection(t, s.ID, connection)
				s.How = "sso"
			}
			return s
		}
		one := begin(ada, "one", "")
		begin(ada, "two", "con-1")
		begin(bob, "three", "con-1")
		kept, other := begin(bob, "four", ""), begin(bob, "five", "con-2")

		b.within(t, func(ctx context.Context, tx access.Tx) error {
			foreign, err1 := tx.EndBrowser(ctx, bob.ID, one.ID)
			unknown, err2 := tx.EndBrowser(ctx, ada.ID, canon.NewID())
			if foreign || unknown {
				t.Error("a session ended that the account does not have")
			}
			n, err3 := tx.EndBrowsersOf(ctx, "con-1")
			if n != 2 {
				t.Errorf("%d sessions of the connection", n)
			}
			return errors.Join(err1, err2, err3)
		})
		same(t, "ada's", a.browsers(t, ada.ID), []console.Session{one})
		same(t, "bob's", a.browsers(t, bob.ID), []console.Session{other, kept})

		fresh := browser(ada.ID, "fresh", after(time.Hour))
		b.within(t, func(ctx context.Context, tx access.Tx) error {
			ok, err1 := tx.EndBrowser(ctx, ada.ID, one.ID)
			again, err2 := tx.EndBrowser(ctx, ada.ID, one.ID)
			n, err3 := tx.EndBrowsers(ctx, bob.ID)
			if !ok || again || n != 2 {
				t.Errorf("ended %t, again %t, all %d", ok, again, n)
			}
			return errors.Join(err1, err2, err3, tx.BeginBrowser(ctx, fresh))
		})
		same(t, "ada's", a.browsers(t, ada.ID), []console.Session{fresh})
		if got := a.browsers(t, bob.ID); len(got) > 0 {
			t.Errorf("bob's: %+v", got)
		}
	})
}

func accessLists(t *testing.T, open OpenDurable) {
	t.Run("live rows of everybody, of an e-mail, of an account, page by page", func(t *testing.T) {
		a, b := open(t)
		ada, bob := a.subject(t, "ada@example.com"), a.subject(t, "bob@example.com")
		r1 := a.login(t, device(ada, "1", "1", after(time.Second)))
		r2 := a.login(t, guest(external(idp, ada.ID, "ada@example.com", "con-1"), "1", "2", after(2*time.Second)))
		r3 := a.login(t, device(bob, "1", "3", after(3*time.Second)))
		a.end(t, a.login(t, device(ada, "ended", "ended", after(time.Hour))).ID, start)
		a.login(t, device(ada, "expired", "expired", after(-14*24*time.Hour)))
		for _, c := range []struct {
			name          string
			f             access.TokenFilter
			offset, limit int
			want          []token.Session
			total         int
		}{
			{"everybody", access.TokenFilter{}, 0, 10, []token.Session{r3, r2, r1}, 3},
			{"first page", access.TokenFilter{}, 0, 2, []token.Session{r3, r2}, 3},
			{"second page", access.TokenFilter{}, 2, 2, []token.Session{r1}, 3},
			{"past the end", access.TokenFilter{}, 4, 2, nil, 3},
			{"an e-mail", access.TokenFilter{Email: "ada@example.com"}, 0, 10, []token.Session{r2, r1}, 2},
			{"an account", access.TokenFilter{AccountID: ada.ID}, 0, 10, []token.Session{r1}, 1},
			{"both", access.TokenFilter{Email: "bob@example.com", AccountID: ada.ID}, 0, 10, nil, 0},
			{"nobody", access.TokenFilter{Email: "eve@example.com"}, 0, 10, nil, 0},
		} {
			got, total, err := b.Access.List(t.Context(), c.f, start, c.offset, c.limit)
			if err != nil || total != c.total {
				t.Fatalf("%s: total %d, %v", c.name, total, err)
			}
			same(t, c.name, got, c.want)
		}
	})
}

func accessTransactions(t *testing.T, open OpenDurable) {
	t.Run("OUT-06 what is rolled back leaves nothing, its events neither", func(t *testing.T) {
		a, b := open(t)
		who := a.AddAccount(t, fullAccount("ada@example.com"))
		subject := token.AccountSubject(who.ID, who.Email)
		s, browsed := a.login(t, device(subject, "l", "one", start)), a.begin(t, browser(who.ID, "one", start))
		who, _ = b.Accounts.ByID(t.Context(), who.ID)
		boom := errors.New("boom")
		err := a.Access.InTx(t.Context(), func(ctx context.Context, tx access.Tx) error {
			ended, end := tx.EndTokens(ctx, access.Rows{Issuer: token.AccountIssuer, SubjectID: who.ID}, token.ReasonAdmin, start)
			n, browsers := tx.EndBrowsers(ctx, who.ID)
			ok, password := tx.SetPassword(ctx, who.ID, who.PasswordHash, "new", start)
			if len(ended) != 1 || n != 1 || !ok {
				t.Errorf("%d tokens, %d browsers, password %t", len(ended), n, ok)
			}
			return errors.Join(end, browsers, password, tx.SetStatus(ctx, who.ID, account.Banned, start), tx.BumpEpoch(ctx, epochKey, "test", start),
				tx.BeginBrowser(ctx, browser(who.ID, "fresh", start)), tx.Append(ctx, event("x")), boom)
		})
		if !errors.Is(err, boom) || errors.Is(err, token.ErrCommitUnknown) {
			t.Fatal(err)
		}
		same(t, "the token", b.resolve(t, s.TokenHash), s)
		same(t, "the browsers", b.browsers(t, who.ID), []console.Session{browsed})
		got, err := b.Accounts.ByID(t.Context(), who.ID)
		same(t, "the account", got, who)
		if events := b.Events(t); err != nil || len(events) > 0 || b.epoch(t, epochKey) != 0 {
			t.Fatalf("events %v, epoch %d, %v", b.eventNames(t), b.epoch(t, epochKey), err)
		}
	})

	t.Run("a cancelled context writes nothing", func(t *testing.T) {
		a, _ := open(t)
		ctx := cancelled(t)
		_, linked := a.Access.Linked(ctx, idp, "ada")
		_, _, list := a.Access.List(ctx, access.TokenFilter{}, start, 0, 1)
		for name, err := range map[string]error{
			"InTx": a.Access.InTx(ctx, func(context.Context, access.Tx) error { t.Error("ran"); return nil }), "Linked": linked, "List": list,
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
