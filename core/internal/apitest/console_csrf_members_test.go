// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/url"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// tkMemberWrites tries the writes on workspaces, members and invitations. What is signed is
// bound to the owner's session, what is before to a pre-session.
func tkMemberWrites(t *testing.T, s *apitest.Server, run func(*apitest.Server, tkWrite), signed, before func(tkWrite) tkWrite) {
	t.Helper()
	first, owner := sqlText(t, s, `SELECT id FROM workspaces`), sqlText(t, s, `SELECT id FROM accounts WHERE email = $1`, apitest.OwnerEmail)
	second, at := canon.NewID(), s.Clock.Now()
	sqlExec(t, s, `INSERT INTO workspaces (id, name, status, created_at, updated_at) VALUES ($1, 'Second', 'normal', $2, $2)`, second, at)
	join := func(account, workspace, role string) {
		sqlExec(t, s, `INSERT INTO memberships (id, workspace_id, account_id, role, current, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)`,
			canon.NewID(), workspace, account, role, false, at)
	}
	join(owner, second, "owner")
	worksIn := func(id string) func(*testing.T, apitest.Answer) bool {
		return func(t *testing.T, _ apitest.Answer) bool {
			return sqlText(t, s, `SELECT workspace_id FROM memberships WHERE account_id = $1 AND current`, owner) == id
		}
	}
	counts := func(n int, query string, args ...any) func(*testing.T, apitest.Answer) bool {
		return func(t *testing.T, _ apitest.Answer) bool { return sqlInt(t, s, query, args...) == n }
	}
	run(s, signed(tkWrite{path: "/console/api/workspaces/switch", class: "cookieWrite", json: `{"tenant_id":"` + second + `"}`, done: worksIn(second)}))
	run(s, signed(tkWrite{path: "/workspace/switch", class: "pageSignedWrite", fields: url.Values{"workspace": {first}}, done: worksIn(first)}))

	run(s, signed(tkWrite{path: "/workspace/members", class: "pageSignedWrite", fields: url.Values{"workspace": {first}, "email": {"invited@example.com"}, "role": {"normal"}},
		done: counts(1, `SELECT count(*) FROM accounts WHERE email = 'invited@example.com'`)}))
	member := addAccount(t, s, "member@example.com")
	join(member, first, "normal")
	run(s, signed(tkWrite{path: "/workspace/members/edit", class: "pageSignedWrite", fields: url.Values{"workspace": {first}, "id": {member}, "role": {"admin"}},
		done: counts(1, `SELECT count(*) FROM memberships WHERE account_id = $1 AND role = 'admin'`, member)}))
	run(s, signed(tkWrite{path: "/workspace/members/remove", class: "pageSignedWrite", fields: url.Values{"workspace": {first}, "id": {member}},
		done: counts(0, `SELECT count(*) FROM memberships WHERE account_id = $1`, member)}))

	invited, err := s.App.Members.Invite(t.Context(), owner, first, "pending@example.com", workspace.Normal)
	if err != nil {
		t.Fatal(err)
	}
	run(s, before(tkWrite{path: "/activate", class: "pageWrite", done: counts(1, `SELECT count(*) FROM accounts WHERE email = 'pending@example.com' AND status = 'active'`),
		fields: url.Values{"token": {invited.Token.Reveal()}, "name": {"P"}, "password": {apitest.OwnerPassword}, "password_again": {apitest.OwnerPassword}}}))
}
