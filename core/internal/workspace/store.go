// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Member is an account in a workspace. One whose account is pending has been invited
// and has not accepted.
type Member struct {
	AccountID string
	Name      string
	Email     string
	Role      Role
	Status    account.Status
	JoinedAt  time.Time
}

// Invitation is one that somebody may accept. Its token is nowhere but in the link.
type Invitation struct {
	ID            string
	WorkspaceID   string
	WorkspaceName string
	// AccountID and Email are of the person invited, Status that of their account.
	AccountID string
	Email     string
	Status    account.Status
	Role      Role
	// InvitedBy is the account of who has invited, InviterName its name, InviterEmail
	// its e-mail.
	InvitedBy    string
	InviterName  string
	InviterEmail string
	ExpiresAt    time.Time
}

// Pending reports whether the person has to set a name and a password first.
func (i Invitation) Pending() bool { return i.Status == account.Pending }

// NewInvitation is an invitation that is about to be stored.
type NewInvitation struct {
	ID          string
	WorkspaceID string
	AccountID   string
	Email       string
	Role        Role
	Token       secret.Digest
	InvitedBy   string
	ExpiresAt   time.Time
	CreatedAt   time.Time
}

// NewMember is a membership that is about to be stored.
type NewMember struct {
	WorkspaceID string
	AccountID   string
	Role        Role
	// InvitedBy is an account; empty for none.
	InvitedBy string
	JoinedAt  time.Time
}

// MemberStore keeps who belongs to a workspace and who is invited.
type MemberStore interface {
	// InTx runs fn in one transaction. It returns token.ErrCommitUnknown when the
	// commit itself failed; any other error means that nothing was written.
	InTx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// List gives one page of a workspace's members, by the time of their joining, then
	// id, and their number.
	List(ctx context.Context, workspaceID string, offset, limit int) ([]Member, int, error)
	// Invitation gives the invitation of a token that is neither used nor expired, into
	// a workspace that is not archived, or ErrInvitationNotFound.
	Invitation(ctx context.Context, token secret.Digest, now time.Time) (Invitation, error)
}

// Tx is what a transaction over members can do beside ending access. Transactions take
// what they need in one order and so never wait for each other in a circle: epochs, the
// workspace, the account, then memberships and invitations.
type Tx interface {
	access.Tx
	// LockWorkspace takes the workspace's row: whatever changes its members is serial.
	// It returns ErrNotFound for one that does not exist or is archived.
	LockWorkspace(ctx context.Context, id string) (Workspace, error)
	// LockAccount takes the account's row, or returns account.ErrNotFound.
	LockAccount(ctx context.Context, id string) (account.Account, error)
	// ClaimAccount takes the row of the account that has the e-mail, and inserts a as it
	// is where nobody has it.
	ClaimAccount(ctx context.Context, a account.Account) (account.Account, error)
	// Place gives the workspace as a member sees it, or ErrNotFound.
	Place(ctx context.Context, workspaceID, accountID string) (Membership, error)
	// Member gives one member, or ErrMemberNotFound.
	Member(ctx context.Context, workspaceID, accountID string) (Member, error)
	// CountMembers counts all members, those that have not accepted included.
	CountMembers(ctx context.Context, workspaceID string) (int, error)
	// HoldsExternalTokens reports whether live tokens of people without an account carry
	// the e-mail.
	HoldsExternalTokens(ctx context.Context, email string, now time.Time) (bool, error)
	// AddMember inserts a membership, which is not the current one.
	AddMember(ctx context.Context, m NewMember) error
	// SetRole changes the role of a member, and of their open invitation; ok is false
	// when there is no such member.
	SetRole(ctx context.Context, workspaceID, accountID string, role Role, now time.Time) (ok bool, err error)
	// RemoveMember deletes a membership and the open invitation to it, and takes the account
	// off the lists of access of the workspace's apps; ok is false when there was none.
	RemoveMember(ctx context.Context, workspaceID, accountID string) (ok bool, err error)
	// DropPending deletes an account that is pending and belongs to no workspace.
	DropPending(ctx context.Context, accountID string) (dropped bool, err error)
	// HasCurrent reports whether one of the account's memberships is the current one.
	HasCurrent(ctx context.Context, accountID string) (bool, error)
	// MakeCurrent makes this membership the account's current one and the others not;
	// ok is false when the account has no such membership. The account's row must have
	// been taken.
	MakeCurrent(ctx context.Context, workspaceID, accountID string, now time.Time) (ok bool, err error)
	// PutInvitation inserts an invitation in place of the open one.
	PutInvitation(ctx context.Context, i NewInvitation) error
	// TakeInvitation marks an invitation as accepted and gives its role. It returns
	// ErrInvitationNotFound for one that is not the account's, is used, replaced or
	// expired.
	TakeInvitation(ctx context.Context, token secret.Digest, accountID string, now time.Time) (Role, error)
	// DropInvitation deletes an invitation under the conditions of TakeInvitation.
	DropInvitation(ctx context.Context, token secret.Digest, accountID string, now time.Time) (Role, error)
	// Activate makes a pending account active; ok is false when it is not pending.
	Activate(ctx context.Context, accountID, name, passwordHash, ip string, now time.Time) (ok bool, err error)
	// ReplaceBrowser inserts a console session and deletes the one that the browser
	// brought along, by digest; zero for none.
	ReplaceBrowser(ctx context.Context, s console.Session, replaces secret.Digest) error
}
