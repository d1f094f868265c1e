// SPDX-License-Identifier: Apache-2.0

package workspace_test

import (
	"context"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
)

func member(id string, status workspace.Status, current bool) workspace.Membership {
	return workspace.Membership{Workspace: workspace.Workspace{ID: id, Status: status}, Current: current, Role: workspace.Normal}
}

func TestDefault(t *testing.T) {
	a, b := member("a", workspace.StatusNormal, false), member("b", workspace.StatusNormal, true)
	archived := member("c", workspace.StatusArchived, false)
	for _, tc := range []struct {
		name      string
		list      []workspace.Membership
		preferred string
		want      string
	}{
		{"the workspace of the approval", []workspace.Membership{a, b}, "a", "a"},
		{"left since: the current one", []workspace.Membership{a, b}, "gone", "b"},
		{"archived since: the current one", []workspace.Membership{a, b, archived}, "c", "b"},
		{"none current: the first", []workspace.Membership{archived, a}, "", "a"},
		{"no workspace", nil, "a", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := workspace.Default(tc.list, tc.preferred)
			if got.Workspace.ID != tc.want || ok != (tc.want != "") {
				t.Fatalf("got %q, %v", got.Workspace.ID, ok)
			}
		})
	}
}

type fixed []workspace.Membership

func (f fixed) Place(context.Context, string, string) (workspace.Membership, error) {
	return f[0], nil
}

func (f fixed) MembershipsOf(context.Context, string) ([]workspace.Membership, error) { return f, nil }

func TestArchivedIsNeverCurrent(t *testing.T) {
	s, err := workspace.New(fixed{member("a", workspace.StatusArchived, true)})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Of(t.Context(), "x")
	if err != nil || len(list) != 1 || list[0].Current {
		t.Fatalf("%+v, %v", list, err)
	}
}
