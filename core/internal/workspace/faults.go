// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"errors"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Refusals. A refusal has written nothing.
var (
	// ErrNotFound: no such workspace, or none that this person may know of; one that is
	// archived, too. What a stranger learns of the three is the same.
	ErrNotFound = fault.New(fault.NotFound, "workspace_not_found", "No such workspace.")
	// ErrRole: the person's role in the workspace does not allow this.
	ErrRole = fault.New(fault.Forbidden, "insufficient_workspace_role", "Your role in this workspace does not allow this. Ask its owner or an admin.")
	// ErrMemberNotFound: the account is not in the workspace.
	ErrMemberNotFound = fault.New(fault.NotFound, "member_not_found", "No such member in this workspace.")
	// ErrSelf: nobody removes themselves or changes their own role.
	ErrSelf = fault.New(fault.Invalid, "cannot_act_on_self", "You cannot do this to yourself. Ask another admin.")
	// ErrOwner: the owner stays, and stays the owner.
	ErrOwner = fault.New(fault.Invalid, "cannot_act_on_owner", "The owner of a workspace cannot be removed or given another role.")
	// ErrRoleUnchanged: the member has that role already.
	ErrRoleUnchanged = fault.New(fault.Invalid, "role_unchanged", "The member has this role already.")
	// ErrAlreadyMember: the person is in the workspace and has accepted.
	ErrAlreadyMember = fault.New(fault.Conflict, "already_member", "This person is a member already.")
	// ErrEmailIsExternal: somebody holds live tokens under that e-mail without an account,
	// which its account would end.
	ErrEmailIsExternal = fault.New(fault.Conflict, "email_is_external_subject",
		"This e-mail is in use by a company sign-in. Ask a deployment administrator to invite it.")
	// ErrMemberLimit: the workspace has as many members as the installation allows.
	ErrMemberLimit = fault.New(fault.Forbidden, "member_limit_exceeded", "This workspace has as many members as it may have. Remove one first.")
	// ErrInvitationNotFound is the one refusal of an invitation, whatever the reason.
	ErrInvitationNotFound = fault.New(fault.NotFound, "invitation_not_found", "This invitation is no longer valid. Ask for a new one.")
	// ErrTombstones is a 503 after an activation that took place: what it ended is ended,
	// and its tombstones are still being written. It is a sentinel of its own: any other
	// 503 has changed nothing.
	ErrTombstones = fault.New(fault.Unavailable, fault.ErrUnavailable.Code(), fault.ErrUnavailable.Text()).
			RetryAfter(fault.ErrUnavailable.Retry()).Hinted("Your account is ready. Sign in with its new password.")
)

// The ways in which the input of a call is refused; the caller names the field.
var (
	// ErrInviteRole: people are invited and promoted to normal and admin alone.
	ErrInviteRole = errors.New("workspace: the role must be normal or admin")
	// ErrName: a name has 1 to MaxName characters, none of them invisible.
	ErrName = errors.New("workspace: the name is empty, too long or has characters that a name cannot have")
)
