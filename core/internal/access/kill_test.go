// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

func TestTarget(t *testing.T) {
	id := canon.NewID()
	for _, tc := range []struct {
		name     string
		in, want access.Target // want is zero for what is refused
	}{
		{"an identity", access.Target{Issuer: idp, SubjectID: "ada"}, access.Target{Issuer: idp, SubjectID: "ada"}},
		{"an e-mail at an issuer", access.Target{Issuer: idp, Email: " Ada@Example.COM "}, access.Target{Issuer: idp, Email: email}},
		{"an account", access.Target{AccountID: id}, access.Target{AccountID: id}},
		{"a connection", access.Target{ConnectionID: "con-1"}, access.Target{ConnectionID: "con-1"}},
		{name: "nothing"},
		{name: "an issuer alone", in: access.Target{Issuer: idp}},
		{name: "a subject id alone", in: access.Target{SubjectID: "ada"}},
		{name: "an e-mail alone", in: access.Target{Email: email}},
		{name: "identity and e-mail", in: access.Target{Issuer: idp, SubjectID: "ada", Email: email}},
		{name: "identity and account", in: access.Target{Issuer: idp, SubjectID: "ada", AccountID: id}},
		{name: "account and connection", in: access.Target{AccountID: id, ConnectionID: "con-1"}},
		{name: "issuer and connection", in: access.Target{Issuer: idp, ConnectionID: "con-1"}},
		{name: "no e-mail", in: access.Target{Issuer: idp, Email: "ada"}},
		{name: "no account id", in: access.Target{AccountID: strings.ToUpper(id)}},
		{name: "an issuer that is too long", in: access.Target{Issuer: strings.Repeat("i", 256), SubjectID: "ada"}},
		{name: "a subject id that is too long", in: access.Target{Issuer: idp, SubjectID: strings.Repeat("i", 256)}},
		{name: "a connection that is too long", in: access.Target{ConnectionID: strings.Repeat("i", 41)}},
		{name: "a control character", in: access.Target{Issuer: idp, SubjectID: "a\x00da"}},
		{name: "no text", in: access.Target{Issuer: idp, SubjectID: "a\xffda"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.in.Check()
			if tc.want == (access.Target{}) {
				if !errors.Is(err, access.ErrTarget) {
					t.Fatal(err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
}

func TestKill(t *testing.T) {
	t.Run("an account's tokens and browsers end, nobody else's, and an approval of before mints no more", func(t *testing.T) {
		b := newBench(t)
		bob := b.AddActive(t, "bob@example.com")
		one, two, others := b.login(subjectOf(b.ada)), b.login(subjectOf(b.ada)), b.login(subjectOf(bob))
		browser, another := b.browse(b.ada), b.browse(bob)
		before, bobs := b.approved(subjectOf(b.ada)), b.approved(subjectOf(bob))

		r := b.kill(access.Target{AccountID: b.ada.ID})
		if r.TokensRevoked != 2 || r.ConsoleSessionsEnded != 1 || !slices.Equal(r.Accounts, []string{b.ada.ID}) || !r.RefusedFrom.Equal(b.Clock.Now()) || !canon.IsID(r.ID) {
			t.Fatalf("%+v", r)
		}
		if b.lives(one) || b.lives(two) || !b.lives(others) || b.signedIn(browser) || !b.signedIn(another) {
			t.Error("the wrong ones ended")
		}
		b.buries(one, two)
		b.refused(before, "epoch")
		if _, err := b.minter.Mint(t.Context(), bobs); err != nil {
			t.Errorf("another's approval: %v", err)
		}
		b.login(subjectOf(b.ada)) // a later approval redeems
	})

	t.Run("what is on record", func(t *testing.T) {
		b := newBench(t)
		m := b.login(subjectOf(b.ada))
		b.browse(b.ada)
		r := b.kill(access.Target{AccountID: b.ada.ID})
		rows := b.Recorded(t, "oauth.token_revoked")
		if len(rows) != 1 || rows[0].Actor != operator || rows[0].TokenID != m.Session.ID || rows[0].SubjectKey != subjectOf(b.ada).Key() {
			t.Fatalf("%+v", rows)
		}
		if f := fields(t, rows[0]); f["reason"] != "subject_revoked" || f["receipt_id"] != r.ID || f["token_id"] != m.Session.ID {
			t.Errorf("%v", f)
		}
		kills := b.Recorded(t, "oauth.subject_revoked")
		if len(kills) != 1 || kills[0].Actor != operator || kills[0].SubjectKey != subjectOf(b.ada).Key() {
			t.Fatalf("%+v", kills)
		}
		f := fields(t, kills[0])
		if f["receipt_id"] != r.ID || f["tokens_revoked"] != 1.0 || f["console_sessions_ended"] != 1.0 || f["cause"] != "left the company" || f["by"] != "account" {
			t.Errorf("%v", f)
		}
	})

	t.Run("nothing found is noughts, and the epoch moves all the same", func(t *testing.T) {
		b := newBench(t)
		for _, target := range []access.Target{
			{Issuer: idp, SubjectID: "nobody"}, {Issuer: idp, Email: "nobody@example.com"}, {AccountID: canon.NewID()}, {ConnectionID: "none"},
			{Issuer: token.AccountIssuer, SubjectID: "nobody"}, {Issuer: token.AccountIssuer, Email: "nobody@example.com"},
		} {
			r := b.kill(target)
			if r.TokensRevoked != 0 || r.ConsoleSessionsEnded != 0 || r.Accounts == nil || len(r.Accounts) != 0 {
				t.Errorf("%+v: %+v", target, r)
			}
		}
		if n := b.Count(t, `SELECT count(*) FROM subject_epochs WHERE epoch = 1 AND epoch_at = $1`, b.Clock.Now()); n != 6 {
			t.Errorf("%d epochs moved", n)
		}
	})

	t.Run("an account is named as a subject too", func(t *testing.T) {
		for name, target := range map[string]func(a account.Account) access.Target{
			"by its id": func(a account.Account) access.Target {
				return access.Target{Issuer: token.AccountIssuer, SubjectID: a.ID}
			},
			"by its e-mail": func(a account.Account) access.Target {
				return access.Target{Issuer: token.AccountIssuer, Email: a.Email}
			},
		} {
			t.Run(name, func(t *testing.T) {
				b := newBench(t)
				m, before := b.login(subjectOf(b.ada)), b.approved(subjectOf(b.ada))
				if r := b.kill(target(b.ada)); r.TokensRevoked != 1 || !slices.Equal(r.Accounts, []string{b.ada.ID}) || b.lives(m) {
					t.Fatalf("%+v", r)
				}
				b.refused(before, "epoch")
			})
		}
	})

	t.Run("rows of an account that is gone end", func(t *testing.T) {
		b := newBench(t)
		m := b.login(subjectOf(b.ada))
		b.RemoveAccount(t, b.ada.ID)
		if r := b.kill(access.Target{AccountID: b.ada.ID}); r.TokensRevoked != 1 || len(r.Accounts) != 0 || b.lives(m) {
			t.Fatalf("%+v", r)
		}
	})

	t.Run("an identity, by itself or by its e-mail", func(t *testing.T) {
		s := stranger("eve", "con-1")
		for name, target := range map[string]access.Target{"identity": {Issuer: idp, SubjectID: "eve"}, "e-mail": {Issuer: idp, Email: s.Email}} {
			t.Run(name, func(t *testing.T) {
				b := newBench(t)
				other := stranger("mallory", "con-1")
				elsewhere := s
				elsewhere.Issuer += "/2"
				m, kept, far := b.login(s), b.login(other), b.login(elsewhere)
				before, others := b.approved(s), b.approved(other)
				if r := b.kill(target); r.TokensRevoked != 1 || len(r.Accounts) != 0 || b.lives(m) || !b.lives(kept) || !b.lives(far) {
					t.Fatalf("%+v", r)
				}
				b.buries(m)
				b.refused(before, "epoch")
				if _, err := b.minter.Mint(t.Context(), others); err != nil {
					t.Error(err)
				}
			})
		}
	})

	t.Run("API-34 an identity takes the account it is linked to along", func(t *testing.T) {
		b := newBench(t)
		b.AddIdentity(t, b.ada.ID, idp, "ada")
		m, browser, before := b.login(subjectOf(b.ada)), b.browse(b.ada), b.approved(subjectOf(b.ada))
		r := b.kill(access.Target{Issuer: idp, SubjectID: "ada"})
		if r.TokensRevoked != 1 || r.ConsoleSessionsEnded != 1 || !slices.Equal(r.Accounts, []string{b.ada.ID}) || b.lives(m) || b.signedIn(browser) {
			t.Fatalf("%+v", r)
		}
		b.refused(before, "epoch")
		b.buries(m)
		var keys []string
		for _, e := range b.Recorded(t, "oauth.subject_revoked") {
			if fields(t, e)["receipt_id"] != r.ID {
				t.Errorf("%+v", e)
			}
			keys = append(keys, e.SubjectKey)
		}
		if want := []string{token.ExternalKey(idp, "ada"), token.AccountKey(b.ada.ID)}; !slices.Equal(keys, want) {
			t.Errorf("keys %v, want %v", keys, want)
		}
		// By e-mail nobody's account is meant: an e-mail never links.
		kept := b.login(subjectOf(b.ada))
		if r := b.kill(access.Target{Issuer: idp, Email: email}); r.TokensRevoked != 0 || !b.lives(kept) {
			t.Fatalf("%+v", r)
		}
	})

	t.Run("API-34 a connection takes what began through it, and lets the rest live", func(t *testing.T) {
		b := newBench(t)
		through, beside := stranger("eve", "con-1"), stranger("mallory", "con-2")
		m, kept, own := b.login(through), b.login(beside), b.login(subjectOf(b.ada))
		sso, other, plain := b.browse(b.ada), b.browse(b.ada), b.browse(b.ada)
		b.ThroughConnection(t, sso.Session.ID, "con-1")
		b.ThroughConnection(t, other.Session.ID, "con-2")
		before, besides := b.approved(through), b.approved(beside)
		r := b.kill(access.Target{ConnectionID: "con-1"})
		if r.TokensRevoked != 1 || r.ConsoleSessionsEnded != 1 || len(r.Accounts) != 0 {
			t.Fatalf("%+v", r)
		}
		if b.lives(m) || !b.lives(kept) || !b.lives(own) || b.signedIn(sso) || !b.signedIn(other) || !b.signedIn(plain) {
			t.Error("the wrong ones ended")
		}
		b.refused(before, "epoch")
		if _, err := b.minter.Mint(t.Context(), besides); err != nil {
			t.Error(err)
		}
	})

	t.Run("what is no target or no reason touches no store", func(t *testing.T) {
		b := newBench(t)
		for _, reason := range []string{"", "  ", strings.Repeat("x", 65), "a\nb"} {
			if _, err := b.Kill(t.Context(), access.Target{AccountID: b.ada.ID}, reason, operator); !errors.Is(err, access.ErrTarget) {
				t.Errorf("reason %q: %v", reason, err)
			}
		}
		if _, err := b.Kill(t.Context(), access.Target{}, "x", operator); !errors.Is(err, access.ErrTarget) {
			t.Error(err)
		}
		if n := b.faults.Total(); n != 0 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestKillWhileTheLinkMoves(t *testing.T) {
	target := access.Target{Issuer: idp, SubjectID: "ada"}

	t.Run("a link that is made meanwhile counts", func(t *testing.T) {
		b := newBench(t)
		m := b.login(subjectOf(b.ada))
		b.faults.Plan(storetest.Fault{Method: "InTx", On: 1, Mode: storetest.Pass, Before: func() { b.AddIdentity(t, b.ada.ID, idp, "ada") }})
		if r := b.kill(target); !slices.Equal(r.Accounts, []string{b.ada.ID}) || b.lives(m) {
			t.Fatalf("%+v", r)
		}
		if n := len(b.Recorded(t, "oauth.subject_revoked")); n != 2 {
			t.Errorf("%d events: the first try left some", n)
		}
	})

	t.Run("a link that ended meanwhile does not", func(t *testing.T) {
		b := newBench(t)
		b.AddIdentity(t, b.ada.ID, idp, "ada")
		m := b.login(subjectOf(b.ada))
		b.faults.Plan(storetest.Fault{Method: "InTx", On: 1, Mode: storetest.Pass, Before: func() { b.RemoveIdentity(t, idp, "ada") }})
		if r := b.kill(target); len(r.Accounts) != 0 || !b.lives(m) {
			t.Fatalf("%+v", r)
		}
	})

	t.Run("one that never rests is an outage, and nothing is written", func(t *testing.T) {
		b := newBench(t)
		linked := false
		b.faults.Plan(storetest.Fault{Method: "InTx", Mode: storetest.Pass, Before: func() {
			if linked = !linked; linked {
				b.AddIdentity(t, b.ada.ID, idp, "ada")
			} else {
				b.RemoveIdentity(t, idp, "ada")
			}
		}})
		_, err := b.Kill(t.Context(), target, "x", operator)
		unavailable(t, err)
		if n := b.Count(t, `SELECT count(*) FROM subject_epochs`); n != 0 || len(b.Events(t)) != 0 {
			t.Errorf("%d epochs", n)
		}
	})
}

func TestTombstones(t *testing.T) {
	t.Run("TK-11 one that cannot be written is a 503 after the kill, and the repeat writes it", func(t *testing.T) {
		b := newBench(t)
		m, before := b.login(subjectOf(b.ada)), b.approved(subjectOf(b.ada))
		b.tombs.Fail(fault.ErrUnavailable)
		r, err := b.Kill(t.Context(), access.Target{AccountID: b.ada.ID}, "x", operator)
		unavailable(t, err)
		if r.TokensRevoked != 1 || b.lives(m) {
			t.Fatalf("%+v", r)
		}
		b.refused(before, "epoch")
		b.tombs.Fail(nil)
		b.Clock.Advance(token.BuriedFor - time.Microsecond)
		if r := b.kill(access.Target{AccountID: b.ada.ID}); r.TokensRevoked != 0 {
			t.Fatalf("%+v", r)
		}
		b.buries(m)
		b.Clock.Advance(time.Microsecond) // no positive of before can live any more
		b.kill(access.Target{AccountID: b.ada.ID})
		b.buries()
	})

	t.Run("an outcome that nobody knows is a 503, and the repeat writes them", func(t *testing.T) {
		b := newBench(t)
		m := b.login(subjectOf(b.ada))
		b.faults.Plan(storetest.Fault{Method: "Tx.Commit", On: 1, Mode: storetest.LoseReply})
		_, err := b.Kill(t.Context(), access.Target{AccountID: b.ada.ID}, "x", operator)
		unavailable(t, err)
		if b.lives(m) {
			t.Fatal("the case needs a commit")
		}
		b.kill(access.Target{AccountID: b.ada.ID})
		b.buries(m)
	})
}
