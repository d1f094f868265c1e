// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Installation is the contract of installation.Store.
func Installation(t *testing.T, open OpenDurable) {
	read := func(t *testing.T, d Durable) installation.State {
		t.Helper()
		s, err := d.Installation.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ready := func(t *testing.T) (a, b Durable) {
		t.Helper()
		a, b = open(t)
		if err := a.Installation.Init(t.Context(), "canary"); err != nil {
			t.Fatal(err)
		}
		return a, b
	}
	owner := func(n int) (account.Account, workspace.Workspace) {
		a := fullAccount(fmt.Sprintf("ada%d@example.com", n))
		w := workspace.Workspace{ID: canon.NewID(), Name: fmt.Sprint("Engines ", n), Status: workspace.StatusNormal, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt}
		return a, w
	}

	t.Run("no row is the zero state", func(t *testing.T) {
		a, _ := open(t)
		same(t, "state", read(t, a), installation.State{})
	})

	t.Run("the row is made once", func(t *testing.T) {
		a, b := ready(t)
		if err := b.Installation.Init(t.Context(), "another"); err != nil {
			t.Fatal(err)
		}
		same(t, "state", read(t, a), installation.State{Canary: "canary"})
	})

	t.Run("a later set-up code replaces the former", func(t *testing.T) {
		a, b := ready(t)
		for _, code := range []string{"one", "two"} {
			if err := a.Installation.SetCodeHash(t.Context(), digestOf(code)); err != nil {
				t.Fatal(err)
			}
			same(t, "state", read(t, b), installation.State{Canary: "canary", SetupCodeHash: digestOf(code)})
		}
	})

	t.Run("a set-up writes account, workspace, ownership, mark and events, and takes the code away", func(t *testing.T) {
		a, b := ready(t)
		if err := a.Installation.SetCodeHash(t.Context(), digestOf("code")); err != nil {
			t.Fatal(err)
		}
		who, w := owner(1)
		now := after(time.Minute + time.Microsecond)
		e := event("set up")
		if err := a.Installation.SetUp(t.Context(), who, w, now, e); err != nil {
			t.Fatal(err)
		}
		same(t, "state", read(t, b), installation.State{Canary: "canary", SetupAt: &now})
		got, err := b.Accounts.ByID(t.Context(), who.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "account", got, who)
		list, err := b.Workspaces.MembershipsOf(t.Context(), who.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "memberships", list, []workspace.Membership{{Workspace: w, Role: workspace.Owner, Current: true}})
		if got := b.Events(t); len(got) != 1 || got[0].ID != e.ID {
			t.Errorf("events %+v", got)
		}
	})

	t.Run("the second set-up writes nothing, and no code comes into force any more", func(t *testing.T) {
		a, b := ready(t)
		who, w := owner(1)
		if err := a.Installation.SetUp(t.Context(), who, w, start); err != nil {
			t.Fatal(err)
		}
		before := read(t, a)
		who, w = owner(2)
		if err := b.Installation.SetUp(t.Context(), who, w, after(time.Hour), event("x")); !errors.Is(err, installation.ErrAlreadySetUp) {
			t.Fatalf("set up: %v, want %v", err, installation.ErrAlreadySetUp)
		}
		if err := b.Installation.SetCodeHash(t.Context(), digestOf("late")); err != nil {
			t.Fatal(err)
		}
		same(t, "state", read(t, b), before)
		if n := b.Count(t, `SELECT count(*) FROM accounts`); n != 1 {
			t.Errorf("%d accounts", n)
		}
		if got := b.Events(t); len(got) > 0 {
			t.Errorf("events %+v", got)
		}
	})

	t.Run("a set-up that fails half-way leaves nothing, and the code in force", func(t *testing.T) {
		a, b := ready(t)
		if err := a.Installation.SetCodeHash(t.Context(), digestOf("code")); err != nil {
			t.Fatal(err)
		}
		who, w := owner(1)
		e := event("x")
		if err := a.Installation.SetUp(t.Context(), who, w, start, e, e); err == nil {
			t.Fatal("one event was written twice")
		}
		same(t, "state", read(t, b), installation.State{Canary: "canary", SetupCodeHash: digestOf("code")})
		if n := b.Count(t, `SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM workspaces) + (SELECT count(*) FROM audit_events)`); n != 0 {
			t.Errorf("%d rows", n)
		}
	})

	t.Run("W-10 of twenty at once one wins", func(t *testing.T) {
		a, b := ready(t)
		handles := []Durable{a, b}
		won := 0
		for _, err := range atOnce(20, func(i int) error {
			who, w := owner(i)
			return handles[i%2].Installation.SetUp(context.Background(), who, w, start, event("x"))
		}) {
			if err == nil {
				won++
			} else if !errors.Is(err, installation.ErrAlreadySetUp) {
				t.Fatal(err)
			}
		}
		if n := a.Count(t, `SELECT count(*) FROM accounts`); won != 1 || n != 1 || len(b.Events(t)) != 1 {
			t.Fatalf("%d won, %d accounts, events %v", won, n, b.eventNames(t))
		}
	})

	t.Run("a canary is swapped by who has seen the present one, with the event", func(t *testing.T) {
		a, b := ready(t)
		for i, tc := range []struct {
			from, to string
			swapped  bool
		}{{"other", "x", false}, {"canary", "next", true}, {"canary", "y", false}} {
			if swapped, err := a.Installation.SwapCanary(t.Context(), tc.from, tc.to, event("x")); err != nil || swapped != tc.swapped {
				t.Errorf("%d: %v %v", i, swapped, err)
			}
		}
		same(t, "state", read(t, b), installation.State{Canary: "next"})
		if n := len(b.Events(t)); n != 1 {
			t.Errorf("%d events", n)
		}
	})

	t.Run("what is sealed is sealed again, unless it has changed or does not open", func(t *testing.T) {
		a, b := ready(t)
		var places []string
		done, err := a.Installation.Reseal(t.Context(), func(sealed, place string) (string, error) {
			places = append(places, place)
			return sealed + " again", nil
		})
		want := installation.Resealed{Column: "installation.canary", Values: 1, Sealed: 1}
		if err != nil || len(done) == 0 || done[0] != want || places[0] != "installation/1/canary" {
			t.Fatalf("%+v %v %v", done, places, err)
		}
		same(t, "state", read(t, b), installation.State{Canary: "canary again"})
		done, err = a.Installation.Reseal(t.Context(), func(sealed, _ string) (string, error) {
			if _, err := b.Installation.SwapCanary(t.Context(), sealed, "meanwhile"); err != nil {
				t.Error(err)
			}
			return "late", nil
		})
		if err != nil || done[0].Sealed != 0 {
			t.Fatalf("%+v %v", done, err)
		}
		closed := errors.New("does not open")
		if _, err := a.Installation.Reseal(t.Context(), func(string, string) (string, error) { return "", closed }); !errors.Is(err, closed) {
			t.Fatal(err)
		}
		same(t, "state", read(t, b), installation.State{Canary: "meanwhile"})
	})

	t.Run("a cancelled context writes nothing", func(t *testing.T) {
		a, b := ready(t)
		who, w := owner(1)
		_, reading := a.Installation.Read(cancelled(t))
		_, swapping := a.Installation.SwapCanary(cancelled(t), "canary", "x")
		_, resealing := a.Installation.Reseal(cancelled(t), func(string, string) (string, error) { return "x", nil })
		for name, err := range map[string]error{
			"Read": reading, "SwapCanary": swapping, "Reseal": resealing, "Init": a.Installation.Init(cancelled(t), "x"),
			"SetCodeHash": a.Installation.SetCodeHash(cancelled(t), secret.Digest{1}),
			"SetUp":       a.Installation.SetUp(cancelled(t), who, w, start),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		same(t, "state", read(t, b), installation.State{Canary: "canary"})
	})
}
