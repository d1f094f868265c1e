// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// MembersDeps is what Members needs; all fields but MemberLimit are required.
type MembersDeps struct {
	Store     MemberStore
	Access    *access.Service
	Console   *console.Service
	Passwords *account.Passwords
	Recorder  *audit.Recorder
	Now       func() time.Time
	// MemberLimit is how many members a workspace may have; 0 is no limit.
	MemberLimit int
}

// Members changes who belongs to a workspace. Every act reads the rights of whoever
// acts in its own transaction, behind the workspace's lock: a role that was taken away
// before it is gone, and acts on one workspace are serial. Every method returns a 503
// when the store cannot be asked. It is safe for concurrent use.
type Members struct{ MembersDeps }

// NewMembers checks the dependencies.
func NewMembers(d MembersDeps) (*Members, error) {
	if d.Store == nil || d.Access == nil || d.Console == nil || d.Passwords == nil || d.Recorder == nil || d.Now == nil || d.MemberLimit < 0 {
		return nil, errors.New("workspace: store, access, console, passwords, recorder and clock are required, and a limit is not negative")
	}
	return &Members{d}, nil
}

// Managers are the roles that change members.
var Managers = []Role{Owner, Admin}

// Manages reports whether a role may change members.
func (r Role) Manages() bool { return r == Owner || r == Admin }

// Invitable reports whether people can be invited as, and changed to, this role.
func (r Role) Invitable() bool { return r == Normal || r == Admin }

// List gives a page (from 1) of a workspace's members, by the time of their joining,
// and their number. That the caller is a member is the caller's to have asked.
func (s *Members) List(ctx context.Context, workspaceID string, page, limit int) ([]Member, int, error) {
	list, total, err := s.Store.List(ctx, workspaceID, (page-1)*limit, limit)
	return list, total, fault.Store(err)
}

// Find gives a member whom actor may act on: another than themselves, and not the owner.
// It returns what Remove does and changes nothing.
func (s *Members) Find(ctx context.Context, actor, workspaceID, member string) (Member, error) {
	var m Member
	err := s.act(ctx, func(ctx context.Context, tx Tx, _ time.Time) (_ []audit.Event, err error) {
		if err := s.enter(ctx, tx, workspaceID, actor); err != nil {
			return nil, err
		}
		m, err = target(ctx, tx, workspaceID, actor, member)
		return nil, err
	})
	return m, err
}

// Remove takes a member out of a workspace. A pending account that belongs nowhere
// else is deleted. It returns ErrNotFound, ErrRole, ErrSelf, ErrOwner or
// ErrMemberNotFound.
func (s *Members) Remove(ctx context.Context, actor, workspaceID, member string) error {
	return s.act(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		if err := s.enter(ctx, tx, workspaceID, actor); err != nil {
			return nil, err
		}
		m, err := target(ctx, tx, workspaceID, actor, member)
		if err != nil {
			return nil, err
		}
		removed := memberRemoved{MemberID: member, Role: m.Role}
		// From here on nobody else invites or activates this account.
		if _, err := tx.LockAccount(ctx, member); errors.Is(err, account.ErrNotFound) {
			return nil, ErrMemberNotFound
		} else if err != nil {
			return nil, err
		}
		if ok, err := tx.RemoveMember(ctx, workspaceID, member); err != nil {
			return nil, err
		} else if !ok {
			return nil, ErrMemberNotFound
		}
		if removed.AccountDeleted, err = tx.DropPending(ctx, member); err != nil {
			return nil, err
		}
		return []audit.Event{about(ctx, now, actor, workspaceID, member, removed)}, nil
	})
}

// SetRole gives a member another role, normal or admin. It returns ErrInviteRole,
// ErrNotFound, ErrRole, ErrSelf, ErrOwner, ErrMemberNotFound or ErrRoleUnchanged.
func (s *Members) SetRole(ctx context.Context, actor, workspaceID, member string, role Role) error {
	if !role.Invitable() {
		return ErrInviteRole
	}
	return s.act(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		if err := s.enter(ctx, tx, workspaceID, actor); err != nil {
			return nil, err
		}
		m, err := target(ctx, tx, workspaceID, actor, member)
		if err != nil {
			return nil, err
		}
		if m.Role == role {
			return nil, ErrRoleUnchanged
		}
		if ok, err := tx.SetRole(ctx, workspaceID, member, role, now); err != nil {
			return nil, err
		} else if !ok {
			return nil, ErrMemberNotFound
		}
		return []audit.Event{about(ctx, now, actor, workspaceID, member, memberRoleChanged{MemberID: member, Role: role, OldRole: m.Role})}, nil
	})
}

// Switch makes a workspace the person's current one, for their clients and browsers
// alike. Of several at once one is the current one in the end. It returns ErrNotFound.
func (s *Members) Switch(ctx context.Context, accountID, workspaceID string) (Membership, error) {
	if !canon.IsID(workspaceID) {
		return Membership{}, ErrNotFound
	}
	var place Membership
	err := s.act(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		if _, err := tx.LockAccount(ctx, accountID); errors.Is(err, account.ErrNotFound) {
			return nil, ErrNotFound
		} else if err != nil {
			return nil, err
		}
		var err error
		if place, err = tx.Place(ctx, workspaceID, accountID); err != nil {
			return nil, err
		}
		if place.Workspace.Status != StatusNormal {
			return nil, ErrNotFound
		}
		if place.Current {
			return nil, nil
		}
		if place.Current, err = tx.MakeCurrent(ctx, workspaceID, accountID, now); err != nil {
			return nil, err
		}
		if !place.Current {
			return nil, ErrNotFound // removed since it was read
		}
		return []audit.Event{about(ctx, now, accountID, workspaceID, accountID, switched{WorkspaceID: workspaceID})}, nil
	})
	return place, err
}

// enter takes the workspace and asks whether actor may change its members.
func (s *Members) enter(ctx context.Context, tx Tx, workspaceID, actor string) error {
	if _, err := tx.LockWorkspace(ctx, workspaceID); err != nil {
		return err
	}
	me, err := tx.Member(ctx, workspaceID, actor)
	if errors.Is(err, ErrMemberNotFound) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	if !me.Role.Manages() {
		return ErrRole
	}
	return nil
}

// target finds a member whom somebody acts on, neither themselves nor the owner.
func target(ctx context.Context, tx Tx, workspaceID, actor, member string) (Member, error) {
	if member == actor {
		return Member{}, ErrSelf
	}
	if !canon.IsID(member) {
		return Member{}, ErrMemberNotFound
	}
	m, err := tx.Member(ctx, workspaceID, member)
	if err == nil && m.Role == Owner {
		return Member{}, ErrOwner
	}
	return m, err
}

// actLimit bounds an act that waits for the lock of another, or for a database that does
// not answer.
const actLimit = 10 * time.Second

// act runs fn in one transaction and puts its events on record with it.
func (s *Members) act(ctx context.Context, fn func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error)) error {
	ctx, cancel := context.WithTimeout(ctx, actLimit)
	defer cancel()
	now := s.now()
	var events []audit.Event
	err := s.Store.InTx(ctx, func(ctx context.Context, tx Tx) (err error) {
		if events, err = fn(ctx, tx, now); err != nil {
			return err
		}
		return tx.Append(ctx, events...)
	})
	if err != nil {
		return fault.Store(err)
	}
	s.Recorder.Committed(events...)
	return nil
}

func (s *Members) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }
