// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Service answers what somebody may know of apps. It is safe for concurrent use.
type Service struct{ store Store }

// New needs a store.
func New(store Store) (*Service, error) {
	if store == nil {
		return nil, errors.New("apps: a store is required")
	}
	return &Service{store: store}, nil
}

// Place gives an app as an account stands to it, who need not be a member; an empty
// accountID is nobody's. It returns ErrNotFound for one that is malformed or unknown, and a
// 503 when nobody can say.
func (s *Service) Place(ctx context.Context, accountID, appID string) (*Place, error) {
	if !canon.IsID(appID) {
		return nil, ErrNotFound // no store is asked
	}
	p, err := s.store.Place(ctx, appID, accountID)
	return p, fault.Store(err)
}

// Usable lists a page of what a member of a workspace may run, and the number of them all.
func (s *Service) Usable(ctx context.Context, workspaceID, accountID string, q Search) ([]Summary, int, error) {
	list, total, err := s.store.Usable(ctx, workspaceID, accountID, q)
	return list, total, fault.Store(err)
}

// Permitted lists a page of what people without an account may run, and the number of them
// all.
func (s *Service) Permitted(ctx context.Context, q Search) ([]Summary, int, error) {
	list, total, err := s.store.Permitted(ctx, q)
	return list, total, fault.Store(err)
}
