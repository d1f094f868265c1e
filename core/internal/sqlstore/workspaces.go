// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Workspaces implements workspace.Store.
type Workspaces struct{ DB sqldb.DB }

var _ workspace.Store = Workspaces{}

// MembershipsOf implements workspace.Store.
func (s Workspaces) MembershipsOf(ctx context.Context, accountID string) ([]workspace.Membership, error) {
	rows, err := s.DB.Query(ctx, `SELECT `+membershipColumns+`
		FROM memberships m JOIN workspaces w ON w.id = m.workspace_id
		WHERE m.account_id = $1 ORDER BY w.created_at, w.id`, accountID)
	return collect(rows, err, scanMembership)
}

// Place implements workspace.Store.
func (s Workspaces) Place(ctx context.Context, workspaceID, accountID string) (workspace.Membership, error) {
	return place(ctx, s.DB, workspaceID, accountID)
}

func place(ctx context.Context, q sqldb.Querier, workspaceID, accountID string) (workspace.Membership, error) {
	m, err := scanMembership(q.QueryRow(ctx, `SELECT `+membershipColumns+`
		FROM memberships m JOIN workspaces w ON w.id = m.workspace_id WHERE m.workspace_id = $1 AND m.account_id = $2`, workspaceID, accountID))
	if errors.Is(err, sqldb.ErrNoRows) {
		return workspace.Membership{}, workspace.ErrNotFound
	}
	return m, err
}

const membershipColumns = `w.id, w.name, w.status, w.created_at, w.updated_at, m.role, m.current`

func scanMembership(row sqldb.Row) (m workspace.Membership, err error) {
	err = row.Scan(&m.Workspace.ID, &m.Workspace.Name, &m.Workspace.Status, &m.Workspace.CreatedAt, &m.Workspace.UpdatedAt, &m.Role, &m.Current)
	return m, err
}

func insertWorkspace(ctx context.Context, q sqldb.Querier, w workspace.Workspace) error {
	_, err := q.Exec(ctx, `INSERT INTO workspaces (id, name, status, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)`,
		w.ID, w.Name, string(w.Status), w.CreatedAt, w.UpdatedAt)
	return err
}

func insertMembership(ctx context.Context, q sqldb.Querier, m workspace.NewMember, current bool) error {
	_, err := q.Exec(ctx, `INSERT INTO memberships (id, workspace_id, account_id, role, current, invited_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7)`, canon.NewID(), m.WorkspaceID, m.AccountID, string(m.Role), current, null(m.InvitedBy), m.JoinedAt)
	return err
}
