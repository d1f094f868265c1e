// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

func (b *bench) set(who string, s account.Status) access.StatusChange {
	b.t.Helper()
	c, err := b.setStatus(b.t.Context(), who, s)
	if err != nil {
		b.t.Fatal("set status: ", err)
	}
	return c
}

// setStatus is the service's; World's own writes the row alone.
func (b *bench) setStatus(ctx context.Context, who string, s account.Status) (access.StatusChange, error) {
	return b.Service.SetStatus(ctx, who, s, operator) //nolint:staticcheck // World has one too, and it is not the service's
}

func (b *bench) status(id string) account.Status {
	b.t.Helper()
	a, err := b.World.Accounts.ByID(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return a.Status
}

func (b *bench) administrator(email string) account.Account {
	b.t.Helper()
	return b.AddAccount(b.t, account.Account{ID: canon.NewID(), Email: email, Name: "A", Status: account.Active, DeploymentAdmin: true,
		CreatedAt: b.Clock.Now(), UpdatedAt: b.Clock.Now()})
}

func TestStatus(t *testing.T) {
	for _, to := range []account.Status{account.Banned, account.Closed} {
		t.Run("TK-15 an account that becomes "+string(to)+" loses tokens, browsers and approvals", func(t *testing.T) {
			b := newBench(t)
			m, browser, before := b.login(subjectOf(b.ada)), b.browse(b.ada), b.approved(subjectOf(b.ada))
			c := b.set(" ADA@example.com", to)
			if c.AccountID != b.ada.ID || c.Email != email || c.From != account.Active || c.To != to || !c.Changed || c.Receipt.TokensRevoked != 1 || c.Receipt.ConsoleSessionsEnded != 1 {
				t.Fatalf("%+v", c)
			}
			if b.lives(m) || b.signedIn(browser) || b.status(b.ada.ID) != to {
				t.Error("something lives")
			}
			b.buries(m)
			b.refused(before, "epoch")
			b.refused(b.approved(subjectOf(b.ada)), "account_"+string(to))

			events := b.Recorded(t, "account.status_changed")
			if len(events) != 1 || events[0].Actor != operator || events[0].SubjectKey != subjectOf(b.ada).Key() {
				t.Fatalf("%+v", events)
			}
			if f := fields(t, events[0]); f["from"] != "active" || f["to"] != string(to) || f["receipt_id"] != c.Receipt.ID {
				t.Errorf("%v", f)
			}
			if f := fields(t, b.Recorded(t, "oauth.token_revoked")[0]); f["reason"] != "account_inactive" {
				t.Errorf("%v", f)
			}

			// Active again: nothing of before comes back.
			b.browse(b.ada) // by a sign-in that overlapped
			if c := b.set(b.ada.ID, account.Active); !c.Changed || c.From != to || c.Receipt.ConsoleSessionsEnded != 1 {
				t.Fatalf("%+v", c)
			}
			if b.lives(m) || b.signedIn(browser) {
				t.Error("something came back")
			}
			b.refused(before, "epoch")
			b.login(subjectOf(b.ada))
		})
	}

	t.Run("TK-16 TK-27 an account that becomes active takes its e-mail over", func(t *testing.T) {
		b := newBench(t)
		bob := b.AddAccount(t, account.Account{ID: canon.NewID(), Email: "bob@example.com", Name: "Bob", Status: account.Pending, CreatedAt: b.Clock.Now(), UpdatedAt: b.Clock.Now()})
		his, far, other := stranger("bob", "con-1"), stranger("bob", "con-2"), stranger("eve", "con-1")
		his.Email, far.Email, far.Issuer = bob.Email, bob.Email, idp+"/2"
		one, two, kept, adas := b.login(his), b.login(far), b.login(other), b.login(subjectOf(b.ada))
		before, others := b.approved(his), b.approved(other)

		c := b.set(bob.Email, account.Active)
		if c.Receipt.TokensRevoked != 2 || b.lives(one) || b.lives(two) || !b.lives(kept) || !b.lives(adas) {
			t.Fatalf("%+v", c)
		}
		b.buries(one, two)
		b.refused(before, "epoch")
		b.refused(b.approved(his), "email_collision")
		if _, err := b.minter.Mint(t.Context(), others); err != nil {
			t.Error(err)
		}
		for _, e := range b.Recorded(t, "oauth.token_revoked") {
			if fields(t, e)["reason"] != "email_became_account" {
				t.Errorf("%s", e.Fields)
			}
		}
		b.login(token.AccountSubject(bob.ID, bob.Email))
	})

	t.Run("an identity that was linked gets no token of its own", func(t *testing.T) {
		b := newBench(t)
		r := b.approved(stranger("eve", "con-1"))
		b.AddIdentity(t, b.ada.ID, idp, "eve")
		b.refused(r, "identity_linked")
	})

	t.Run("the same status again changes nothing and writes the tombstones again", func(t *testing.T) {
		b := newBench(t)
		m := b.login(subjectOf(b.ada))
		b.tombs.Fail(fault.ErrUnavailable)
		c, err := b.setStatus(t.Context(), email, account.Banned)
		unavailable(t, err)
		if !c.Changed || b.status(b.ada.ID) != account.Banned || b.lives(m) {
			t.Fatalf("%+v", c)
		}
		b.tombs.Fail(nil)
		epochs, events := b.Count(t, `SELECT sum(epoch) FROM subject_epochs`), len(b.Events(t))
		if c := b.set(email, account.Banned); c.Changed || c.Receipt.TokensRevoked != 0 || c.From != account.Banned {
			t.Fatalf("%+v", c)
		}
		b.buries(m)
		if n := b.Count(t, `SELECT sum(epoch) FROM subject_epochs`); n != epochs || len(b.Events(t)) != events {
			t.Error("something moved")
		}
	})

	t.Run("nobody, and what is no status", func(t *testing.T) {
		b := newBench(t)
		for _, who := range []string{"", "nobody@example.com", canon.NewID(), "nobody"} {
			if _, err := b.setStatus(t.Context(), who, account.Banned); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("%q: %v", who, err)
			}
		}
		for _, s := range []account.Status{account.Pending, "", "deleted"} {
			if _, err := b.setStatus(t.Context(), email, s); !errors.Is(err, access.ErrStatus) {
				t.Errorf("%q: %v", s, err)
			}
		}
		if b.status(b.ada.ID) != account.Active {
			t.Error("it changed")
		}
	})
}

func TestLastAdministrator(t *testing.T) {
	t.Run("the last one stays", func(t *testing.T) {
		b := newBench(t)
		root := b.administrator("root@example.com")
		m := b.login(subjectOf(root))
		for _, to := range []account.Status{account.Banned, account.Closed} {
			if _, err := b.setStatus(t.Context(), root.Email, to); !errors.Is(err, access.ErrLastAdministrator) {
				t.Fatal(err)
			}
		}
		if b.status(root.ID) != account.Active || !b.lives(m) || len(b.Recorded(t, "account.status_changed")) != 0 {
			t.Error("something changed")
		}
		second := b.administrator("second@example.com")
		b.set(root.Email, account.Banned)
		if _, err := b.setStatus(t.Context(), second.Email, account.Banned); !errors.Is(err, access.ErrLastAdministrator) {
			t.Fatal(err)
		}
		b.set(root.Email, account.Closed) // it administers nothing: not the last of those who do
	})
}

func TestStatusesAtOnce(t *testing.T) {
	storetest.Races(t, func(t *testing.T, world func(t *testing.T) *storetest.World) {
		t.Run("of two that are banned at once one stays", func(t *testing.T) {
			for range 5 {
				b := newBenchIn(t, world(t))
				list := []account.Account{b.administrator("1@example.com"), b.administrator("2@example.com")}
				errs := make([]error, len(list))
				var wg sync.WaitGroup
				for i, a := range list {
					wg.Go(func() { _, errs[i] = b.setStatus(context.Background(), a.ID, account.Banned) })
				}
				wg.Wait()
				if (errs[0] == nil) == (errs[1] == nil) {
					t.Fatal(errs)
				}
			}
		})
	})
}

func TestSessions(t *testing.T) {
	t.Run("one ends, with its event and tombstone; again it succeeds, and buries again", func(t *testing.T) {
		b := newBench(t)
		m, kept := b.login(subjectOf(b.ada)), b.login(subjectOf(b.ada))
		b.tombs.Fail(fault.ErrUnavailable)
		_, err := b.RevokeSession(t.Context(), m.Session.ID, operator)
		unavailable(t, err)
		b.tombs.Fail(nil)
		r, err := b.RevokeSession(t.Context(), m.Session.ID, operator)
		if err != nil || !r.Before || r.ID != m.Session.ID || b.lives(m) || !b.lives(kept) {
			t.Fatalf("%+v, %v", r, err)
		}
		b.buries(m)
		events := b.Recorded(t, "oauth.token_revoked")
		if len(events) != 1 || events[0].Actor != operator || fields(t, events[0])["reason"] != "admin" {
			t.Fatalf("%+v", events)
		}
		if r, err := b.RevokeSession(t.Context(), kept.Session.ID, operator); err != nil || r.Before {
			t.Fatalf("%+v, %v", r, err)
		}
	})

	t.Run("an unknown one", func(t *testing.T) {
		b := newBench(t)
		for _, id := range []string{"", "x", canon.NewID()} {
			if _, err := b.RevokeSession(t.Context(), id, operator); !errors.Is(err, token.ErrSessionNotFound) {
				t.Errorf("%q: %v", id, err)
			}
		}
	})

	t.Run("a page shows everything but the token", func(t *testing.T) {
		b := newBench(t)
		eve := stranger("eve", "con-1")
		b.login(eve)
		b.Clock.Advance(time.Second)
		m := b.login(subjectOf(b.ada))
		p, err := b.ListTokens(t.Context(), access.TokenFilter{}, 1, 1)
		if err != nil || p.Total != 2 || !p.HasMore || len(p.Data) != 1 || p.Data[0].ID != m.Session.ID || p.Data[0].AccountID != b.ada.ID || p.Data[0].Label != m.Session.Label {
			t.Fatalf("%+v, %v", p, err)
		}
		p, err = b.ListTokens(t.Context(), access.TokenFilter{}, 2, 1)
		if err != nil || p.HasMore || p.Data[0].Issuer != idp || p.Data[0].ConnectionID != "con-1" || p.Data[0].SubjectID != "eve" {
			t.Fatalf("%+v, %v", p, err)
		}
		if p, err = b.ListTokens(t.Context(), access.TokenFilter{Email: "Nobody@example.com"}, 1, 20); err != nil || p.Data == nil || p.Total != 0 {
			t.Fatalf("%+v, %v", p, err)
		}
		if p, err = b.ListTokens(t.Context(), access.TokenFilter{Email: " ADA@example.com", AccountID: b.ada.ID}, 1, 20); err != nil || p.Total != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
	})

	t.Run("what no page and no filter can be", func(t *testing.T) {
		b := newBench(t)
		for _, c := range []struct {
			f           access.TokenFilter
			page, limit int
		}{{page: 0, limit: 1}, {page: 1, limit: 0}, {page: 1, limit: 201}, {page: 1 << 40, limit: 1}, {access.TokenFilter{Email: "ada"}, 1, 1}, {access.TokenFilter{AccountID: "ada"}, 1, 1}} {
			if _, err := b.ListTokens(t.Context(), c.f, c.page, c.limit); !errors.Is(err, access.ErrTarget) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		b.faults.Plan(storetest.Fault{Method: "List"})
		_, err := b.ListTokens(t.Context(), access.TokenFilter{}, 1, 1)
		unavailable(t, err)
	})
}
