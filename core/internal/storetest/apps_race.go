// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// appFailures lets each statement of each act fail in turn: nothing of it is left, and the
// act can be done again.
func appFailures(t *testing.T, open OpenDurable) {
	type failing struct {
		run        func(ctx context.Context, r *apps.Registry, h house, app string) error
		statements []string
	}
	acts := map[string]failing{
		"create": {func(ctx context.Context, r *apps.Registry, h house, _ string) error {
			_, err := r.Create(ctx, apps.Member(h.owner.ID), h.w.ID, apps.Draft{
				Name: "New", Mode: apps.Chat, RuntimeURL: appURL, Key: secret.New(appKey), Allowed: []string{h.normal.ID}, Once: true,
			})
			return err
		}, []string{"InTx", "Tx.LockWorkspace", "Tx.Role", "Tx.Members", "Tx.Named", "Tx.Insert", "Tx.Allow", "Tx.Entry", "Tx.Append", "Tx.Commit"}},
		"update": {func(ctx context.Context, r *apps.Registry, h house, app string) error {
			_, _, err := r.Update(ctx, apps.Member(h.owner.ID), app, apps.Change{Name: new("Other"), Key: new(secret.New("another")), Allowed: &[]string{h.editor.ID}})
			return err
		}, []string{"InTx", "Tx.LockWorkspaceOf", "Tx.Role", "Tx.Entry", "Tx.Members", "Tx.Save", "Tx.Disallow", "Tx.Allow", "Tx.Append", "Tx.Commit"}},
		"remove": {func(ctx context.Context, r *apps.Registry, h house, app string) error {
			return r.Remove(ctx, apps.Member(h.owner.ID), app)
		}, []string{"InTx", "Tx.LockWorkspaceOf", "Tx.Role", "Tx.Entry", "Tx.Remove", "Tx.Append", "Tx.Commit"}},
		"declare": {func(ctx context.Context, r *apps.Registry, h house, app string) error {
			_, err := r.Reconcile(ctx, apps.Operator(audit.Operator), []apps.Declaration{
				{ID: app, Name: "Other"}, {Workspace: "w", Name: "New", Mode: new(apps.Workflow), Runtime: new(apps.RuntimeEcho), Allowed: &[]string{h.editor.Email}},
			}, false)
			return err
		}, []string{"InTx", "Tx.WorkspacesNamed", "Tx.Entry", "Tx.LockWorkspace", "Tx.Members", "Tx.Named", "Tx.Save", "Tx.Insert", "Tx.Allow", "Tx.Append", "Tx.Commit"}},
		"find": {func(ctx context.Context, r *apps.Registry, h house, app string) error {
			_, err := r.Find(ctx, apps.Member(h.owner.ID), app)
			return err
		}, []string{"Place", "Entry"}},
		"list": {func(ctx context.Context, r *apps.Registry, h house, _ string) error {
			_, _, err := r.List(ctx, apps.Member(h.owner.ID), h.w.ID, 1, 10)
			return err
		}, []string{"Member", "Kept"}},
	}
	for name, act := range acts {
		t.Run("OUT-06 "+name+" an app: whatever fails, nothing is left", func(t *testing.T) {
			h := newHouse(t, open)
			app := h.app(t).ID
			var faults Faults
			r := NewRegistry(t, h.a, FaultyApps(h.a.Apps, &faults), at(after(time.Hour)))
			before := h.b.registry(t)
			for _, statement := range act.statements {
				faults.Clear()
				faults.Plan(Fault{Method: statement, On: 1})
				err := act.run(t.Context(), r, h, app)
				if fault.Of(err).Kind() != fault.Unavailable || faults.Calls(statement) == 0 {
					t.Fatalf("%s fails: %v", statement, err)
				}
				same(t, statement, h.b.registry(t), before)
			}
			faults.Clear()
			if err := act.run(t.Context(), r, h, app); err != nil {
				t.Fatal(err)
			}
			if changed := !slices.Equal(h.b.registry(t), before); changed != slices.Contains(act.statements, "InTx") {
				t.Errorf("changed: %t", changed)
			}
		})
	}
}

// appRaces lets two replicas act at once. What must hold then is asked of the rows.
func appRaces(t *testing.T, open OpenDurable) {
	ctx := context.Background()
	t.Run("two changes of one app at once are both made, each upon the other", func(t *testing.T) {
		h := newHouse(t, open)
		app := h.app(t).ID
		for n := range accessRounds(100) {
			for _, err := range atOnce(4, func(i int) error {
				c := []apps.Change{
					{Name: new(fmt.Sprint("name ", n))}, {Description: new(fmt.Sprint("text ", n))}, {Key: new(secret.New(fmt.Sprint("key-", n)))},
					{Allowed: &[]string{[]string{h.normal.ID, h.editor.ID}[n%2]}},
				}[i]
				_, _, err := h.r[i%2].Update(ctx, apps.Member(h.owner.ID), app, c)
				return err
			}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			e, err := h.r[n%2].Find(t.Context(), apps.Member(h.owner.ID), app)
			if err != nil {
				t.Fatal(err)
			}
			key, err := h.r[0].OpenKey(e.App)
			if err != nil || key.Reveal() != fmt.Sprint("key-", n) || e.Name != fmt.Sprint("name ", n) || e.Description != fmt.Sprint("text ", n) ||
				len(e.Allowed) != 1 || e.Allowed[0].AccountID != []string{h.normal.ID, h.editor.ID}[n%2] {
				t.Fatalf("round %d: %+v, %v", n, e, err)
			}
		}
	})

	t.Run("of several who set one value, one changes it, and the others change nothing", func(t *testing.T) {
		h := newHouse(t, open)
		app := h.app(t).ID
		for n := range accessRounds(50) {
			won := 0
			for _, changed := range atOnce(4, func(i int) []string {
				_, changed, err := h.r[i%2].Update(ctx, apps.Member(h.owner.ID), app, apps.Change{Name: new(fmt.Sprint(n))})
				if err != nil {
					t.Error(err)
				}
				return changed
			}) {
				won += len(changed)
			}
			if events := h.a.Count(t, `SELECT count(*) FROM audit_events WHERE event = 'app.updated'`); won != 1 || events != n+1 {
				t.Fatalf("round %d: %d have changed it, %d events", n, won, events)
			}
		}
	})

	t.Run("a change and a removal at once: the app is gone with its list, once", func(t *testing.T) {
		h := newHouse(t, open)
		for n := range accessRounds(100) {
			app := h.app(t).ID
			removed := 0
			for i, err := range atOnce(4, func(i int) error {
				if i < 2 {
					return h.r[i].Remove(ctx, apps.Member(h.owner.ID), app)
				}
				_, _, err := h.r[i%2].Update(ctx, apps.Member(h.admin.ID), app, apps.Change{Name: new(fmt.Sprint(n, i)), Allowed: &[]string{h.editor.ID}})
				return err
			}) {
				if err == nil && i < 2 {
					removed++
				}
				if err := refused(err, apps.ErrNotFound); err != nil {
					t.Fatal(err)
				}
			}
			left := h.b.Count(t, `SELECT count(*) FROM apps WHERE id = $1`, app) + h.b.Count(t, `SELECT count(*) FROM app_access WHERE app_id = $1`, app)
			if removed != 1 || left != 0 {
				t.Fatalf("round %d: %d removed it, %d rows left", n, removed, left)
			}
		}
	})

	t.Run("PL-7 a role is taken away while its holder changes an app: what comes after is refused", func(t *testing.T) {
		h := newHouse(t, open)
		app := h.app(t).ID
		members := NewMembers(t, h.b, h.b.Members, &Tombs{}, 0, at(start))
		for n := range accessRounds(60) {
			h.a.exec(t, `UPDATE memberships SET role = 'editor' WHERE account_id = $1`, h.editor.ID)
			h.a.exec(t, `DELETE FROM audit_events`)
			for _, err := range atOnce(3, func(i int) error {
				if i == 0 {
					return members.SetRole(ctx, h.owner.ID, h.w.ID, h.editor.ID, workspace.Normal)
				}
				_, _, err := h.r[i%2].Update(ctx, apps.Member(h.editor.ID), app, apps.Change{Name: new(fmt.Sprint(n, i))})
				return refused(err, workspace.ErrRole)
			}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			_, _, err := h.r[n%2].Update(ctx, apps.Member(h.editor.ID), app, apps.Change{Name: new("late")})
			if name := h.b.Count(t, `SELECT count(*) FROM apps WHERE name = 'late'`); refused(err, workspace.ErrRole) != nil || err == nil || name != 0 {
				t.Fatalf("round %d: %v", n, err)
			}
		}
	})

	t.Run("a member leaves while they are put on a list of access: they are on none", func(t *testing.T) {
		h := newHouse(t, open)
		app := h.app(t).ID
		members := NewMembers(t, h.b, h.b.Members, &Tombs{}, 0, at(start))
		for n := range accessRounds(60) {
			who := h.a.AddActive(t, fmt.Sprintf("ada-%d@example.com", n))
			h.a.AddMember(t, h.w.ID, who.ID, workspace.Normal, false)
			for i, err := range atOnce(2, func(i int) error {
				if i == 0 {
					return members.Remove(ctx, h.owner.ID, h.w.ID, who.ID)
				}
				_, err := h.r[n%2].SetAllowed(ctx, apps.Member(h.owner.ID), app, []string{who.ID})
				return err
			}) {
				if i == 0 && err != nil || i == 1 && refused(err, apps.ErrInvalid) != nil {
					t.Fatal(err)
				}
			}
			if left := h.b.Count(t, `SELECT count(*) FROM app_access WHERE account_id = $1`, who.ID); left != 0 {
				t.Fatalf("round %d: a stranger is on the list", n)
			}
		}
	})

	t.Run("OUT-02 acts on apps and on members at once never wait for each other in a circle", func(t *testing.T) {
		h := newHouse(t, open)
		other := h.a.AddWorkspaceOf(t, "other", h.owner.ID)
		here, there := h.app(t).ID, h.a.put(t, apps.App{WorkspaceID: other.ID, Name: "There"}).ID
		members := []*workspace.Members{NewMembers(t, h.a, h.a.Members, &Tombs{}, 0, at(start)), NewMembers(t, h.b, h.b.Members, &Tombs{}, 0, at(start))}
		before := deadlocks(t, h.a)
		const workers = 8
		for _, err := range atOnce(workers, func(w int) error {
			for n := range accessRounds(100) {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				r := h.r[(w+n)%2]
				var err error
				switch w % 4 {
				case 0:
					declared := []apps.Declaration{{ID: here, Name: fmt.Sprint(n)}, {ID: there, Name: fmt.Sprint(n)}}
					if w > 3 {
						slices.Reverse(declared)
					}
					_, err = r.Reconcile(ctx, apps.Operator(audit.Operator), declared, n%3 == 0)
				case 1:
					_, _, err = r.Update(ctx, apps.Member(h.owner.ID), []string{here, there}[n%2], apps.Change{Description: new(fmt.Sprint(n))})
				case 2:
					err = members[n%2].SetRole(ctx, h.owner.ID, h.w.ID, h.normal.ID, []workspace.Role{workspace.Normal, workspace.Admin}[n%2])
				case 3:
					_, err = r.SetAllowed(ctx, apps.Member(h.owner.ID), here, [][]string{{h.normal.ID}, nil}[n%2])
				}
				cancel()
				if err := refused(err, workspace.ErrRoleUnchanged); err != nil {
					return fmt.Errorf("act %d: %w", w%4, err)
				}
			}
			return nil
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		if n := deadlocks(t, h.a) - before; n > 0 {
			t.Errorf("%d deadlocks", n)
		}
		if names := strings.Join(namesOf(paged(t, apps.Search{}, func(q apps.Search) ([]apps.Summary, int, error) {
			return h.b.Apps.Kept(t.Context(), "", q.Offset, q.Limit)
		})), " "); names == "" {
			t.Error("no apps are left")
		}
	})
}
