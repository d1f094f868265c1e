// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Installation implements installation.Store.
type Installation struct{ DB sqldb.DB }

var _ installation.Store = Installation{}

// Read implements installation.Store.
func (s Installation) Read(ctx context.Context) (installation.State, error) {
	var state installation.State
	err := s.DB.QueryRow(ctx, `SELECT setup_at, setup_code_hash, canary FROM installation WHERE id = 1`).
		Scan(&state.SetupAt, digest{&state.SetupCodeHash}, &state.Canary)
	if errors.Is(err, sqldb.ErrNoRows) {
		return installation.State{}, nil
	}
	return state, err
}

// Init implements installation.Store.
func (s Installation) Init(ctx context.Context, canary string) error {
	_, err := s.DB.Exec(ctx, `INSERT INTO installation (id, canary) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`, canary)
	return err
}

// SetCodeHash implements installation.Store.
func (s Installation) SetCodeHash(ctx context.Context, d secret.Digest) error {
	_, err := s.DB.Exec(ctx, `UPDATE installation SET setup_code_hash = $1 WHERE id = 1 AND setup_at IS NULL`, d[:])
	return err
}

// SetUp implements installation.Store. The conditional update comes first: it takes
// the row, and whoever finds it taken writes nothing.
func (s Installation) SetUp(ctx context.Context, a account.Account, w workspace.Workspace, now time.Time, events ...audit.Event) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		n, err := tx.Exec(ctx, `UPDATE installation SET setup_at = $1, setup_code_hash = NULL WHERE id = 1 AND setup_at IS NULL`, now)
		if err != nil {
			return err
		}
		if n == 0 {
			return installation.ErrAlreadySetUp
		}
		if err := insertAccount(ctx, tx, a); err != nil {
			return err
		}
		if err := insertWorkspace(ctx, tx, w); err != nil {
			return err
		}
		if err := insertMembership(ctx, tx, workspace.NewMember{WorkspaceID: w.ID, AccountID: a.ID, Role: workspace.Owner, JoinedAt: now}, true); err != nil {
			return err
		}
		return appendEvents(ctx, tx, events)
	})
}
