// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// put makes the row of an app that members may use, with what the test gives it.
func (d Durable) put(t *testing.T, a apps.App) apps.App {
	t.Helper()
	fill(&a.ID, canon.NewID())
	fill(&a.Name, "an app")
	fill(&a.Mode, apps.Chat)
	fill(&a.Runtime, apps.RuntimeEcho)
	fill(&a.Access, apps.InternalAll)
	fill(&a.Status, apps.StatusNormal)
	fill(&a.CreatedAt, start)
	fill(&a.UpdatedAt, start)
	if a.Tags == nil {
		a.Tags = []string{}
	}
	if err := d.Apps.Insert(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

func fill[T comparable](to *T, with T) {
	var none T
	if *to == none {
		*to = with
	}
}

// allow puts an account on an app's list.
func (d Durable) allow(t *testing.T, appID string, accounts ...string) {
	t.Helper()
	if err := d.Apps.InTx(t.Context(), func(ctx context.Context, tx apps.Tx) error { return tx.Allow(ctx, appID, "", start, accounts) }); err != nil {
		t.Fatal(err)
	}
}

func listed(a account.Account) apps.Allowed {
	return apps.Allowed{AccountID: a.ID, Email: a.Email, Name: a.Name}
}

func namesOf(list []apps.Summary) []string {
	names := []string{}
	for _, a := range list {
		names = append(names, a.Name)
	}
	return names
}

// paged reads a list by pages of three, whose totals must be what they add up to.
func paged(t *testing.T, q apps.Search, read func(q apps.Search) ([]apps.Summary, int, error)) []apps.Summary {
	t.Helper()
	var all []apps.Summary
	for q.Limit = 3; ; q.Offset += q.Limit {
		list, total, err := read(q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
		if len(list) == 0 {
			if total != len(all) {
				t.Errorf("total %d of %d apps", total, len(all))
			}
			return all
		}
	}
}

func appReads(t *testing.T, open OpenDurable) {
	t.Run("an app is read back as it was written, with everything and with nothing", func(t *testing.T) {
		h := newHouse(t, open)
		whole := h.a.put(t, apps.App{
			WorkspaceID: h.w.ID, Name: "Ｈelper ÄÖ 😀", Description: "two\nlines", Mode: apps.Workflow, Tags: []string{"a & b", "<c>", "é"}, Author: "Ada", Runtime: apps.RuntimeDify,
			RuntimeURL: "https://dify.example.com", SealedKey: "one:sealed", RuntimeConfig: `{"a":1}`, Features: apps.Features{DSL: true, HumanInput: true}, APIEnabled: true,
			Access: apps.Internal, MaxActive: 7, Status: apps.StatusArchived, CreatedBy: h.owner.ID, CreatedAt: after(time.Second), UpdatedAt: after(time.Minute + time.Microsecond),
		})
		bare := h.a.put(t, apps.App{WorkspaceID: h.w.ID})
		h.a.allow(t, whole.ID, h.normal.ID, h.admin.ID)
		for _, want := range []apps.App{whole, bare} {
			p, err := h.b.Apps.Place(t.Context(), want.ID, h.normal.ID)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "place", *p, apps.Place{App: want, Workspace: h.w, Role: workspace.Normal, Listed: want.ID == whole.ID})
			s, allowed, err := h.b.Apps.Entry(t.Context(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			if want.ID == whole.ID {
				same(t, "entry", s, apps.Summary{App: want, WorkspaceName: "w", CreatedByName: h.owner.Name})
				same(t, "allowed", allowed, []apps.Allowed{listed(h.admin), listed(h.normal)})
			} else {
				same(t, "entry", s, apps.Summary{App: want, WorkspaceName: "w"})
				same(t, "allowed", len(allowed), 0)
			}
		}
		whole.Name, whole.Tags, whole.SealedKey, whole.RuntimeConfig, whole.Status, whole.APIEnabled, whole.UpdatedAt = "n", []string{}, "", "", apps.StatusNormal, false, after(time.Hour)
		if err := h.a.Apps.InTx(t.Context(), func(ctx context.Context, tx apps.Tx) error { return tx.Save(ctx, whole) }); err != nil {
			t.Fatal(err)
		}
		p, err := h.b.Apps.Place(t.Context(), whole.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "saved, for nobody", *p, apps.Place{App: whole, Workspace: h.w})
		if other, err := h.b.Apps.Place(t.Context(), bare.ID, ""); err != nil || other.App.Name != bare.Name {
			t.Errorf("another app was saved too: %+v, %v", other, err)
		}
		if n := h.b.Count(t, `SELECT count(*) FROM apps WHERE name_folded = $1`, apps.Fold("n")); n != 1 {
			t.Error("the name is saved and not what it is sought by")
		}
		for _, id := range []string{canon.NewID(), h.owner.ID} {
			_, place := h.b.Apps.Place(t.Context(), id, h.owner.ID)
			_, _, entry := h.b.Apps.Entry(t.Context(), id)
			if !errors.Is(place, apps.ErrNotFound) || !errors.Is(entry, apps.ErrNotFound) {
				t.Errorf("%v, %v", place, entry)
			}
		}
	})

	t.Run("an app that is deleted takes its list of access along, and leaves what was run", func(t *testing.T) {
		h := newHouse(t, open)
		one, other := h.a.put(t, apps.App{WorkspaceID: h.w.ID}), h.a.put(t, apps.App{WorkspaceID: h.w.ID})
		for _, a := range []apps.App{one, other} {
			h.a.allow(t, a.ID, h.normal.ID)
			h.a.exec(t, `INSERT INTO app_runs (id, app_id, workspace_id, subject_key, token_id, mode, task_id, status, started_at) VALUES ($1, $2, $3, $4, 't', 'chat', 'task', 'running', $5)`,
				canon.NewID(), a.ID, h.w.ID, epochKey, start)
		}
		if err := h.a.Apps.InTx(t.Context(), func(ctx context.Context, tx apps.Tx) error { return tx.Remove(ctx, one.ID) }); err != nil {
			t.Fatal(err)
		}
		for of, want := range map[string]int{"apps": 1, "app_access": 1, "app_runs": 2} {
			if n := h.b.Count(t, `SELECT count(*) FROM `+of); n != want {
				t.Errorf("%d rows of %s", n, of)
			}
		}
	})

	t.Run("a member who leaves is off the lists of that workspace's apps, and of no other's", func(t *testing.T) {
		h := newHouse(t, open)
		other := h.a.AddWorkspaceOf(t, "other", h.owner.ID)
		h.a.AddMember(t, other.ID, h.normal.ID, workspace.Normal, false)
		here, there := h.a.put(t, apps.App{WorkspaceID: h.w.ID}), h.a.put(t, apps.App{WorkspaceID: other.ID})
		for _, a := range []apps.App{here, there} {
			h.a.allow(t, a.ID, h.normal.ID, h.owner.ID)
		}
		if err := NewMembers(t, h.a, h.a.Members, &Tombs{}, 0, at(start)).Remove(t.Context(), h.owner.ID, h.w.ID, h.normal.ID); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]int{here.ID: 1, there.ID: 2} {
			if n := h.b.Count(t, `SELECT count(*) FROM app_access WHERE app_id = $1`, id); n != want {
				t.Errorf("%d on the list, not %d", n, want)
			}
		}
	})

	t.Run("accounts are put on a list of access and taken off it", func(t *testing.T) {
		h := newHouse(t, open)
		app := h.a.put(t, apps.App{WorkspaceID: h.w.ID})
		var ids []string
		for range 12 {
			ids = append(ids, h.a.AddActive(t, canon.NewID()+"@example.com").ID)
		}
		h.a.allow(t, app.ID, ids...)
		if n := h.b.Count(t, `SELECT count(*) FROM app_access WHERE app_id = $1`, app.ID); n != len(ids) {
			t.Fatalf("%d allowed", n)
		}
		if err := h.a.Apps.InTx(t.Context(), func(ctx context.Context, tx apps.Tx) error { return tx.Disallow(ctx, app.ID, ids[1:]) }); err != nil {
			t.Fatal(err)
		}
		_, left, err := h.b.Apps.Entry(t.Context(), app.ID)
		if err != nil || len(left) != 1 || left[0].AccountID != ids[0] {
			t.Fatalf("%v, %v", left, err)
		}
	})

	t.Run("a cancelled context reads and writes nothing", func(t *testing.T) {
		a, _ := open(t)
		ctx := cancelled(t)
		_, place := a.Apps.Place(ctx, canon.NewID(), canon.NewID())
		_, _, entry := a.Apps.Entry(ctx, canon.NewID())
		_, _, kept := a.Apps.Kept(ctx, "", 0, 1)
		_, _, member := a.Apps.Member(ctx, canon.NewID(), canon.NewID())
		_, _, usable := a.Apps.Usable(ctx, canon.NewID(), canon.NewID(), apps.Search{Limit: 1})
		_, _, permitted := a.Apps.Permitted(ctx, apps.Search{Limit: 1})
		for name, err := range map[string]error{
			"Place": place, "Entry": entry, "Kept": kept, "Member": member, "Usable": usable, "Permitted": permitted,
			"InTx": a.Apps.InTx(ctx, func(context.Context, apps.Tx) error { t.Error("ran"); return nil }),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
