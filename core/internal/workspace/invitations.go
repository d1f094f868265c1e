// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// MaxName is the longest name of a person in characters.
const MaxName = 255

// tokenLength is that of the base64url of 32 bytes: what is none is not looked up.
const tokenLength = 43

// Invitation finds what a link invites to. Who is pending sets a name and a password
// with Activate; an active account, signed in, calls Accept or Decline. Looking changes
// nothing. It returns ErrInvitationNotFound for everything that cannot be accepted.
func (s *Members) Invitation(ctx context.Context, link secret.Text) (Invitation, error) {
	if len(link.Reveal()) != tokenLength {
		return Invitation{}, ErrInvitationNotFound
	}
	i, err := s.Store.Invitation(ctx, secret.DigestOf(link.Reveal()), s.now())
	if err != nil {
		return Invitation{}, fault.Store(err)
	}
	if i.Status != account.Pending && i.Status != account.Active {
		return Invitation{}, ErrInvitationNotFound
	}
	return i, nil
}

// Accept makes the account that was invited, and that is signed in, a member. The
// invitation is used up. It returns ErrInvitationNotFound, for another's invitation as
// for an unknown one, or ErrMemberLimit, which leaves the invitation as it is.
func (s *Members) Accept(ctx context.Context, link secret.Text, accountID string) (Invitation, error) {
	i, err := s.own(ctx, link, accountID)
	if err != nil {
		return Invitation{}, err
	}
	err = s.act(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		a, err := s.answer(ctx, tx, i)
		if err != nil {
			return nil, err
		}
		if a.Status != account.Active {
			return nil, ErrInvitationNotFound
		}
		if i.Role, err = tx.TakeInvitation(ctx, secret.DigestOf(link.Reveal()), a.ID, now); err != nil {
			return nil, err
		}
		if err := s.room(ctx, tx, i.WorkspaceID); err != nil {
			return nil, err
		}
		if err := tx.AddMember(ctx, NewMember{WorkspaceID: i.WorkspaceID, AccountID: a.ID, Role: i.Role, InvitedBy: i.InvitedBy, JoinedAt: now}); err != nil {
			return nil, err
		}
		works, err := tx.HasCurrent(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		if !works { // who has no workspace works in this one
			if _, err := tx.MakeCurrent(ctx, i.WorkspaceID, a.ID, now); err != nil {
				return nil, err
			}
		}
		return []audit.Event{about(ctx, now, a.ID, i.WorkspaceID, a.ID, memberJoined{MemberID: a.ID, Role: i.Role})}, nil
	})
	return i, err
}

// Decline deletes the invitation of the account that was invited, and that is signed
// in. It returns ErrInvitationNotFound as Accept does.
func (s *Members) Decline(ctx context.Context, link secret.Text, accountID string) error {
	i, err := s.own(ctx, link, accountID)
	if err != nil {
		return err
	}
	return s.act(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		role, err := tx.DropInvitation(ctx, secret.DigestOf(link.Reveal()), accountID, now)
		if err != nil {
			return nil, err
		}
		return []audit.Event{about(ctx, now, accountID, i.WorkspaceID, accountID, invitationDeclined{MemberID: accountID, Role: role})}, nil
	})
}

// own finds an invitation that an active account may answer.
func (s *Members) own(ctx context.Context, link secret.Text, accountID string) (Invitation, error) {
	i, err := s.Invitation(ctx, link)
	if err != nil {
		return Invitation{}, err
	}
	if i.Pending() || i.AccountID != accountID {
		return Invitation{}, ErrInvitationNotFound
	}
	return i, nil
}

// answer takes what accepting changes: the workspace, then the account. Neither is
// there any more: then the invitation is not either.
func (s *Members) answer(ctx context.Context, tx Tx, i Invitation) (account.Account, error) {
	if _, err := tx.LockWorkspace(ctx, i.WorkspaceID); errors.Is(err, ErrNotFound) {
		return account.Account{}, ErrInvitationNotFound
	} else if err != nil {
		return account.Account{}, err
	}
	a, err := tx.LockAccount(ctx, i.AccountID)
	if errors.Is(err, account.ErrNotFound) {
		return account.Account{}, ErrInvitationNotFound
	}
	return a, err
}

// Activation is what a person without an account gives themselves.
type Activation struct {
	Name     string
	Password secret.Text
	// Browser begins a session; the one that it presents ends.
	Browser console.Browser
}

// Activate makes a pending account active by its invitation, and begins its first
// session. Whoever holds live tokens under its e-mail without an account loses them in
// the same transaction, and what other workspaces had put the account down for counts
// no more until it accepts there too: nobody gets into a workspace by another's act
// alone. It returns ErrInvitationNotFound, ErrName, one of account.ErrPassword…, or
// ErrTombstones, after which the account is active.
func (s *Members) Activate(ctx context.Context, link secret.Text, in Activation) (console.Issued, error) {
	none := console.Issued{}
	i, err := s.Invitation(ctx, link)
	if err != nil {
		return none, err
	}
	if !i.Pending() {
		return none, ErrInvitationNotFound
	}
	name, ok := canon.Text(in.Name, MaxName)
	if !ok {
		return none, ErrName
	}
	if err := s.Passwords.Check(in.Password, i.Email); err != nil {
		return none, err
	}
	hash, err := s.Passwords.Hash(ctx, in.Password)
	if err != nil {
		return none, fault.Store(err)
	}
	var (
		issued console.Issued
		ending access.Ending
	)
	err = s.act(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		if _, err := tx.LockEpochs(ctx, access.KeysOf(i.AccountID, i.Email), now); err != nil {
			return nil, err
		}
		a, err := s.answer(ctx, tx, i)
		if err != nil {
			return nil, err
		}
		if i.Role, err = tx.TakeInvitation(ctx, secret.DigestOf(link.Reveal()), a.ID, now); err != nil {
			return nil, err
		}
		if ok, err := tx.Activate(ctx, a.ID, name, hash, in.Browser.IP, now); err != nil {
			return nil, err
		} else if !ok {
			return nil, ErrInvitationNotFound // activated elsewhere: the link is theirs to open again
		}
		a.Name, a.PasswordHash, a.Status = name, hash, account.Active
		if ending, err = s.Access.BecameActive(ctx, tx, a, audit.Account(a.ID)); err != nil {
			return nil, err
		}
		if ok, err := tx.MakeCurrent(ctx, i.WorkspaceID, a.ID, now); err != nil {
			return nil, err
		} else if !ok {
			return nil, ErrInvitationNotFound
		}
		issued = s.Console.Fresh(a, console.HowActivation, in.Browser)
		if err := tx.ReplaceBrowser(ctx, issued.Session, console.Presented(in.Browser)); err != nil {
			return nil, err
		}
		return append(ending.Events,
			audit.New(ctx, now, audit.Account(a.ID), activated{AccountID: a.ID, ReceiptID: ending.Receipt.ID}).About(token.AccountKey(a.ID)),
			about(ctx, now, a.ID, i.WorkspaceID, a.ID, memberJoined{MemberID: a.ID, Role: i.Role}),
			console.SignedIn(ctx, issued)), nil
	})
	if err != nil {
		return none, err
	}
	if err := s.Access.Bury(ctx, ending); err != nil {
		return none, ErrTombstones.Because(err)
	}
	return issued, nil
}
