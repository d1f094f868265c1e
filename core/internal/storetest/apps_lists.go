// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// appLists asks who finds what. Both engines answer alike, whatever they would make of a
// text by themselves.
func appLists(t *testing.T, open OpenDurable) {
	t.Run("who finds which app", func(t *testing.T) {
		h := newHouse(t, open)
		other, gone := h.a.AddWorkspaceOf(t, "other", h.nobody.ID), h.a.AddWorkspaceOf(t, "gone", h.owner.ID)
		h.a.Archive(t, gone.ID)
		var kept []string
		for _, w := range []workspace.Workspace{h.w, other, gone} {
			for _, access := range []apps.Access{apps.Public, apps.SSOVerified, apps.InternalAll, apps.Internal, "unheard of"} {
				for _, off := range []string{"", " archived", " without api"} {
					a := apps.App{WorkspaceID: w.ID, Name: w.Name + " " + string(access) + off, Access: access, APIEnabled: off != " without api"}
					if off == " archived" {
						a.Status = apps.StatusArchived
					}
					a = h.a.put(t, a)
					if access == apps.Internal {
						h.a.allow(t, a.ID, h.normal.ID)
					}
					if w.ID == h.w.ID {
						kept = append(kept, a.Name)
					}
				}
			}
		}
		all, most := []string{"w internal", "w internal_all", "w public", "w sso_verified"}, []string{"w internal_all", "w public", "w sso_verified"}
		for who, want := range map[string][]string{h.owner.ID: all, h.admin.ID: all, h.normal.ID: all, h.editor.ID: most, "": most} {
			got := namesOf(paged(t, apps.Search{}, func(q apps.Search) ([]apps.Summary, int, error) { return h.b.Apps.Usable(t.Context(), h.w.ID, who, q) }))
			slices.Sort(got)
			same(t, who, got, want)
		}
		for _, id := range []string{gone.ID, canon.NewID()} {
			if list, total, err := h.b.Apps.Usable(t.Context(), id, h.owner.ID, apps.Search{Limit: 10}); err != nil || total != 0 || len(list) > 0 {
				t.Errorf("%v, %d, %v", list, total, err)
			}
		}
		got := namesOf(paged(t, apps.Search{}, func(q apps.Search) ([]apps.Summary, int, error) { return h.b.Apps.Permitted(t.Context(), q) }))
		slices.Sort(got)
		same(t, "permitted", got, []string{"other public", "other sso_verified", "w public", "w sso_verified"})
		keeps := func(id string) []string {
			got := namesOf(paged(t, apps.Search{}, func(q apps.Search) ([]apps.Summary, int, error) {
				return h.b.Apps.Kept(t.Context(), id, q.Offset, q.Limit)
			}))
			slices.Sort(got)
			return got
		}
		slices.Sort(kept)
		same(t, "kept", keeps(h.w.ID), kept)
		same(t, "kept in all", len(keeps("")), 3*len(kept))
	})

	t.Run("lists are by the last change, newest first, then id; their totals are what pages add up to", func(t *testing.T) {
		h := newHouse(t, open)
		var want []apps.Summary
		for i := range 10 {
			a := h.a.put(t, apps.App{WorkspaceID: h.w.ID, Name: fmt.Sprint(i), Access: apps.Public, APIEnabled: true, CreatedBy: h.owner.ID, UpdatedAt: after(time.Duration(i/3*7%4) * time.Microsecond)})
			want = append(want, apps.Summary{App: a, WorkspaceName: "w", CreatedByName: h.owner.Name})
		}
		slices.SortFunc(want, func(a, b apps.Summary) int {
			if c := b.UpdatedAt.Compare(a.UpdatedAt); c != 0 {
				return c
			}
			return slices.Compare([]byte(a.ID), []byte(b.ID))
		})
		for name, read := range map[string]func(q apps.Search) ([]apps.Summary, int, error){
			"usable": func(q apps.Search) ([]apps.Summary, int, error) {
				return h.b.Apps.Usable(t.Context(), h.w.ID, h.normal.ID, q)
			},
			"permitted": func(q apps.Search) ([]apps.Summary, int, error) { return h.b.Apps.Permitted(t.Context(), q) },
			"kept": func(q apps.Search) ([]apps.Summary, int, error) {
				return h.b.Apps.Kept(t.Context(), h.w.ID, q.Offset, q.Limit)
			},
			"all": func(q apps.Search) ([]apps.Summary, int, error) {
				return h.b.Apps.Kept(t.Context(), "", q.Offset, q.Limit)
			},
		} {
			same(t, name, paged(t, apps.Search{}, read), want)
			list, total, err := read(apps.Search{Offset: 8, Limit: 200})
			if err != nil || total != 10 {
				t.Errorf("%s: total %d, %v", name, total, err)
			}
			same(t, name+" from the ninth", list, want[8:])
		}
	})

	t.Run("names and tags are found as people write them, and no sign is a pattern", func(t *testing.T) {
		h := newHouse(t, open)
		ids := map[string]string{}
		for name, tags := range map[string][]string{
			"ＡＬＰＨＡ wide":   {"a & b", "one"},
			"Alpha":        {"a", "b"},
			"50% off":      {"<off>", "ab"},
			"50 off":       {"OFF"},
			"a_b":          {"caf\u00e9"},
			"axb":          {"one two"},
			"the \"best\"": {"it's"},
			"it's":         {},
			"back\\slash":  {"%"},
			"ÉCOLE ﬁn":     {"École"},
			"Straße":       nil,
		} {
			ids[name] = h.a.put(t, apps.App{WorkspaceID: h.w.ID, Name: name, Tags: tags, Access: apps.Public, APIEnabled: true, Mode: map[bool]apps.Mode{true: apps.Workflow}[name == "Alpha"]}).ID
		}
		for _, c := range []struct {
			q    apps.Search
			want []string
		}{
			{apps.Search{Folded: apps.Fold("alpha")}, []string{"Alpha", "ＡＬＰＨＡ wide"}},
			{apps.Search{Folded: apps.Fold("ａｌＰ")}, []string{"Alpha", "ＡＬＰＨＡ wide"}},
			{apps.Search{Folded: apps.Fold("%")}, []string{"50% off"}},
			{apps.Search{Folded: apps.Fold("50% o")}, []string{"50% off"}},
			{apps.Search{Folded: apps.Fold("A_B")}, []string{"a_b"}},
			{apps.Search{Folded: apps.Fold("_")}, []string{"a_b"}},
			{apps.Search{Folded: apps.Fold(`"BEST"`)}, []string{`the "best"`}},
			{apps.Search{Folded: apps.Fold("'")}, []string{"it's"}},
			{apps.Search{Folded: apps.Fold(`\`)}, []string{`back\slash`}},
			{apps.Search{Folded: apps.Fold("e\u0301cole FIN")}, []string{"ÉCOLE ﬁn"}},
			{apps.Search{Folded: apps.Fold("ecole")}, nil},
			{apps.Search{Folded: apps.Fold("STRAßE")}, []string{"Straße"}},
			{apps.Search{Folded: "a\x00"}, nil},
			{apps.Search{Folded: "\xff"}, nil},
			{apps.Search{Tag: "a & b"}, []string{"ＡＬＰＨＡ wide"}},
			{apps.Search{Tag: "a"}, []string{"Alpha"}},
			{apps.Search{Tag: "A"}, nil},
			{apps.Search{Tag: `a","b`}, nil},
			{apps.Search{Tag: `a", "b`}, nil},
			{apps.Search{Tag: `,`}, nil},
			{apps.Search{Tag: `[`}, nil},
			{apps.Search{Tag: "<off>"}, []string{"50% off"}},
			{apps.Search{Tag: "off"}, nil},
			{apps.Search{Tag: "one"}, []string{"ＡＬＰＨＡ wide"}},
			{apps.Search{Tag: "cafe\u0301"}, []string{"a_b"}},
			{apps.Search{Tag: "it's"}, []string{`the "best"`}},
			{apps.Search{Tag: "%"}, []string{`back\slash`}},
			{apps.Search{Tag: "a\x00"}, nil},
			{apps.Search{Mode: apps.Workflow}, []string{"Alpha"}},
			{apps.Search{Mode: apps.Agent}, nil},
			{apps.Search{ID: ids["a_b"]}, []string{"a_b"}},
			{apps.Search{ID: h.owner.ID}, nil},
			{apps.Search{Folded: apps.Fold("alpha"), Mode: apps.Chat}, []string{"ＡＬＰＨＡ wide"}},
			{apps.Search{Folded: apps.Fold("alpha"), Tag: "b", Mode: apps.Workflow, ID: ids["Alpha"]}, []string{"Alpha"}},
		} {
			slices.Sort(c.want)
			for name, read := range map[string]func(q apps.Search) ([]apps.Summary, int, error){
				"usable": func(q apps.Search) ([]apps.Summary, int, error) {
					return h.b.Apps.Usable(t.Context(), h.w.ID, h.normal.ID, q)
				},
				"permitted": func(q apps.Search) ([]apps.Summary, int, error) { return h.b.Apps.Permitted(t.Context(), q) },
			} {
				got := namesOf(paged(t, c.q, read))
				slices.Sort(got)
				if !slices.Equal(got, c.want) {
					t.Errorf("%s of %+v: %q, not %q", name, c.q, got, c.want)
				}
			}
		}
	})
}
