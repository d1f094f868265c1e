// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// InvitationLife is how long an invitation can be accepted.
const InvitationLife = 72 * time.Hour

// Invited is an invitation that has just been made. Token is the only place where its
// secret is; whoever invites passes it on.
type Invited struct {
	MemberID    string // the account's id
	Email       string
	Role        Role
	WorkspaceID string
	Token       secret.Text
	ExpiresAt   time.Time
}

// Invite invites a person, by canonical e-mail, as normal or admin; an invitation that
// they had to this workspace is void. Who has no account, or a pending one, is put on
// the list of members as pending; an account that is active becomes a member only by
// accepting. It returns ErrInviteRole, ErrNotFound, ErrRole, ErrAlreadyMember,
// ErrEmailIsExternal or ErrMemberLimit.
func (s *Members) Invite(ctx context.Context, actor, workspaceID, email string, role Role) (Invited, error) {
	if !role.Invitable() {
		return Invited{}, ErrInviteRole
	}
	value := secret.New(secret.Random())
	var out Invited
	err := s.act(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		if err := s.enter(ctx, tx, workspaceID, actor); err != nil {
			return nil, err
		}
		// A name is what they will give themselves; until then it is the address.
		a, err := tx.ClaimAccount(ctx, account.Account{ID: canon.NewID(), Email: email, Name: email, Status: account.Pending, CreatedAt: now, UpdatedAt: now})
		if err != nil {
			return nil, err
		}
		if err := s.place(ctx, tx, actor, workspaceID, a, role, now); err != nil {
			return nil, err
		}
		out = Invited{MemberID: a.ID, Email: a.Email, Role: role, WorkspaceID: workspaceID, Token: value, ExpiresAt: now.Add(InvitationLife)}
		if err := tx.PutInvitation(ctx, NewInvitation{
			ID: canon.NewID(), WorkspaceID: workspaceID, AccountID: a.ID, Email: a.Email, Role: role,
			Token: secret.DigestOf(value.Reveal()), InvitedBy: actor, ExpiresAt: out.ExpiresAt, CreatedAt: now,
		}); err != nil {
			return nil, err
		}
		return []audit.Event{about(ctx, now, actor, workspaceID, a.ID, memberInvited{MemberID: a.ID, Role: role, Pending: a.Status == account.Pending})}, nil
	})
	if err != nil {
		return Invited{}, err
	}
	return out, nil
}

// place asks whether an account can be invited, and puts a pending one on the list.
func (s *Members) place(ctx context.Context, tx Tx, actor, workspaceID string, a account.Account, role Role, now time.Time) error {
	m, err := tx.Member(ctx, workspaceID, a.ID)
	listed := err == nil
	switch {
	case err != nil && !errors.Is(err, ErrMemberNotFound):
		return err
	case listed && a.Status != account.Pending:
		return ErrAlreadyMember
	}
	if err := s.mayTake(ctx, tx, actor, a.Email, now); err != nil {
		return err
	}
	if listed {
		if m.Role == role {
			return nil
		}
		_, err := tx.SetRole(ctx, workspaceID, a.ID, role, now)
		return err
	}
	if err := s.room(ctx, tx, workspaceID); err != nil || a.Status != account.Pending {
		return err
	}
	return tx.AddMember(ctx, NewMember{WorkspaceID: workspaceID, AccountID: a.ID, Role: role, InvitedBy: actor, JoinedAt: now})
}

// mayTake keeps an owner from ending, by an invitation, the tokens of somebody who
// signs in by an identity provider: that is a deployment administrator's to decide.
func (s *Members) mayTake(ctx context.Context, tx Tx, actor, email string, now time.Time) error {
	held, err := tx.HoldsExternalTokens(ctx, email, now)
	if err != nil || !held {
		return err
	}
	who, err := tx.Account(ctx, actor)
	if err != nil {
		return err
	}
	if !who.DeploymentAdmin {
		return ErrEmailIsExternal
	}
	return nil
}

// room asks whether one more member fits.
func (s *Members) room(ctx context.Context, tx Tx, workspaceID string) error {
	if s.MemberLimit == 0 {
		return nil
	}
	n, err := tx.CountMembers(ctx, workspaceID)
	if err == nil && n >= s.MemberLimit {
		return ErrMemberLimit
	}
	return err
}
