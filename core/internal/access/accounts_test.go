// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

var bobsPassword = secret.New("a password of bob's")

func (b *bench) create(email string) (access.AccountMade, error) {
	b.t.Helper()
	return b.CreateAccount(b.t.Context(), access.NewAccount{Email: email, Name: "Bob", Password: bobsPassword}, operator)
}

func TestCreateAccount(t *testing.T) {
	t.Run("TK-16 TK-27 an account that is created takes its e-mail over", func(t *testing.T) {
		b := newBench(t)
		his, other := stranger("bob", "con-1"), stranger("eve", "con-1")
		his.Email = "bob@example.com"
		one, kept, adas := b.login(his), b.login(other), b.login(subjectOf(b.ada))
		before := b.approved(his)
		made, err := b.create("bob@example.com")
		if err != nil || made.Receipt.TokensRevoked != 1 || made.Email != "bob@example.com" || b.lives(one) || !b.lives(kept) || !b.lives(adas) {
			t.Fatalf("%+v, %v", made, err)
		}
		b.buries(one)
		b.refused(before, "epoch")
		b.refused(b.approved(his), "email_collision")

		a, err := b.World.Accounts.ByID(t.Context(), made.AccountID)
		if err != nil || a.Status != account.Active || a.DeploymentAdmin || a.Name != "Bob" || !a.CreatedAt.Equal(b.Clock.Now()) {
			t.Fatalf("%+v, %v", a, err)
		}
		if fits, _, err := b.Passwords.Verify(t.Context(), bobsPassword, a.PasswordHash); err != nil || !fits {
			t.Error("the password does not fit", err)
		}
		events := b.Recorded(t, "account.created")
		if len(events) != 1 || events[0].Actor != operator || events[0].SubjectKey != token.AccountKey(a.ID) {
			t.Fatalf("%+v", events)
		}
		if f := fields(t, events[0]); f["account_id"] != a.ID || f["email"] != a.Email || f["status"] != "active" || f["receipt_id"] != made.Receipt.ID {
			t.Errorf("%v", f)
		}
		if f := fields(t, b.Recorded(t, "oauth.token_revoked")[0]); f["reason"] != "email_became_account" {
			t.Errorf("%v", f)
		}
	})

	t.Run("an e-mail that is taken, and a password that breaks a rule, write nothing", func(t *testing.T) {
		b := newBench(t)
		accounts, events := b.Count(t, `SELECT count(*) FROM accounts`), len(b.Events(t))
		if _, err := b.create(email); !errors.Is(err, access.ErrEmailTaken) {
			t.Error(err)
		}
		_, err := b.CreateAccount(t.Context(), access.NewAccount{Email: "bob@example.com", Name: "Bob", Password: secret.New("short")}, operator)
		if !errors.Is(err, account.ErrPasswordTooShort) {
			t.Error(err)
		}
		if n := b.Count(t, `SELECT count(*) FROM accounts`); n != accounts || len(b.Events(t)) != events || b.Count(t, `SELECT coalesce(sum(epoch), 0) FROM subject_epochs`) != 0 {
			t.Errorf("%d accounts", n)
		}
	})

	t.Run("OUT-06 without its audit event nothing is kept", func(t *testing.T) {
		for _, step := range []string{"Tx.LockEpochs", "Tx.AddAccount", "Tx.BumpEpoch", "Tx.EndTokens", "Tx.EndedSince", "Tx.Append", "Tx.Commit"} {
			b := newBench(t)
			b.faults.Plan(storetest.Fault{Method: step})
			_, err := b.create("bob@example.com")
			unavailable(t, err)
			if n := b.Count(t, `SELECT count(*) FROM accounts WHERE email = 'bob@example.com'`); n != 0 {
				t.Errorf("%s: the account is there", step)
			}
		}
	})

	t.Run("a tombstone that cannot be written is a 503 after an account that was made", func(t *testing.T) {
		b := newBench(t)
		his := stranger("bob", "con-1")
		his.Email = "bob@example.com"
		m := b.login(his)
		b.tombs.Fail(fault.ErrUnavailable)
		_, err := b.create("bob@example.com")
		unavailable(t, err)
		if b.lives(m) {
			t.Error("the token lives")
		}
	})
}

func TestSetPassword(t *testing.T) {
	for _, tokens := range []bool{false, true} {
		t.Run(fmt.Sprintf("TK-27 browsers and approvals end, tokens: %t", tokens), func(t *testing.T) {
			b := newBench(t)
			m, browser, before := b.login(subjectOf(b.ada)), b.browse(b.ada), b.approved(subjectOf(b.ada))
			set, err := b.SetPassword(t.Context(), " ADA@example.com", bobsPassword, tokens, operator)
			want := map[bool]int{true: 1}[tokens]
			if err != nil || set.Receipt.ConsoleSessionsEnded != 1 || set.Receipt.TokensRevoked != want || set.Email != email || set.Status != account.Active {
				t.Fatalf("%+v, %v", set, err)
			}
			if b.signedIn(browser) || b.lives(m) == tokens {
				t.Errorf("browser %t, token %t", b.signedIn(browser), b.lives(m))
			}
			if tokens {
				b.buries(m)
			}
			b.refused(before, "epoch")
			a, err := b.World.Accounts.ByID(t.Context(), b.ada.ID)
			if err != nil {
				t.Fatal(err)
			}
			if fits, _, err := b.Passwords.Verify(t.Context(), bobsPassword, a.PasswordHash); err != nil || !fits {
				t.Error("the password does not fit", err)
			}
			events := b.Recorded(t, "account.password_changed")
			if len(events) != 1 || events[0].Actor != operator {
				t.Fatalf("%+v", events)
			}
			if f := fields(t, events[0]); f["account_id"] != b.ada.ID || f["session_id"] != nil || f["console_sessions_ended"] != 1.0 || f["tokens_revoked"] != float64(want) {
				t.Errorf("%v", f)
			}
		})
	}

	t.Run("of an account that never had one, and that is banned", func(t *testing.T) {
		b := newBench(t)
		a := b.AddAccount(t, account.Account{ID: canon.NewID(), Email: "bob@example.com", Name: "Bob", Status: account.Banned, CreatedAt: b.Clock.Now(), UpdatedAt: b.Clock.Now()})
		if set, err := b.SetPassword(t.Context(), a.ID, bobsPassword, false, operator); err != nil || set.Status != account.Banned {
			t.Fatalf("%+v, %v", set, err)
		}
		if got, _ := b.World.Accounts.ByID(t.Context(), a.ID); got.PasswordHash == "" || got.Status != account.Banned {
			t.Errorf("%+v", got)
		}
	})

	t.Run("nobody, a rule and an outage", func(t *testing.T) {
		b := newBench(t)
		was, _ := b.World.Accounts.ByID(t.Context(), b.ada.ID)
		if _, err := b.SetPassword(t.Context(), "bob@example.com", bobsPassword, false, operator); !errors.Is(err, account.ErrNotFound) {
			t.Error(err)
		}
		if _, err := b.SetPassword(t.Context(), email, secret.New("short"), false, operator); !errors.Is(err, account.ErrPasswordTooShort) {
			t.Error(err)
		}
		for _, step := range []string{"Tx.LockEpochs", "Tx.Account", "Tx.ReplacePassword", "Tx.EndBrowsers", "Tx.BumpEpoch", "Tx.EndTokens", "Tx.Append"} {
			b.faults.Plan(storetest.Fault{Method: step})
			_, err := b.SetPassword(t.Context(), email, bobsPassword, true, operator)
			unavailable(t, err)
			if a, _ := b.World.Accounts.ByID(t.Context(), b.ada.ID); a.PasswordHash != was.PasswordHash {
				t.Errorf("%s: the password is another one", step)
			}
		}
	})
}

func TestSetAdministrator(t *testing.T) {
	mark := func(b *bench, id string) bool {
		a, err := b.World.Accounts.ByID(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return a.DeploymentAdmin
	}
	t.Run("granted, again, and taken away", func(t *testing.T) {
		b := newBench(t)
		b.administrator("first@example.com")
		for _, c := range []struct{ to, changed bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
			change, err := b.SetAdministrator(t.Context(), email, c.to, operator)
			if err != nil || change.Changed != c.changed || change.Administrator != c.to || change.AccountID != b.ada.ID || mark(b, b.ada.ID) != c.to {
				t.Fatalf("%+v: %+v, %v", c, change, err)
			}
		}
		for _, name := range []string{"account.admin_granted", "account.admin_revoked"} {
			events := b.Recorded(t, name)
			if len(events) != 1 || events[0].Actor != operator || events[0].SubjectKey != token.AccountKey(b.ada.ID) || fields(t, events[0])["account_id"] != b.ada.ID {
				t.Errorf("%s: %+v", name, events)
			}
		}
	})
	t.Run("the last active one keeps the mark, a banned one does not count and gets none", func(t *testing.T) {
		b := newBench(t)
		first, second := b.administrator("first@example.com"), b.administrator("second@example.com")
		b.set(second.ID, account.Banned)
		if _, err := b.SetAdministrator(t.Context(), first.ID, false, operator); !errors.Is(err, access.ErrLastAdministrator) || !mark(b, first.ID) {
			t.Error(err)
		}
		if change, err := b.SetAdministrator(t.Context(), second.ID, false, operator); err != nil || !change.Changed {
			t.Errorf("of a banned one: %+v, %v", change, err)
		}
		if _, err := b.SetAdministrator(t.Context(), second.ID, true, operator); !errors.Is(err, access.ErrNotActive) || mark(b, second.ID) {
			t.Error(err)
		}
	})
	t.Run("of two that go at once one stays", func(t *testing.T) {
		b := newBench(t)
		all := []account.Account{b.administrator("first@example.com"), b.administrator("second@example.com")}
		var wg sync.WaitGroup
		errs := make([]error, len(all))
		for i, a := range all {
			wg.Go(func() { _, errs[i] = b.SetAdministrator(context.Background(), a.ID, false, operator) })
		}
		wg.Wait()
		if n := b.Count(t, `SELECT count(*) FROM accounts WHERE deployment_admin = $1`, true); n != 1 || (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("%d are left: %v", n, errs)
		}
	})
	t.Run("OUT-06 without its audit event nothing is kept", func(t *testing.T) {
		b := newBench(t)
		for _, step := range []string{"Tx.LockEpochs", "Tx.Account", "Tx.SetAdministrator", "Tx.Append"} {
			b.faults.Plan(storetest.Fault{Method: step})
			_, err := b.SetAdministrator(t.Context(), email, true, operator)
			unavailable(t, err)
			if mark(b, b.ada.ID) {
				t.Error(step)
			}
		}
	})
}

func TestListAccounts(t *testing.T) {
	b := newBench(t)
	bob := b.administrator("bob@example.com")
	page, err := b.ListAccounts(t.Context(), access.AccountFilter{}, 1, 1)
	if err != nil || page.Total != 2 || !page.HasMore || len(page.Data) != 1 || page.Data[0].ID != bob.ID || !page.Data[0].DeploymentAdmin || page.Data[0].HasPassword {
		t.Fatalf("%+v, %v", page, err)
	}
	page, err = b.ListAccounts(t.Context(), access.AccountFilter{Email: " ADA@example.com", Status: account.Active}, 1, 20)
	if err != nil || page.Total != 1 || page.HasMore || page.Data[0].Email != email {
		t.Fatalf("%+v, %v", page, err)
	}
	if page, err = b.ListAccounts(t.Context(), access.AccountFilter{Status: account.Closed}, 1, 20); err != nil || page.Data == nil || len(page.Data) != 0 {
		t.Fatalf("%+v, %v", page, err)
	}
	for i, bad := range []func() error{
		func() error {
			_, err := b.ListAccounts(t.Context(), access.AccountFilter{Email: "x"}, 1, 1)
			return err
		},
		func() error {
			_, err := b.ListAccounts(t.Context(), access.AccountFilter{Status: "x"}, 1, 1)
			return err
		},
		func() error { _, err := b.ListAccounts(t.Context(), access.AccountFilter{}, 0, 1); return err },
		func() error { _, err := b.ListAccounts(t.Context(), access.AccountFilter{}, 1, 201); return err },
	} {
		if err := bad(); !errors.Is(err, access.ErrTarget) {
			t.Errorf("%d: %v", i, err)
		}
	}
	b.faults.Plan(storetest.Fault{Method: "ListAccounts"})
	_, err = b.ListAccounts(t.Context(), access.AccountFilter{}, 1, 1)
	unavailable(t, err)
}
