// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
)

// memberInvited is workspace.member_invited. Pending says that the person has no
// account yet that could sign in.
type memberInvited struct {
	MemberID string `json:"member_id"`
	Role     Role   `json:"role"`
	Pending  bool   `json:"pending"`
}

// EventName implements audit.Details.
func (memberInvited) EventName() string { return "workspace.member_invited" }

// memberJoined is workspace.member_joined.
type memberJoined struct {
	MemberID string `json:"member_id"`
	Role     Role   `json:"role"`
}

// EventName implements audit.Details.
func (memberJoined) EventName() string { return "workspace.member_joined" }

// invitationDeclined is workspace.invitation_declined.
type invitationDeclined struct {
	MemberID string `json:"member_id"`
	Role     Role   `json:"role"`
}

// EventName implements audit.Details.
func (invitationDeclined) EventName() string { return "workspace.invitation_declined" }

// memberRemoved is workspace.member_removed. AccountDeleted says that the account had
// never been activated and belonged nowhere else.
type memberRemoved struct {
	MemberID       string `json:"member_id"`
	Role           Role   `json:"role"`
	AccountDeleted bool   `json:"account_deleted"`
}

// EventName implements audit.Details.
func (memberRemoved) EventName() string { return "workspace.member_removed" }

// memberRoleChanged is workspace.member_role_changed.
type memberRoleChanged struct {
	MemberID string `json:"member_id"`
	Role     Role   `json:"role"`
	OldRole  Role   `json:"old_role"`
}

// EventName implements audit.Details.
func (memberRoleChanged) EventName() string { return "workspace.member_role_changed" }

// switched is workspace.switched.
type switched struct {
	WorkspaceID string `json:"workspace_id"`
}

// EventName implements audit.Details.
func (switched) EventName() string { return "workspace.switched" }

// activated is account.activated.
type activated struct {
	AccountID string `json:"account_id"`
	ReceiptID string `json:"receipt_id"`
}

// EventName implements audit.Details.
func (activated) EventName() string { return "account.activated" }

// about makes an event of one member of one workspace.
func about(ctx context.Context, now time.Time, actor, workspaceID, member string, d audit.Details) audit.Event {
	return audit.New(ctx, now, audit.Account(actor), d).About(token.AccountKey(member)).Workspace(workspaceID)
}

// AuditKinds lists the kinds of event of this package.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: memberInvited{}, When: "somebody was invited to a workspace"},
		{Of: memberJoined{}, When: "an invitation was accepted"},
		{Of: invitationDeclined{}, When: "an invitation was declined"},
		{Of: memberRemoved{}, When: "a member was removed, or an invitation that nobody had accepted was taken back"},
		{Of: memberRoleChanged{}, When: "a member was given another role"},
		{Of: switched{}, When: "an account made another workspace its current one"},
		{Of: activated{}, When: "a person who had been invited set a name and a password, and the account became active"},
	}
}
