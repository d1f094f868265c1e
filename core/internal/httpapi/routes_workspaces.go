// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// workspaceRows are a client's workspaces and who belongs to them, behind a bearer.
func (a *api) workspaceRows() []row {
	const one = base + "/workspaces/:" + workspaceParam
	const member = one + "/members/:member"
	read := authz.Rule{Subjects: accountsOnly, Scope: token.ScopeWorkspaceRead, Workspace: true}
	write := authz.Rule{Subjects: accountsOnly, Scope: token.ScopeWorkspaceWrite, Workspace: true, Roles: workspace.Managers}
	invite := write
	invite.Extra = limits.InviteAccount
	changeRole := func(method, path string) row {
		return row{method: method, path: path, caller: bearer, rule: write, media: []string{json}, body: small, handle: a.changeMemberRole,
			about: operation{summary: "Give a member another role", body: memberRoleRequest{}, answers: map[int]any{http.StatusOK: resultResponse{}},
				strict: true, fails: []*fault.Error{workspace.ErrMemberNotFound, workspace.ErrSelf, workspace.ErrOwner, workspace.ErrRoleUnchanged}}}
	}
	return []row{
		{method: http.MethodGet, path: base + "/workspaces", caller: bearer, rule: authz.Rule{Subjects: accountsOnly, Scope: token.ScopeWorkspaceRead}, handle: a.workspaces,
			about: operation{summary: "The caller's workspaces", answers: map[int]any{http.StatusOK: workspacesResponse{}}}},
		{method: http.MethodGet, path: one, caller: bearer, rule: read, handle: a.workspace,
			about: operation{summary: "One workspace of the caller", answers: map[int]any{http.StatusOK: workspaceResponse{}}}},
		{method: http.MethodPost, path: one + "/switch", caller: bearer, rule: read, handle: a.switchWorkspace,
			about: operation{summary: "Make a workspace the caller's current one", answers: map[int]any{http.StatusOK: workspaceResponse{}}}},
		{method: http.MethodGet, path: one + "/members", caller: bearer, rule: read, handle: a.members,
			about: operation{summary: "The members of a workspace, by the time of their joining", query: membersQuery{}, answers: map[int]any{http.StatusOK: pageJSON[memberJSON]{}}}},
		{method: http.MethodPost, path: one + "/members", caller: bearer, rule: invite, media: []string{json}, body: small, handle: a.inviteMember,
			about: operation{summary: "Invite somebody to a workspace", body: inviteRequest{}, answers: map[int]any{http.StatusCreated: inviteResponse{}},
				strict: true, fails: []*fault.Error{workspace.ErrAlreadyMember, workspace.ErrEmailIsExternal, workspace.ErrMemberLimit}}},
		{method: http.MethodDelete, path: member, caller: bearer, rule: write, handle: a.removeMember,
			about: operation{summary: "Remove a member from a workspace", answers: map[int]any{http.StatusOK: resultResponse{}},
				fails: []*fault.Error{workspace.ErrMemberNotFound, workspace.ErrSelf, workspace.ErrOwner}}},
		changeRole(http.MethodPut, member+"/role"),
		changeRole(http.MethodPatch, member),
	}
}
