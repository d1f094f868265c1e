// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	oldPassword = "the old password"
	newPassword = "the new password"
)

// person is an account with a password, signed in.
func (b *bench) person() (account.Account, console.Issued) {
	b.t.Helper()
	hash, err := b.Passwords.Hash(b.t.Context(), secret.New(oldPassword))
	if err != nil {
		b.t.Fatal(err)
	}
	a := b.AddAccount(b.t, account.Account{ID: canon.NewID(), Email: "pat@example.com", Name: "Pat", PasswordHash: hash, Status: account.Active,
		CreatedAt: b.Clock.Now(), UpdatedAt: b.Clock.Now()})
	return a, b.browse(a)
}

func (b *bench) change(s console.Issued, old, fresh string, tokens bool) (console.Issued, error) {
	b.t.Helper()
	return b.ChangePassword(b.t.Context(), access.PasswordChange{
		Signed: s.Signed, Old: secret.New(old), New: secret.New(fresh), RevokeTokens: tokens, IP: "192.0.2.7", UserAgent: "Firefox",
	})
}

func (b *bench) verifies(a account.Account, password string) bool {
	b.t.Helper()
	a, err := b.World.Accounts.ByID(b.t.Context(), a.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	ok, _, err := b.Passwords.Verify(b.t.Context(), secret.New(password), a.PasswordHash)
	if err != nil {
		b.t.Fatal(err)
	}
	return ok
}

func TestChangePassword(t *testing.T) {
	for _, tokens := range []bool{false, true} {
		name := "W-12 TK-27 every other browser ends, this one goes on under a new value, no approval of before mints, tokens live"
		if tokens {
			name = "W-12 tokens end with it when they are asked to"
		}
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pat, here := b.person()
			there, foreign, m, before := b.browse(pat), b.browse(b.ada), b.login(subjectOf(pat)), b.approved(subjectOf(pat))
			adas := b.login(subjectOf(b.ada))
			fresh, err := b.change(here, oldPassword, newPassword, tokens)
			if err != nil {
				t.Fatal(err)
			}
			if b.signedIn(here) || b.signedIn(there) || !b.signedIn(fresh) || !b.signedIn(foreign) {
				t.Error("the wrong browsers are signed in")
			}
			if s := fresh.Session; !s.Remember || s.How != console.HowPassword || s.IP != "192.0.2.7" || s.ID == here.Session.ID || !s.AuthAt.Equal(b.Clock.Now()) {
				t.Errorf("%+v", s)
			}
			if b.verifies(pat, oldPassword) || !b.verifies(pat, newPassword) {
				t.Error("the password is another")
			}
			if b.lives(m) == tokens || !b.lives(adas) {
				t.Error("the wrong tokens live")
			}
			b.refused(before, "epoch")
			b.login(subjectOf(pat)) // a later approval redeems

			events := b.Recorded(t, "account.password_changed")
			if len(events) != 1 || events[0].Actor.ID != pat.ID || fields(t, events[0])["session_id"] != fresh.Session.ID {
				t.Fatalf("%+v", events)
			}
			rows := b.Recorded(t, "oauth.token_revoked")
			if !tokens {
				b.buries()
				if len(rows) != 0 {
					t.Errorf("%+v", rows)
				}
				return
			}
			b.buries(m)
			if len(rows) != 1 || fields(t, rows[0])["reason"] != "user" || rows[0].Actor.ID != pat.ID {
				t.Errorf("%+v", rows)
			}
		})
	}

	t.Run("refusals change nothing", func(t *testing.T) {
		b := newBench(t)
		pat, here := b.person()
		for name, c := range map[string]struct {
			old, fresh string
			want       error
		}{
			"a wrong old one":        {"something else", newPassword, console.ErrInvalidCredentials},
			"no old one":             {"", newPassword, console.ErrInvalidCredentials},
			"a wrong one, short new": {"something else", "x", console.ErrInvalidCredentials},
			"too short":              {oldPassword, "1234567", account.ErrPasswordTooShort},
			"the e-mail":             {oldPassword, "PAT@example.com", account.ErrPasswordIsEmail},
		} {
			if _, err := b.change(here, c.old, c.fresh, true); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		if !b.verifies(pat, oldPassword) || !b.signedIn(here) || len(b.Recorded(t, "account.password_changed")) != 0 {
			t.Error("something changed")
		}
	})

	t.Run("a session that ended meanwhile changes nothing", func(t *testing.T) {
		b := newBench(t)
		pat, here := b.person()
		other := b.browse(pat)
		if err := b.sessions.SignOut(t.Context(), here.Cookie); err != nil {
			t.Fatal(err)
		}
		if _, err := b.change(here, oldPassword, newPassword, false); !errors.Is(err, console.ErrUnauthorized) {
			t.Fatal(err)
		}
		if !b.verifies(pat, oldPassword) || !b.signedIn(other) {
			t.Error("something changed")
		}
	})

	t.Run("an account that was banned meanwhile changes nothing", func(t *testing.T) {
		b := newBench(t)
		pat, here := b.person()
		b.World.SetStatus(t, pat.ID, account.Banned)
		if _, err := b.change(here, oldPassword, newPassword, false); !errors.Is(err, console.ErrUnauthorized) || !b.verifies(pat, oldPassword) {
			t.Fatal(err)
		}
	})

	t.Run("a rehash meanwhile is no obstacle, a change meanwhile is", func(t *testing.T) {
		b := newBench(t)
		pat, here := b.person()
		rehash := func(password string) func() {
			return func() {
				a, _ := b.World.Accounts.ByID(t.Context(), pat.ID)
				hash, err := b.Passwords.Hash(t.Context(), secret.New(password))
				if err == nil {
					err = b.World.Accounts.SetPasswordHash(t.Context(), pat.ID, a.PasswordHash, hash, b.Clock.Now())
				}
				if err != nil {
					t.Error(err)
				}
			}
		}
		b.faults.Plan(storetest.Fault{Method: "InTx", On: 1, Mode: storetest.Pass, Before: rehash(oldPassword)})
		here, err := b.change(here, oldPassword, newPassword, false)
		if err != nil || !b.verifies(pat, newPassword) {
			t.Fatal(err)
		}
		b.faults.Clear()
		b.faults.Plan(storetest.Fault{Method: "InTx", On: 1, Mode: storetest.Pass, Before: rehash("a third password")})
		if _, err := b.change(here, newPassword, oldPassword, false); !errors.Is(err, console.ErrInvalidCredentials) || !b.verifies(pat, "a third password") {
			t.Fatal(err)
		}
	})

	t.Run("of two changes at once one wins", func(t *testing.T) {
		b := newBench(t)
		pat, here := b.person()
		there := b.browse(pat)
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i, s := range []console.Issued{here, there} {
			wg.Go(func() {
				_, errs[i] = b.ChangePassword(context.Background(), access.PasswordChange{Signed: s.Signed, Old: secret.New(oldPassword), New: secret.New(newPassword)})
			})
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatal(errs)
		}
		if n := b.Count(t, `SELECT count(*) FROM console_sessions WHERE account_id = $1`, pat.ID); n != 1 {
			t.Errorf("%d browsers", n)
		}
	})

	t.Run("TK-24 OUT-06 what fails at any statement changes nothing", func(t *testing.T) {
		b := newBench(t)
		pat, here := b.person()
		m := b.login(subjectOf(pat))
		events := len(b.Events(t))
		for _, at := range []string{"InTx", "Tx.LockEpochs", "Tx.SetPassword", "Tx.EndBrowser", "Tx.EndBrowsers", "Tx.BeginBrowser", "Tx.BumpEpoch", "Tx.EndTokens", "Tx.EndedSince", "Tx.Append", "Tx.Commit"} {
			b.faults.Clear()
			b.faults.Plan(storetest.Fault{Method: at})
			_, err := b.change(here, oldPassword, newPassword, true)
			unavailable(t, err)
			if !b.verifies(pat, oldPassword) || !b.signedIn(here) || !b.lives(m) || len(b.Events(t)) != events {
				t.Fatalf("%s: something changed", at)
			}
			b.buries()
		}
	})

	t.Run("TK-11 tombstones that cannot be written are a 503 that says what to do", func(t *testing.T) {
		b := newBench(t)
		pat, here := b.person()
		m := b.login(subjectOf(pat))
		b.tombs.Fail(fault.ErrUnavailable)
		fresh, err := b.change(here, oldPassword, newPassword, true)
		unavailable(t, err)
		if fault.Of(err).Hint() == "" || !fresh.Cookie.IsZero() || !b.verifies(pat, newPassword) || b.lives(m) {
			t.Fatal(err)
		}
	})
}
