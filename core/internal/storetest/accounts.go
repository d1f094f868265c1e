// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// fullAccount has every field set.
func fullAccount(email string) account.Account {
	signedIn := after(3*time.Second + time.Microsecond)
	return account.Account{
		ID: canon.NewID(), Email: email, Name: "Ada “Röck” 爱", PasswordHash: "$argon2id$old", Status: account.Active, DeploymentAdmin: true,
		InterfaceLanguage: "zh-Hans", Timezone: "Europe/Berlin", LastLoginAt: &signedIn, LastLoginIP: "2001:db8::1",
		CreatedAt: after(time.Second), UpdatedAt: after(2 * time.Second),
	}
}

// Accounts is the contract of account.Store.
func Accounts(t *testing.T, open OpenDurable) {
	t.Run("every field comes back as it went in, by id and by e-mail", func(t *testing.T) {
		a, b := open(t)
		bare := account.Account{ID: canon.NewID(), Email: "bare@example.com", Name: "B", Status: account.Pending, CreatedAt: start, UpdatedAt: start}
		for _, want := range []account.Account{a.AddAccount(t, fullAccount("ada@example.com")), a.AddAccount(t, bare)} {
			byID, err := b.Accounts.ByID(t.Context(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			byEmail, err := b.Accounts.ByEmail(t.Context(), want.Email)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "by id", byID, want)
			same(t, "by e-mail", byEmail, want)
		}
	})

	t.Run("an unknown account", func(t *testing.T) {
		a, _ := open(t)
		a.AddActive(t, "ada@example.com")
		if _, err := a.Accounts.ByID(t.Context(), canon.NewID()); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("by id: %v, want %v", err, account.ErrNotFound)
		}
		for _, email := range []string{"bob@example.com", "ADA@example.com", "ada@example.co_", "%"} {
			if _, err := a.Accounts.ByEmail(t.Context(), email); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("by e-mail %s: %v, want %v", email, err, account.ErrNotFound)
			}
		}
	})

	t.Run("a password hash is replaced only while it is the one that was read", func(t *testing.T) {
		a, b := open(t)
		want := a.AddAccount(t, fullAccount("ada@example.com"))
		other := a.AddAccount(t, fullAccount("bob@example.com"))
		now := after(time.Hour)
		if err := a.Accounts.SetPasswordHash(t.Context(), want.ID, "$argon2id$other", "$argon2id$lost", now); err != nil {
			t.Fatalf("a lost race is no failure: %v", err)
		}
		got, _ := b.Accounts.ByID(t.Context(), want.ID)
		same(t, "after the lost race", got, want)

		if err := a.Accounts.SetPasswordHash(t.Context(), want.ID, want.PasswordHash, "$argon2id$new", now); err != nil {
			t.Fatal(err)
		}
		want.PasswordHash, want.UpdatedAt = "$argon2id$new", now
		got, _ = b.Accounts.ByID(t.Context(), want.ID)
		same(t, "after the rehash", got, want)
		got, _ = b.Accounts.ByID(t.Context(), other.ID)
		same(t, "somebody else with the same hash", got, other)
	})

	t.Run("of many rehashes one wins", func(t *testing.T) {
		a, b := open(t)
		handles := []Durable{a, b}
		who := a.AddAccount(t, fullAccount("ada@example.com"))
		for _, err := range atOnce(10, func(i int) error {
			return handles[i%2].Accounts.SetPasswordHash(context.Background(), who.ID, who.PasswordHash, fmt.Sprint("new", i), after(time.Duration(i)*time.Second))
		}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		got, _ := b.Accounts.ByID(t.Context(), who.ID)
		var winner int
		if _, err := fmt.Sscanf(got.PasswordHash, "new%d", &winner); err != nil || !got.UpdatedAt.Equal(after(time.Duration(winner)*time.Second)) {
			t.Fatalf("%s at %s", got.PasswordHash, got.UpdatedAt)
		}
	})

	t.Run("a cancelled context writes and reads nothing", func(t *testing.T) {
		a, b := open(t)
		want := a.AddAccount(t, fullAccount("ada@example.com"))
		_, byID := a.Accounts.ByID(cancelled(t), want.ID)
		_, byEmail := a.Accounts.ByEmail(cancelled(t), want.Email)
		for name, err := range map[string]error{
			"ByID": byID, "ByEmail": byEmail,
			"SetPasswordHash": a.Accounts.SetPasswordHash(cancelled(t), want.ID, want.PasswordHash, "new", start),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		got, _ := b.Accounts.ByID(t.Context(), want.ID)
		same(t, "the account", got, want)
	})
}

// Workspaces is the contract of workspace.Store.
func Workspaces(t *testing.T, open OpenDurable) {
	t.Run("every field comes back, by the workspace's creation, then id; archived ones too", func(t *testing.T) {
		a, b := open(t)
		who, other := a.AddActive(t, "ada@example.com"), a.AddActive(t, "bob@example.com")
		make := func(name string, s workspace.Status, created time.Duration) workspace.Workspace {
			return a.AddWorkspace(t, workspace.Workspace{ID: canon.NewID(), Name: name, Status: s, CreatedAt: after(created), UpdatedAt: after(created + time.Microsecond)})
		}
		// Made so that neither the order of insertion nor of memberships nor of ids is the
		// one that is asked for.
		late := make("late", workspace.StatusNormal, 2*time.Second)
		twin1 := make("twin 1", workspace.StatusArchived, time.Second)
		twin2 := make("twin 2", workspace.StatusNormal, time.Second)
		early := make("early", workspace.StatusNormal, 0)
		foreign := make("foreign", workspace.StatusNormal, 0)
		a.AddMember(t, twin2.ID, who.ID, workspace.Normal, false)
		a.AddMember(t, early.ID, who.ID, workspace.Owner, false)
		a.AddMember(t, late.ID, who.ID, workspace.Editor, true)
		a.AddMember(t, twin1.ID, who.ID, workspace.Admin, false)
		a.AddMember(t, foreign.ID, other.ID, workspace.Owner, true)

		got, err := b.Workspaces.MembershipsOf(t.Context(), who.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "memberships", got, []workspace.Membership{
			{Workspace: early, Role: workspace.Owner},
			{Workspace: twin1, Role: workspace.Admin},
			{Workspace: twin2, Role: workspace.Normal},
			{Workspace: late, Role: workspace.Editor, Current: true},
		})
	})

	t.Run("an account without any, and an unknown one", func(t *testing.T) {
		a, _ := open(t)
		for _, id := range []string{a.AddActive(t, "ada@example.com").ID, canon.NewID()} {
			if got, err := a.Workspaces.MembershipsOf(t.Context(), id); err != nil || len(got) > 0 {
				t.Errorf("%v, %v", got, err)
			}
		}
	})

	t.Run("a cancelled context reads nothing", func(t *testing.T) {
		a, _ := open(t)
		if _, err := a.Workspaces.MembershipsOf(cancelled(t), canon.NewID()); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}
