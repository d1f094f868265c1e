// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// browser is a console session with every field set; value tells sessions apart.
func browser(accountID, value string, created time.Time) console.Session {
	return console.Session{
		ID: canon.NewID(), AccountID: accountID, TokenHash: digestOf(value), CreatedAt: created, LastSeenAt: created.Add(time.Second),
		ExpiresAt: created.Add(30 * 24 * time.Hour), Remember: true, How: console.HowPassword, AuthAt: created.Add(time.Microsecond),
		IP: "2001:db8::" + fmt.Sprint(len(value)), UserAgent: "Firefox — 爱",
	}
}

// Console is the contract of console.Store.
func Console(t *testing.T, open OpenDurable) {
	t.Run("beginning", func(t *testing.T) { consoleBegin(t, open) })
	t.Run("lists and sights", func(t *testing.T) { consoleReads(t, open) })
	t.Run("ending", func(t *testing.T) { consoleEnds(t, open) })
	t.Run("a cancelled context writes nothing", func(t *testing.T) {
		a, b := open(t)
		who := a.AddActive(t, "ada@example.com")
		s := a.begin(t, browser(who.ID, "one", start))
		ctx := cancelled(t)
		_, byDigest := a.Console.ByDigest(ctx, s.TokenHash)
		_, list := a.Console.List(ctx, who.ID)
		_, others := a.Console.EndOthers(ctx, who.ID, "", epochKey, start, event("x"))
		for name, err := range map[string]error{
			"Begin":    a.Console.Begin(ctx, browser(who.ID, "two", start), s.TokenHash, event("x")),
			"ByDigest": byDigest, "List": list, "EndOthers": others,
			"Touch": a.Console.Touch(ctx, s.ID, after(time.Hour)),
			"End":   a.Console.End(ctx, who.ID, s.ID, epochKey, start, event("x")),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		same(t, "sessions", b.browsers(t, who.ID), []console.Session{s})
		if got := b.Events(t); len(got) > 0 || b.epoch(t, epochKey) != 0 {
			t.Errorf("events %v, epoch %d", got, b.epoch(t, epochKey))
		}
	})
}

func (d Durable) begin(t *testing.T, s console.Session) console.Session {
	t.Helper()
	if err := d.Console.Begin(t.Context(), s, secret.Digest{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (d Durable) browsers(t *testing.T, accountID string) []console.Session {
	t.Helper()
	list, err := d.Console.List(t.Context(), accountID)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func consoleBegin(t *testing.T, open OpenDurable) {
	t.Run("every field comes back as it went in, with the account", func(t *testing.T) {
		a, b := open(t)
		who := a.AddAccount(t, fullAccount("ada@example.com"))
		s := browser(who.ID, "one", start)
		e := event("signed in")
		if err := a.Console.Begin(t.Context(), s, secret.Digest{}, e); err != nil {
			t.Fatal(err)
		}
		got, err := b.Console.ByDigest(t.Context(), s.TokenHash)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "session", got.Session, s)
		// A session shows its account and never how the password is kept.
		want := account.Account{ID: who.ID, Email: who.Email, Name: who.Name, Status: who.Status, DeploymentAdmin: true,
			InterfaceLanguage: who.InterfaceLanguage, Timezone: who.Timezone, LastLoginAt: &s.CreatedAt}
		same(t, "account", got.Account, want)
		if got := b.Events(t); len(got) != 1 || got[0].ID != e.ID {
			t.Errorf("events %+v", got)
		}
	})

	t.Run("the sign-in is noted on the account, and on no other", func(t *testing.T) {
		a, b := open(t)
		who, other := a.AddAccount(t, fullAccount("ada@example.com")), a.AddAccount(t, fullAccount("bob@example.com"))
		s := a.begin(t, browser(who.ID, "one", after(time.Minute)))
		who.LastLoginAt, who.LastLoginIP = &s.CreatedAt, s.IP
		for _, want := range []account.Account{who, other} {
			got, err := b.Accounts.ByID(t.Context(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			same(t, want.Email, got, want)
		}
	})

	t.Run("PPL-04 the session that came along is gone, whosever it was", func(t *testing.T) {
		a, b := open(t)
		who, other := a.AddActive(t, "ada@example.com"), a.AddActive(t, "bob@example.com")
		planted := a.begin(t, browser(other.ID, "planted", start))
		kept := a.begin(t, browser(other.ID, "kept", start))
		s := browser(who.ID, "fresh", start)
		if err := b.Console.Begin(t.Context(), s, planted.TokenHash); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Console.ByDigest(t.Context(), planted.TokenHash); !errors.Is(err, console.ErrUnknown) {
			t.Errorf("the former value: %v, want %v", err, console.ErrUnknown)
		}
		same(t, "the other's sessions", a.browsers(t, other.ID), []console.Session{kept})
		same(t, "the own sessions", a.browsers(t, who.ID), []console.Session{s})
	})

	t.Run("a session that cannot begin ends none and records nothing", func(t *testing.T) {
		a, b := open(t)
		who := a.AddAccount(t, fullAccount("ada@example.com"))
		former := a.begin(t, browser(who.ID, "former", start))
		taken := a.begin(t, browser(who.ID, "taken", after(time.Second)))
		before, _ := b.Accounts.ByID(t.Context(), who.ID)
		s := browser(who.ID, "taken", after(time.Hour)) // a value that exists
		if err := a.Console.Begin(t.Context(), s, former.TokenHash, event("x")); err == nil {
			t.Fatal("two sessions share a value")
		}
		same(t, "sessions", b.browsers(t, who.ID), []console.Session{taken, former})
		got, _ := b.Accounts.ByID(t.Context(), who.ID)
		same(t, "account", got, before)
		if got := b.Events(t); len(got) > 0 {
			t.Errorf("events %+v", got)
		}
	})
}

func consoleReads(t *testing.T, open OpenDurable) {
	t.Run("an unknown value", func(t *testing.T) {
		a, _ := open(t)
		a.begin(t, browser(a.AddActive(t, "ada@example.com").ID, "one", start))
		for _, d := range []secret.Digest{digestOf("two"), {}} {
			if _, err := a.Console.ByDigest(t.Context(), d); !errors.Is(err, console.ErrUnknown) {
				t.Errorf("by digest: %v, want %v", err, console.ErrUnknown)
			}
		}
	})

	t.Run("an account's sessions, newest first, expired ones too, nobody else's", func(t *testing.T) {
		a, b := open(t)
		who, other := a.AddActive(t, "ada@example.com"), a.AddActive(t, "bob@example.com")
		middle := browser(who.ID, "middle", after(time.Hour))
		oldest := browser(who.ID, "oldest", start)
		oldest.ExpiresAt = after(time.Second)
		twin1, twin2 := browser(who.ID, "twin 1", after(2*time.Hour)), browser(who.ID, "twin 2", after(2*time.Hour))
		for _, s := range []console.Session{middle, twin2, oldest, twin1, browser(other.ID, "foreign", start)} {
			a.begin(t, s)
		}
		same(t, "sessions", b.browsers(t, who.ID), []console.Session{twin2, twin1, middle, oldest})
		if got := b.browsers(t, canon.NewID()); len(got) > 0 {
			t.Errorf("a stranger has %v", got)
		}
	})

	t.Run("a sight moves forward alone", func(t *testing.T) {
		a, b := open(t)
		who := a.AddActive(t, "ada@example.com")
		s, other := a.begin(t, browser(who.ID, "one", start)), a.begin(t, browser(who.ID, "two", after(-time.Hour)))
		for _, c := range []struct{ now, want time.Time }{
			{after(time.Hour), after(time.Hour)},
			{after(time.Minute), after(time.Hour)},
			{after(2 * time.Hour), after(2 * time.Hour)},
		} {
			if err := a.Console.Touch(t.Context(), s.ID, c.now); err != nil {
				t.Fatal(err)
			}
			s.LastSeenAt = c.want
			same(t, "sessions", b.browsers(t, who.ID), []console.Session{s, other})
		}
		if err := a.Console.Touch(t.Context(), canon.NewID(), start); err != nil {
			t.Fatalf("of an unknown session: %v", err)
		}
	})
}

func consoleEnds(t *testing.T, open OpenDurable) {
	t.Run("one ends, the epoch moves and the event is written", func(t *testing.T) {
		a, b := open(t)
		who := a.AddActive(t, "ada@example.com")
		s, kept := a.begin(t, browser(who.ID, "one", start)), a.begin(t, browser(who.ID, "two", start))
		e := event("signed out")
		if err := a.Console.End(t.Context(), who.ID, s.ID, epochKey, start, e); err != nil {
			t.Fatal(err)
		}
		same(t, "sessions", b.browsers(t, who.ID), []console.Session{kept})
		if b.epoch(t, epochKey) != 1 || !slices.Equal(b.eventNames(t), []string{e.Name}) {
			t.Errorf("epoch %d, events %v", b.epoch(t, epochKey), b.eventNames(t))
		}
	})

	t.Run("without a key no epoch moves", func(t *testing.T) {
		a, b := open(t)
		who := a.AddActive(t, "ada@example.com")
		s := a.begin(t, browser(who.ID, "one", start))
		if err := a.Console.End(t.Context(), who.ID, s.ID, "", start); err != nil {
			t.Fatal(err)
		}
		if n := b.Count(t, `SELECT count(*) FROM subject_epochs`); n != 0 {
			t.Errorf("%d epochs", n)
		}
	})

	t.Run("what is not the account's own is unknown, and nothing moves", func(t *testing.T) {
		a, b := open(t)
		who, other := a.AddActive(t, "ada@example.com"), a.AddActive(t, "bob@example.com")
		foreign := a.begin(t, browser(other.ID, "foreign", start))
		ended := a.begin(t, browser(who.ID, "ended", start))
		if err := a.Console.End(t.Context(), who.ID, ended.ID, "", start); err != nil {
			t.Fatal(err)
		}
		for name, id := range map[string]string{"foreign": foreign.ID, "ended": ended.ID, "unknown": canon.NewID()} {
			if err := b.Console.End(t.Context(), who.ID, id, epochKey, start, event("x")); !errors.Is(err, console.ErrUnknown) {
				t.Errorf("%s: %v, want %v", name, err, console.ErrUnknown)
			}
		}
		same(t, "the other's sessions", a.browsers(t, other.ID), []console.Session{foreign})
		if got := b.Events(t); len(got) > 0 || b.epoch(t, epochKey) != 0 {
			t.Errorf("events %+v, epoch %d", got, b.epoch(t, epochKey))
		}
	})

	t.Run("all others end and are counted", func(t *testing.T) {
		a, b := open(t)
		who, other := a.AddActive(t, "ada@example.com"), a.AddActive(t, "bob@example.com")
		kept := a.begin(t, browser(who.ID, "kept", start))
		foreign := a.begin(t, browser(other.ID, "foreign", start))
		for i := range 3 {
			a.begin(t, browser(who.ID, fmt.Sprint(i), start))
		}
		for i, want := range []int{3, 0} { // the epoch moves the second time too
			n, err := a.Console.EndOthers(t.Context(), who.ID, kept.ID, epochKey, start, event("x"))
			if err != nil || n != want || b.epoch(t, epochKey) != int64(i+1) {
				t.Fatalf("ended %d, epoch %d, %v", n, b.epoch(t, epochKey), err)
			}
		}
		same(t, "own sessions", b.browsers(t, who.ID), []console.Session{kept})
		same(t, "the other's sessions", b.browsers(t, other.ID), []console.Session{foreign})
		if n, err := a.Console.EndOthers(t.Context(), who.ID, "", epochKey, start); err != nil || n != 1 {
			t.Fatalf("ended %d, %v", n, err)
		}
	})

	t.Run("an end whose event cannot be written does not happen", func(t *testing.T) {
		a, b := open(t)
		who := a.AddActive(t, "ada@example.com")
		s := a.begin(t, browser(who.ID, "one", start))
		e := event("x")
		if err := a.Console.End(t.Context(), who.ID, s.ID, epochKey, start, e, e); err == nil {
			t.Fatal("one event was written twice")
		}
		if n, err := a.Console.EndOthers(t.Context(), who.ID, "", epochKey, start, e, e); err == nil {
			t.Fatalf("one event was written twice, %d ended", n)
		}
		same(t, "sessions", b.browsers(t, who.ID), []console.Session{s})
		if got := b.Events(t); len(got) > 0 || b.epoch(t, epochKey) != 0 {
			t.Errorf("events %+v, epoch %d", got, b.epoch(t, epochKey))
		}
	})

	t.Run("of many that end one session one succeeds", func(t *testing.T) {
		a, b := open(t)
		handles := []Durable{a, b}
		who := a.AddActive(t, "ada@example.com")
		s := a.begin(t, browser(who.ID, "one", start))
		won := 0
		for _, err := range atOnce(10, func(i int) error {
			return handles[i%2].Console.End(context.Background(), who.ID, s.ID, epochKey, start, event("x"))
		}) {
			if err == nil {
				won++
			} else if !errors.Is(err, console.ErrUnknown) {
				t.Fatal(err)
			}
		}
		if won != 1 || b.epoch(t, epochKey) != 1 || len(b.Events(t)) != 1 {
			t.Fatalf("%d won, epoch %d, events %v", won, b.epoch(t, epochKey), b.eventNames(t))
		}
	})
}
