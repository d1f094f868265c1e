// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Members is the contract of workspace.MemberStore, and of what the service makes of it
// on two replicas.
func Members(t *testing.T, open OpenDurable) {
	memberReads(t, open)
	memberWrites(t, open)
	invitationRows(t, open)
	memberFailures(t, open)
	memberRaces(t, open)
}

// NewMembers builds the service that changes members, on a store that may fail by plan.
func NewMembers(t *testing.T, d Durable, s workspace.MemberStore, tombs *Tombs, limit int, now func() time.Time) *workspace.Members {
	t.Helper()
	recorder, err := audit.NewRecorder(d.Audit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ends := NewAccess(t, d, d.Access, tombs, recorder, now)
	m, err := workspace.NewMembers(workspace.MembersDeps{
		Store: s, Access: ends, Console: ends.Console, Passwords: ends.Passwords, Recorder: recorder, Now: now, MemberLimit: limit,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func at(when time.Time) func() time.Time { return func() time.Time { return when } }

// AddWorkspaceOf makes a workspace with an owner.
func (d Durable) AddWorkspaceOf(t *testing.T, name, owner string) workspace.Workspace {
	t.Helper()
	w := d.AddWorkspace(t, workspace.Workspace{ID: canon.NewID(), Name: name, Status: workspace.StatusNormal, CreatedAt: start, UpdatedAt: start})
	d.AddMember(t, w.ID, owner, workspace.Owner, false)
	return w
}

// Archive archives a workspace.
func (d Durable) Archive(t *testing.T, id string) {
	t.Helper()
	d.exec(t, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, id)
}

// belonging describes, in an order of its own, everything that acts on members change:
// two states are the same when nothing was written in between.
func (d Durable) belonging(t *testing.T) (out []string) {
	t.Helper()
	for _, query := range []string{
		`SELECT 'account ' || email || ' ' || status || ' ' || name || CASE WHEN password_hash IS NULL THEN '' ELSE ' password' END FROM accounts`,
		`SELECT 'member ' || w.name || ' ' || a.email || ' ' || m.role || CASE WHEN m.current THEN ' current' ELSE '' END
			FROM memberships m JOIN workspaces w ON w.id = m.workspace_id JOIN accounts a ON a.id = m.account_id`,
		`SELECT 'invitation ' || i.id || ' ' || w.name || ' ' || i.email || ' ' || i.role || CASE WHEN i.accepted_at IS NULL THEN ' open' ELSE ' used' END
			FROM invitations i JOIN workspaces w ON w.id = i.workspace_id`,
		`SELECT 'browser ' || id FROM console_sessions`,
		`SELECT 'epoch ' || subject_key || ' ' || epoch FROM subject_epochs`,
		`SELECT 'token ' || id || CASE WHEN revoked_at IS NULL THEN ' live' ELSE ' ended' END FROM oauth_access_tokens`,
		`SELECT 'event ' || event FROM audit_events`,
	} {
		out = append(out, d.column(t, query)...)
	}
	return out
}

// among runs one transaction over members that is to succeed.
func (d Durable) among(t *testing.T, fn func(ctx context.Context, tx workspace.Tx) error) {
	t.Helper()
	if err := d.Members.InTx(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func memberReads(t *testing.T, open OpenDurable) {
	t.Run("a page of members is in the order of joining, then id, with all of their number", func(t *testing.T) {
		a, b := open(t)
		owner := a.AddActive(t, "owner@example.com")
		w, other := a.AddWorkspaceOf(t, "w", owner.ID), a.AddWorkspaceOf(t, "other", a.AddActive(t, "x@example.com").ID)
		var want []workspace.Member
		join := func(email string, role workspace.Role, s account.Status, when time.Duration) {
			acc := fullAccount(email)
			acc.Status = s
			a.AddAccount(t, acc)
			a.among(t, func(ctx context.Context, tx workspace.Tx) error {
				return errors.Join(
					tx.AddMember(ctx, workspace.NewMember{WorkspaceID: w.ID, AccountID: acc.ID, Role: role, InvitedBy: owner.ID, JoinedAt: after(when)}),
					tx.AddMember(ctx, workspace.NewMember{WorkspaceID: other.ID, AccountID: acc.ID, Role: workspace.Normal, JoinedAt: after(when)}))
			})
			want = append(want, workspace.Member{AccountID: acc.ID, Name: acc.Name, Email: email, Role: role, Status: s, JoinedAt: after(when)})
		}
		join("c@example.com", workspace.Normal, account.Pending, time.Second) // ids are in the order of making
		join("b@example.com", workspace.Admin, account.Banned, time.Second)
		join("a@example.com", workspace.Editor, account.Active, time.Microsecond)
		all := []workspace.Member{{AccountID: owner.ID, Name: owner.Name, Email: owner.Email, Role: workspace.Owner, Status: account.Active, JoinedAt: start}, want[2], want[0], want[1]}
		for _, c := range []struct {
			offset, limit int
			want          []workspace.Member
		}{{0, 10, all}, {0, 2, all[:2]}, {2, 2, all[2:]}, {3, 1, all[3:]}, {4, 10, nil}} {
			got, total, err := b.Members.List(t.Context(), w.ID, c.offset, c.limit)
			if err != nil || total != 4 {
				t.Fatalf("%d from %d: total %d, %v", c.limit, c.offset, total, err)
			}
			same(t, "members", got, c.want)
		}
		if got, total, err := b.Members.List(t.Context(), canon.NewID(), 0, 10); err != nil || total != 0 || len(got) > 0 {
			t.Errorf("unknown workspace: %v, %d, %v", got, total, err)
		}
		b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			m, err := tx.Member(ctx, w.ID, want[0].AccountID)
			same(t, "one member", m, want[0])
			n, err2 := tx.CountMembers(ctx, w.ID)
			if _, unknown := tx.Member(ctx, w.ID, canon.NewID()); !errors.Is(unknown, workspace.ErrMemberNotFound) || n != 4 {
				t.Errorf("%d members, unknown: %v", n, unknown)
			}
			return errors.Join(err, err2)
		})
	})

	t.Run("a place is a member's alone, archived ones included", func(t *testing.T) {
		a, b := open(t)
		who, other := a.AddActive(t, "ada@example.com"), a.AddActive(t, "bob@example.com")
		w := a.AddWorkspaceOf(t, "w", other.ID)
		a.AddMember(t, w.ID, who.ID, workspace.Editor, true)
		foreign := a.AddWorkspaceOf(t, "foreign", other.ID)
		for _, status := range []workspace.Status{workspace.StatusNormal, workspace.StatusArchived} {
			w.Status = status
			a.exec(t, `UPDATE workspaces SET status = $1 WHERE id = $2`, string(status), w.ID)
			got, err := b.Workspaces.Place(t.Context(), w.ID, who.ID)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "place", got, workspace.Membership{Workspace: w, Role: workspace.Editor, Current: true})
		}
		for _, id := range []string{foreign.ID, canon.NewID(), who.ID} {
			if _, err := b.Workspaces.Place(t.Context(), id, who.ID); !errors.Is(err, workspace.ErrNotFound) {
				t.Errorf("%s: %v", id, err)
			}
		}
	})

	t.Run("a cancelled context reads and writes nothing", func(t *testing.T) {
		a, _ := open(t)
		ctx := cancelled(t)
		_, place := a.Workspaces.Place(ctx, canon.NewID(), canon.NewID())
		_, _, list := a.Members.List(ctx, canon.NewID(), 0, 1)
		_, invitation := a.Members.Invitation(ctx, digestOf("x"), start)
		for name, err := range map[string]error{
			"Place": place, "List": list, "Invitation": invitation,
			"InTx": a.Members.InTx(ctx, func(context.Context, workspace.Tx) error { t.Error("ran"); return nil }),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func memberWrites(t *testing.T, open OpenDurable) {
	t.Run("an archived or unknown workspace is not taken", func(t *testing.T) {
		a, b := open(t)
		w := a.AddWorkspaceOf(t, "w", a.AddActive(t, "ada@example.com").ID)
		b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			got, err := tx.LockWorkspace(ctx, w.ID)
			same(t, "workspace", got, w)
			return err
		})
		a.Archive(t, w.ID)
		b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			for _, id := range []string{w.ID, canon.NewID()} {
				if _, err := tx.LockWorkspace(ctx, id); !errors.Is(err, workspace.ErrNotFound) {
					t.Errorf("%s: %v", id, err)
				}
			}
			return nil
		})
	})

	t.Run("an address is claimed by its account, or by a new one", func(t *testing.T) {
		a, b := open(t)
		known := a.AddAccount(t, fullAccount("ada@example.com"))
		fresh := account.Account{ID: canon.NewID(), Email: "bob@example.com", Name: "bob@example.com", Status: account.Pending, CreatedAt: after(time.Second), UpdatedAt: after(time.Second)}
		b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			got, err1 := tx.ClaimAccount(ctx, account.Account{ID: canon.NewID(), Email: known.Email, Name: "x", Status: account.Pending, CreatedAt: start, UpdatedAt: start})
			same(t, "known", got, known)
			got, err2 := tx.ClaimAccount(ctx, fresh)
			same(t, "new", got, fresh)
			got, err3 := tx.LockAccount(ctx, known.ID)
			same(t, "locked", got, known)
			if _, err := tx.LockAccount(ctx, canon.NewID()); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("unknown: %v", err)
			}
			return errors.Join(err1, err2, err3)
		})
		for _, want := range []account.Account{known, fresh} {
			got, err := a.Accounts.ByEmail(t.Context(), want.Email)
			if err != nil {
				t.Fatal(err)
			}
			same(t, want.Email, got, want)
		}
	})

	t.Run("a pending account that belongs nowhere is dropped, and no other", func(t *testing.T) {
		a, b := open(t)
		owner := a.AddActive(t, "owner@example.com")
		w := a.AddWorkspaceOf(t, "w", owner.ID)
		pending := func(email string) account.Account {
			return a.AddAccount(t, account.Account{ID: canon.NewID(), Email: email, Name: "P", Status: account.Pending, CreatedAt: start, UpdatedAt: start})
		}
		alone, listed, active := pending("alone@example.com"), pending("listed@example.com"), a.AddActive(t, "active@example.com")
		a.AddMember(t, w.ID, listed.ID, workspace.Normal, false)
		b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			for id, want := range map[string]bool{alone.ID: true, listed.ID: false, active.ID: false, canon.NewID(): false} {
				if got, err := tx.DropPending(ctx, id); err != nil || got != want {
					t.Errorf("%s: %t, %v", id, got, err)
				}
			}
			return nil
		})
		if n := a.Count(t, `SELECT count(*) FROM accounts`); n != 3 {
			t.Fatalf("%d accounts", n)
		}
	})

	t.Run("API-8 one membership is the current one, in whichever order they were made", func(t *testing.T) {
		a, b := open(t)
		who := a.AddActive(t, "ada@example.com")
		var ids []string
		for range 3 {
			ids = append(ids, a.AddWorkspaceOf(t, "w", who.ID).ID)
		}
		foreign := a.AddWorkspaceOf(t, "foreign", a.AddActive(t, "bob@example.com").ID)
		for _, i := range []int{1, 0, 2, 2, 0, 1} {
			b.among(t, func(ctx context.Context, tx workspace.Tx) error {
				ok, err := tx.MakeCurrent(ctx, ids[i], who.ID, after(time.Second))
				has, err2 := tx.HasCurrent(ctx, who.ID)
				if !ok || !has {
					t.Errorf("made %t, has %t", ok, has)
				}
				return errors.Join(err, err2)
			})
			list, err := a.Workspaces.MembershipsOf(t.Context(), who.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				if m.Current != (m.Workspace.ID == ids[i]) {
					t.Fatalf("%s is current: %t", m.Workspace.ID, m.Current)
				}
			}
		}
		boom := errors.New("boom")
		if err := b.Members.InTx(t.Context(), func(ctx context.Context, tx workspace.Tx) error {
			if ok, err := tx.MakeCurrent(ctx, foreign.ID, who.ID, start); ok || err != nil {
				t.Errorf("a foreign one: %t, %v", ok, err)
			}
			return boom
		}); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if n := a.Count(t, `SELECT count(*) FROM memberships WHERE current = $1 AND workspace_id = $2`, true, ids[1]); n != 1 {
			t.Fatal("what was rolled back took the current one along")
		}
	})

	t.Run("tokens without an account that carry an address", func(t *testing.T) {
		a, b := open(t)
		ada := a.subject(t, "ada@example.com")
		a.login(t, device(ada, "l", "1", start))
		a.login(t, guest(external(idp, "bob", "bob@example.com", ""), "l", "2", start))
		a.login(t, guest(external(idp, "old", "old@example.com", ""), "l", "3", after(-14*24*time.Hour)))
		a.end(t, a.login(t, guest(external(idp, "eve", "eve@example.com", ""), "l", "4", start)).ID, start)
		b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			for email, want := range map[string]bool{"ada@example.com": false, "bob@example.com": true, "old@example.com": false, "eve@example.com": false, "x@example.com": false} {
				if got, err := tx.HoldsExternalTokens(ctx, email, start); err != nil || got != want {
					t.Errorf("%s: %t, %v", email, got, err)
				}
			}
			return nil
		})
	})

	t.Run("an activation is of a pending account, and begins a browser in place of another", func(t *testing.T) {
		a, b := open(t)
		active := a.AddAccount(t, fullAccount("ada@example.com"))
		pending := a.AddAccount(t, account.Account{ID: canon.NewID(), Email: "bob@example.com", Name: "bob@example.com", Status: account.Pending, CreatedAt: start, UpdatedAt: start})
		old, fresh := a.begin(t, browser(active.ID, "old", start)), browser(pending.ID, "fresh", after(time.Minute))
		before, _ := a.Accounts.ByID(t.Context(), active.ID)
		now := after(time.Minute)
		b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			no, err1 := tx.Activate(ctx, active.ID, "X", "$x", "192.0.2.1", now)
			yes, err2 := tx.Activate(ctx, pending.ID, "Bob", "$argon2id$bob", "192.0.2.9", now)
			if no || !yes {
				t.Errorf("active %t, pending %t", no, yes)
			}
			return errors.Join(err1, err2, tx.ReplaceBrowser(ctx, fresh, old.TokenHash))
		})
		pending.Name, pending.PasswordHash, pending.Status, pending.LastLoginAt, pending.LastLoginIP, pending.UpdatedAt = "Bob", "$argon2id$bob", account.Active, &now, "192.0.2.9", now
		for _, want := range []account.Account{before, pending} {
			got, err := a.Accounts.ByID(t.Context(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			same(t, want.Email, got, want)
		}
		if left := a.browsers(t, active.ID); len(left) > 0 {
			t.Error("the browser's former session lives")
		}
		same(t, "browsers", a.browsers(t, pending.ID), []console.Session{fresh})
	})
}

func invitationRows(t *testing.T, open OpenDurable) {
	type world struct {
		a, b    Durable
		w       workspace.Workspace
		by, who account.Account
	}
	build := func(t *testing.T) world {
		a, b := open(t)
		w := world{a: a, b: b, by: a.AddAccount(t, fullAccount("owner@example.com")), who: a.AddActive(t, "ada@example.com")}
		w.w = a.AddWorkspaceOf(t, "Team “1”", w.by.ID)
		return w
	}
	put := func(t *testing.T, w world, token string, expires time.Time) workspace.NewInvitation {
		i := workspace.NewInvitation{
			ID: canon.NewID(), WorkspaceID: w.w.ID, AccountID: w.who.ID, Email: w.who.Email, Role: workspace.Admin,
			Token: digestOf(token), InvitedBy: w.by.ID, ExpiresAt: expires, CreatedAt: start,
		}
		w.a.among(t, func(ctx context.Context, tx workspace.Tx) error { return tx.PutInvitation(ctx, i) })
		return i
	}
	find := func(w world, token string, now time.Time) error {
		_, err := w.b.Members.Invitation(context.Background(), digestOf(token), now)
		return err
	}

	t.Run("every field comes back, until the instant of its end", func(t *testing.T) {
		w := build(t)
		i := put(t, w, "one", after(time.Hour))
		got, err := w.b.Members.Invitation(t.Context(), digestOf("one"), after(time.Hour-time.Microsecond))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "invitation", got, workspace.Invitation{
			ID: i.ID, WorkspaceID: w.w.ID, WorkspaceName: w.w.Name, AccountID: w.who.ID, Email: w.who.Email, Status: account.Active, Role: workspace.Admin,
			InvitedBy: w.by.ID, InviterName: w.by.Name, InviterEmail: w.by.Email, ExpiresAt: after(time.Hour),
		})
		for name, err := range map[string]error{"unknown": find(w, "other", start), "at its end": find(w, "one", after(time.Hour)), "later": find(w, "one", after(2*time.Hour))} {
			if !errors.Is(err, workspace.ErrInvitationNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.a.Archive(t, w.w.ID)
		if err := find(w, "one", start); !errors.Is(err, workspace.ErrInvitationNotFound) {
			t.Errorf("archived: %v", err)
		}
	})

	t.Run("API-11 a new one takes the old one's place", func(t *testing.T) {
		w := build(t)
		put(t, w, "one", after(time.Hour))
		put(t, w, "two", after(2*time.Hour))
		if err := find(w, "one", start); !errors.Is(err, workspace.ErrInvitationNotFound) {
			t.Errorf("the old one: %v", err)
		}
		if err := find(w, "two", start); err != nil {
			t.Error(err)
		}
		if n := w.a.Count(t, `SELECT count(*) FROM invitations`); n != 1 {
			t.Errorf("%d rows", n)
		}
	})

	for name, use := range map[string]func(ctx context.Context, tx workspace.Tx, d secret.Digest, account string, now time.Time) (workspace.Role, error){
		"taken": func(ctx context.Context, tx workspace.Tx, d secret.Digest, account string, now time.Time) (workspace.Role, error) {
			return tx.TakeInvitation(ctx, d, account, now)
		},
		"dropped": func(ctx context.Context, tx workspace.Tx, d secret.Digest, account string, now time.Time) (workspace.Role, error) {
			return tx.DropInvitation(ctx, d, account, now)
		},
	} {
		t.Run("API-11 one is "+name+" once, by its account, in time", func(t *testing.T) {
			w := build(t)
			put(t, w, "one", after(time.Hour))
			w.b.among(t, func(ctx context.Context, tx workspace.Tx) error {
				for what, c := range map[string]struct {
					token, account string
					now            time.Time
				}{"unknown": {"x", w.who.ID, start}, "another's": {"one", w.by.ID, start}, "late": {"one", w.who.ID, after(time.Hour)}} {
					if _, err := use(ctx, tx, digestOf(c.token), c.account, c.now); !errors.Is(err, workspace.ErrInvitationNotFound) {
						t.Errorf("%s: %v", what, err)
					}
				}
				role, err := use(ctx, tx, digestOf("one"), w.who.ID, after(time.Hour-time.Microsecond))
				if _, again := use(ctx, tx, digestOf("one"), w.who.ID, start); role != workspace.Admin || !errors.Is(again, workspace.ErrInvitationNotFound) {
					t.Errorf("role %q, again: %v", role, again)
				}
				return err
			})
			if err := find(w, "one", start); !errors.Is(err, workspace.ErrInvitationNotFound) {
				t.Errorf("afterwards: %v", err)
			}
			put(t, w, "two", after(time.Hour)) // a used one stands in nobody's way
			if err := find(w, "two", start); err != nil {
				t.Error(err)
			}
		})
	}

	t.Run("what an account has not accepted is dropped, what it has stays", func(t *testing.T) {
		w := build(t)
		used, none := w.a.AddWorkspaceOf(t, "used", w.by.ID), w.a.AddWorkspaceOf(t, "none", w.by.ID)
		for _, id := range []string{w.w.ID, used.ID, none.ID} {
			w.a.AddMember(t, id, w.who.ID, workspace.Normal, false)
		}
		put(t, w, "open", after(-time.Hour)) // expired ones too: it was not accepted
		w.w = used
		put(t, w, "used", after(time.Hour))
		w.b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			_, err := tx.TakeInvitation(ctx, digestOf("used"), w.who.ID, start)
			return errors.Join(err, tx.DropUnaccepted(ctx, w.who.ID))
		})
		list, err := w.a.Workspaces.MembershipsOf(t.Context(), w.who.ID)
		if err != nil || len(list) != 2 || list[0].Workspace.ID == list[1].Workspace.ID {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, m := range list {
			if m.Workspace.ID != used.ID && m.Workspace.ID != none.ID {
				t.Errorf("kept %s", m.Workspace.Name)
			}
		}
	})

	t.Run("a role changes with its open invitation, and both go together", func(t *testing.T) {
		w := build(t)
		w.a.AddMember(t, w.w.ID, w.who.ID, workspace.Admin, false)
		put(t, w, "one", after(time.Hour))
		w.b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			ok, err1 := tx.SetRole(ctx, w.w.ID, w.who.ID, workspace.Normal, after(time.Second))
			no, err2 := tx.SetRole(ctx, w.w.ID, canon.NewID(), workspace.Normal, start)
			if !ok || no {
				t.Errorf("%t, unknown %t", ok, no)
			}
			return errors.Join(err1, err2)
		})
		got, err := w.a.Members.Invitation(t.Context(), digestOf("one"), start)
		if err != nil || got.Role != workspace.Normal {
			t.Fatalf("%s, %v", got.Role, err)
		}
		w.b.among(t, func(ctx context.Context, tx workspace.Tx) error {
			ok, err1 := tx.RemoveMember(ctx, w.w.ID, w.who.ID)
			again, err2 := tx.RemoveMember(ctx, w.w.ID, w.who.ID)
			if !ok || again {
				t.Errorf("%t, again %t", ok, again)
			}
			return errors.Join(err1, err2)
		})
		if err := find(w, "one", start); !errors.Is(err, workspace.ErrInvitationNotFound) {
			t.Errorf("afterwards: %v", err)
		}
	})
}
