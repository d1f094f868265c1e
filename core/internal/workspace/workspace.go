// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Role is what a member may do. A workspace has exactly one owner.
type Role string

// The roles of a member.
const (
	Owner  Role = "owner"
	Admin  Role = "admin"
	Editor Role = "editor"
	Normal Role = "normal"
)

// Status is the life of a workspace.
type Status string

// The statuses of a workspace.
const (
	StatusNormal   Status = "normal"
	StatusArchived Status = "archive"
)

// Workspace groups members and apps.
type Workspace struct {
	ID        string
	Name      string
	Status    Status
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Membership is a workspace as one of its members sees it.
type Membership struct {
	Workspace Workspace
	Role      Role
	// Current marks the workspace that the account works in, at most one.
	Current bool
}

// Store reads memberships.
type Store interface {
	// MembershipsOf lists an account's memberships by the workspace's creation,
	// then id; archived workspaces included.
	MembershipsOf(ctx context.Context, accountID string) ([]Membership, error)
	// Place gives one workspace as a member sees it, by one read, or ErrNotFound.
	Place(ctx context.Context, workspaceID, accountID string) (Membership, error)
}

// Service answers which workspaces an account belongs to.
type Service struct{ store Store }

// New needs a store.
func New(store Store) (*Service, error) {
	if store == nil {
		return nil, errors.New("workspace: a store is required")
	}
	return &Service{store: store}, nil
}

// Of lists an account's memberships, archived workspaces included but never marked
// current. A store that cannot be asked is a 503.
func (s *Service) Of(ctx context.Context, accountID string) ([]Membership, error) {
	list, err := s.store.MembershipsOf(ctx, accountID)
	if err != nil {
		return nil, fault.Store(err)
	}
	for i := range list {
		list[i].Current = list[i].Current && list[i].Workspace.Status == StatusNormal
	}
	return list, nil
}

// Place gives a workspace as this person, who is a member, sees it. It returns
// ErrNotFound for one that is malformed, unknown, archived or of others, alike.
func (s *Service) Place(ctx context.Context, accountID, workspaceID string) (Membership, error) {
	if !canon.IsID(workspaceID) {
		return Membership{}, ErrNotFound // no store is asked
	}
	m, err := s.store.Place(ctx, workspaceID, accountID)
	if err != nil {
		return Membership{}, fault.Store(err)
	}
	if m.Workspace.Status != StatusNormal {
		return Membership{}, ErrNotFound
	}
	return m, nil
}

// Usable keeps the memberships whose workspace is not archived, in order.
func Usable(list []Membership) []Membership {
	out := make([]Membership, 0, len(list))
	for _, m := range list {
		if m.Workspace.Status == StatusNormal {
			out = append(out, m)
		}
	}
	return out
}

// Default picks the workspace that a client starts in: the preferred one while the
// person is a member of it and it is not archived, else the one marked current,
// else the first, else none (docs/specs/v1.0/server/device-flow.md, Token answer).
func Default(list []Membership, preferred string) (Membership, bool) {
	list = Usable(list)
	for _, m := range list {
		if m.Workspace.ID == preferred {
			return m, true
		}
	}
	for _, m := range list {
		if m.Current {
			return m, true
		}
	}
	if len(list) > 0 {
		return list[0], true
	}
	return Membership{}, false
}
