// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/canon"
)

// The members that difyctl reads of workspaces and members; it crashes on a null list
// and shows "undefined" for what is no string.
type (
	htWorkspaceRow struct {
		ID, Name, Role, Status *string
		Current                *bool
	}
	htMemberRow struct {
		ID, Name, Email, Role, Status *string
	}
	htMemberPage struct {
		Page, Limit, Total *int
		HasMore            *bool `json:"has_more"`
		Data               []htMemberRow
	}
)

func TestDifyctlWorkspacesAndMembers(t *testing.T) {
	w := wsStart(t)
	second := w.workspace(t, "Second", w.ids["owner"])
	d := htDifyctl{t: t, s: w.Server, token: w.bearers["owner"]}
	list := func() map[string]bool {
		t.Helper()
		var out struct{ Workspaces []htWorkspaceRow }
		d.into(d.call(http.MethodGet, "workspaces", ""), &out)
		current := map[string]bool{}
		for _, row := range out.Workspaces {
			if row.ID == nil || row.Name == nil || row.Role == nil || row.Status == nil || row.Current == nil || !htUUID.MatchString(*row.ID) {
				t.Fatalf("%+v", row)
			}
			current[*row.ID] = *row.Current
		}
		return current
	}
	t.Run("get workspace, use workspace", func(t *testing.T) {
		if got := list(); len(got) != 2 || !got[w.id] || got[second] {
			t.Fatal(got)
		}
		var used struct{ ID, Name, Role *string }
		d.into(d.call(http.MethodPost, "workspaces/"+second+"/switch", ""), &used)
		if used.ID == nil || used.Name == nil || used.Role == nil || *used.ID != second {
			t.Fatalf("%+v", used)
		}
		if got := list(); got[w.id] || !got[second] {
			t.Fatal(got)
		}
		wantAnswer(t, d.call(http.MethodPost, "workspaces/"+canon.NewID()+"/switch", ""), http.StatusNotFound, "workspace_not_found")
	})
	t.Run("create, get, set and delete member", func(t *testing.T) {
		var made struct {
			Result, Email, Role *string
			MemberID            *string `json:"member_id"`
			InviteURL           *string `json:"invite_url"`
			TenantID            *string `json:"tenant_id"`
		}
		a := d.call(http.MethodPost, "workspaces/"+w.id+"/members", `{"email":"new@example.com","role":"normal"}`)
		if err := json.Unmarshal([]byte(a.Body), &made); err != nil || a.Status/100 != 2 || made.Result == nil || *made.Result != "success" || made.Email == nil ||
			made.Role == nil || made.MemberID == nil || made.InviteURL == nil || made.TenantID == nil || *made.TenantID != w.id {
			t.Fatalf("%d %s: %v", a.Status, a.Body, err)
		}
		get := func() htMemberPage {
			var p htMemberPage
			a := d.call(http.MethodGet, "workspaces/"+w.id+"/members?page=1&limit=20", "")
			d.into(a, &p)
			if p.Page == nil || p.Limit == nil || p.Total == nil || p.HasMore == nil || p.Data == nil || *p.Total != len(p.Data) {
				t.Fatal(a.Body)
			}
			for _, row := range p.Data {
				if row.ID == nil || row.Name == nil || row.Email == nil || row.Role == nil || row.Status == nil {
					t.Fatal(a.Body)
				}
			}
			return p
		}
		if got := get(); len(got.Data) != 5 || *got.Data[4].ID != *made.MemberID || *got.Data[4].Status != "pending" {
			t.Fatalf("%+v", got)
		}
		member := "workspaces/" + w.id + "/members/" + *made.MemberID
		if a := d.call(http.MethodPut, member+"/role", `{"role":"admin"}`); a.Status != http.StatusOK {
			t.Fatal(a.Body)
		}
		wantAnswer(t, d.call(http.MethodPut, member+"/role", `{"role":"admin"}`), http.StatusBadRequest, "role_unchanged")
		if a := d.call(http.MethodDelete, member, ""); a.Status != http.StatusOK {
			t.Fatal(a.Body)
		}
		wantAnswer(t, d.call(http.MethodDelete, member, ""), http.StatusNotFound, "member_not_found") // as the retry of a DELETE whose answer was lost
		if got := get(); len(got.Data) != 4 {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("ids are percent-encoded, the slash too", func(t *testing.T) {
		for _, r := range [][3]string{
			{http.MethodPut, "members/mm%2F1/role", `{"role":"admin"}`}, {http.MethodDelete, "members/mm%2F1", ""}, {http.MethodDelete, "members/%E7%88%B1", ""},
		} {
			wantAnswer(t, d.call(r[0], "workspaces/"+w.id+"/"+r[1], r[2]), http.StatusNotFound, "member_not_found")
		}
		escaped := ""
		for _, c := range []byte(w.ids["normal"]) {
			escaped += fmt.Sprintf("%%%02X", c)
		}
		if a := d.call(http.MethodPut, "workspaces/"+w.id+"/members/"+escaped+"/role", `{"role":"admin"}`); a.Status != http.StatusOK {
			t.Fatal(a.Body)
		}
	})
}
