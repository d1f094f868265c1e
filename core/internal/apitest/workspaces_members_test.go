// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Every role does every act to every target.
func TestMemberMatrix(t *testing.T) {
	w := wsStart(t)
	actors := []string{"owner", "admin", "editor", "normal", "stranger"}
	targets := []string{"self", "owner", "another admin", "another editor", "another normal", "a pending one", "a stranger", "nobody"}
	id := func(t *testing.T, actor, target string, n int) string {
		email := fmt.Sprintf("target-%d@example.com", n)
		switch target {
		case "self":
			return w.ids[actor]
		case "owner":
			return w.ids["owner"]
		case "a pending one":
			id, _ := w.invite(t, "owner", email, "normal")
			return id
		case "a stranger":
			return addAccount(t, w.Server, email)
		case "nobody":
			return canon.NewID()
		}
		id := addAccount(t, w.Server, email)
		w.join(t, w.id, id, strings.TrimPrefix(target, "another "))
		return id
	}
	// What whoever may manage members draws; for everybody else the role decides.
	want := func(actor, act, target string) (int, string) {
		switch {
		case actor == "stranger":
			return http.StatusNotFound, "workspace_not_found"
		case actor != "owner" && actor != "admin":
			return http.StatusForbidden, "insufficient_workspace_role"
		case target == "self", actor == target:
			return http.StatusBadRequest, "cannot_act_on_self"
		case target == "owner":
			return http.StatusBadRequest, "cannot_act_on_owner"
		case target == "a stranger", target == "nobody":
			return http.StatusNotFound, "member_not_found"
		case act == "to normal" && (target == "another normal" || target == "a pending one"), act == "to admin" && target == "another admin":
			return http.StatusBadRequest, "role_unchanged"
		}
		return http.StatusOK, ""
	}
	n := 0
	for _, actor := range actors {
		for _, target := range targets {
			for _, act := range []string{"remove", "to normal", "to admin"} {
				for _, method := range []string{http.MethodPut, http.MethodPatch} {
					if act == "remove" && method == http.MethodPatch {
						continue
					}
					n++
					t.Run(fmt.Sprintf("API-9 %s, %s %s, %s", actor, act, target, method), func(t *testing.T) {
						whom := id(t, actor, target, n)
						path, body, role := w.members()+"/"+whom, "", strings.TrimPrefix(act, "to ")
						if act == "remove" {
							method = http.MethodDelete
						} else {
							body = fmt.Sprintf(`{"role":%q}`, role)
							if method == http.MethodPut {
								path += "/role"
							}
						}
						before := w.written(t)
						a := w.as(t, actor, method, path, body)
						status, word := want(actor, act, target)
						wantAnswer(t, a, status, word)
						if status != http.StatusOK {
							if w.written(t) != before {
								t.Error("a refusal has written")
							}
							return
						}
						if a.Body != `{"result":"success"}` {
							t.Error(a.Body)
						}
						w.wantActed(t, actor, act, target, whom)
					})
				}
			}
		}
	}
	if owners := sqlInt(t, w.Server, `SELECT count(*) FROM memberships WHERE workspace_id = $1 AND role = 'owner'`, w.id); owners != 1 {
		t.Fatalf("%d owners", owners)
	}
}

// wantActed checks what an act has left, and its event.
func (w *wsWorld) wantActed(t *testing.T, actor, act, target, whom string) {
	t.Helper()
	old := map[string]string{"another admin": "admin", "another editor": "editor", "another normal": "normal", "a pending one": "normal"}[target]
	count := func(query string) int { return sqlInt(t, w.Server, query, whom) }
	if act == "remove" {
		fields, by, in := w.event(t, "workspace.member_removed")
		if fields["member_id"] != whom || fields["role"] != old || fields["account_deleted"] != (target == "a pending one") || by != w.ids[actor] || in != w.id {
			t.Errorf("%v by %s", fields, by)
		}
		if n := count(`SELECT count(*) FROM memberships WHERE account_id = $1`) + count(`SELECT count(*) FROM invitations WHERE account_id = $1`); n != 0 {
			t.Errorf("%d rows of who was removed", n)
		}
		if n := count(`SELECT count(*) FROM accounts WHERE id = $1`); n != map[bool]int{true: 0, false: 1}[target == "a pending one"] {
			t.Errorf("%d accounts", n)
		}
		return
	}
	role := strings.TrimPrefix(act, "to ")
	fields, by, in := w.event(t, "workspace.member_role_changed")
	if fields["member_id"] != whom || fields["role"] != role || fields["old_role"] != old || by != w.ids[actor] || in != w.id {
		t.Errorf("%v by %s", fields, by)
	}
	if got := sqlText(t, w.Server, `SELECT role FROM memberships WHERE account_id = $1`, whom); got != role {
		t.Errorf("the role is %s", got)
	}
	if target == "a pending one" {
		if got := sqlText(t, w.Server, `SELECT role FROM invitations WHERE account_id = $1`, whom); got != role {
			t.Errorf("the invitation's role is %s", got)
		}
	}
}

func TestRemovingAPendingMember(t *testing.T) {
	w := wsStart(t)
	second := w.workspace(t, "Second", w.ids["owner"])
	t.Run("API-9 a pending account that another workspace has put down stays", func(t *testing.T) {
		id, first := w.invite(t, "owner", "new@example.com", "normal")
		a := w.as(t, "owner", http.MethodPost, wsPath+"/"+second+"/members", `{"email":"new@example.com","role":"admin"}`)
		wantAnswer(t, a, http.StatusCreated, "")
		if a.Text(t, "member_id") != id {
			t.Fatal("two accounts of one address")
		}
		wantAnswer(t, w.as(t, "owner", http.MethodDelete, w.members()+"/"+id, ""), http.StatusOK, "")
		if fields, _, _ := w.event(t, "workspace.member_removed"); fields["account_deleted"] != false {
			t.Error(fields)
		}
		if _, err := w.App.Members.Invitation(t.Context(), first); err == nil {
			t.Error("the invitation of who was removed is good")
		}
		if _, err := w.App.Members.Activate(t.Context(), w.link(t, a), wsActivation("New")); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, w.as(t, "owner", http.MethodDelete, wsPath+"/"+second+"/members/"+id, ""), http.StatusOK, "")
		if got := sqlText(t, w.Server, `SELECT status FROM accounts WHERE id = $1`, id); got != "active" {
			t.Error(got)
		}
	})
}

func TestInvitations(t *testing.T) {
	w := wsStart(t, apitest.Set("WORKSPACE_MEMBER_LIMIT", "6"))
	invite := func(who, email, role string) apitest.Answer {
		return w.as(t, who, http.MethodPost, w.members(), fmt.Sprintf(`{"email":%q,"role":%q}`, email, role))
	}
	joined := func(t *testing.T, id string) int {
		return sqlInt(t, w.Server, `SELECT count(*) FROM memberships WHERE workspace_id = $1 AND account_id = $2`, w.id, id)
	}

	t.Run("API-10 an active, an unknown and a pending person are invited; the active one is no member yet", func(t *testing.T) {
		active := addAccount(t, w.Server, "active@example.com")
		for _, c := range []struct {
			who, email, typed, role string
			pending                 bool
		}{{"owner", "active@example.com", "active@example.com", "admin", false}, {"admin", "new@example.com", "  NEW@Example.com ", "normal", true}, {"owner", "new@example.com", "new@example.com", "admin", true}} {
			a := invite(c.who, c.typed, c.role)
			wantAnswer(t, a, http.StatusCreated, "")
			id := sqlText(t, w.Server, `SELECT id FROM accounts WHERE email = $1`, c.email)
			token := w.link(t, a).Reveal()
			want := fmt.Sprintf(`{"result":"success","email":%q,"role":%q,"member_id":%q,"invite_url":"%s/activate?token=%s","tenant_id":%q,"status":"invited"}`,
				c.email, c.role, id, w.URL, token, w.id)
			if a.Body != want {
				t.Fatalf("%s instead of %s", a.Body, want)
			}
			if got := sqlDigest(t, w.Server, `SELECT token_hash FROM invitations WHERE account_id = $1`, id); got != secret.DigestOf(token) {
				t.Error("the token is not stored as its digest")
			}
			if n := joined(t, id); n != map[bool]int{true: 1, false: 0}[c.pending] {
				t.Errorf("%s: %d memberships", c.email, n)
			}
			if fields, by, in := w.event(t, "workspace.member_invited"); fields["member_id"] != id || fields["role"] != c.role || fields["pending"] != c.pending || by != w.ids[c.who] || in != w.id {
				t.Errorf("%v by %s", fields, by)
			}
		}
		if _, ok := w.listed(t, "normal")["active@example.com"]; ok || active == "" {
			t.Error("invited, and listed")
		}
		row := w.listed(t, "normal")["new@example.com"]
		if avatar, ok := row["avatar"]; row["status"] != "pending" || row["role"] != "admin" || row["name"] != "new@example.com" || !ok || avatar != nil || len(row) != 6 {
			t.Errorf("%v", row)
		}
		if a := tkAsk(t, w.Server, w.login(t, "active@example.com"), http.StatusOK, ""); !strings.Contains(a.Body, `"workspaces":[]`) {
			t.Error(a.Body)
		}
	})
	t.Run("API-10 a member, oneself, the owner, a banned member", func(t *testing.T) {
		sqlExec(t, w.Server, `UPDATE accounts SET status = 'banned' WHERE id = $1`, w.ids["editor"])
		defer sqlExec(t, w.Server, `UPDATE accounts SET status = 'active' WHERE id = $1`, w.ids["editor"])
		before := w.written(t)
		for _, who := range []string{"normal", "admin", "owner", "editor"} {
			wantAnswer(t, invite("admin", wsEmail(who), "normal"), http.StatusConflict, "already_member")
		}
		for _, who := range []string{"editor", "normal"} {
			wantAnswer(t, invite("stranger", "x@example.com", "normal"), http.StatusNotFound, "workspace_not_found")
			if who == "normal" {
				wantAnswer(t, invite(who, "x@example.com", "normal"), http.StatusForbidden, "insufficient_workspace_role")
			}
		}
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
	})
	t.Run("API-10 TK-16 an e-mail with live tokens of a person without an account", func(t *testing.T) {
		sqlExec(t, w.Server, `INSERT INTO oauth_access_tokens (id, subject_email, subject_issuer, subject_id, client_id, device_label, prefix, token_hash, created_at, expires_at, approved_at, grant_ref)
			SELECT $1, 'ext@example.com', 'https://idp.example', 'ext', client_id, 'ext', 'dfoe_', $2, created_at, expires_at, approved_at, grant_ref FROM oauth_access_tokens WHERE account_id = $3`,
			canon.NewID(), tkBytes(secret.DigestOf("external")), w.ids["owner"])
		sqlExec(t, w.Server, `UPDATE accounts SET deployment_admin = $1 WHERE id = $2`, false, w.ids["owner"])
		before := w.written(t)
		wantAnswer(t, invite("owner", "ext@example.com", "normal"), http.StatusConflict, "email_is_external_subject")
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
		sqlExec(t, w.Server, `UPDATE accounts SET deployment_admin = $1 WHERE id = $2`, true, w.ids["owner"])
		a := invite("owner", "ext@example.com", "normal")
		wantAnswer(t, a, http.StatusCreated, "")
		if n := sqlInt(t, w.Server, `SELECT count(*) FROM oauth_access_tokens WHERE subject_email = 'ext@example.com' AND revoked_at IS NULL`); n != 1 {
			t.Fatal("an invitation alone ends nobody's token")
		}
		if _, err := w.App.Members.Activate(t.Context(), w.link(t, a), wsActivation("Ext")); err != nil {
			t.Fatal(err)
		}
		if got := sqlText(t, w.Server, `SELECT revoke_reason FROM oauth_access_tokens WHERE subject_email = 'ext@example.com'`); got != "email_became_account" {
			t.Error(got)
		}
	})
	t.Run("API-10 over the limit, at the invitation and again at the acceptance", func(t *testing.T) {
		before := w.written(t) // owner, admin, editor, normal, new, ext
		wantAnswer(t, invite("owner", "seventh@example.com", "normal"), http.StatusForbidden, "member_limit_exceeded")
		addAccount(t, w.Server, "eighth@example.com")
		wantAnswer(t, invite("owner", "eighth@example.com", "normal"), http.StatusForbidden, "member_limit_exceeded")
		if got := w.written(t); strings.Count(got, "\n") != strings.Count(before, "\n")+1 { // the account that was added
			t.Error("a refusal has written")
		}
		if a := invite("owner", "new@example.com", "normal"); a.Status != http.StatusCreated { // who is on the list is no one more
			t.Error(a.Body)
		}
	})
}
