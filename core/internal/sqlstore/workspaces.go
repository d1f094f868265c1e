// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Workspaces implements workspace.Store.
type Workspaces struct{ DB sqldb.DB }

var _ workspace.Store = Workspaces{}

// MembershipsOf implements workspace.Store.
func (s Workspaces) MembershipsOf(ctx context.Context, accountID string) ([]workspace.Membership, error) {
	rows, err := s.DB.Query(ctx, `SELECT w.id, w.name, w.status, w.created_at, w.updated_at, m.role, m.current
		FROM memberships m JOIN workspaces w ON w.id = m.workspace_id
		WHERE m.account_id = $1 ORDER BY w.created_at, w.id`, accountID)
	return collect(rows, err, func(row sqldb.Row) (m workspace.Membership, err error) {
		err = row.Scan(&m.Workspace.ID, &m.Workspace.Name, &m.Workspace.Status, &m.Workspace.CreatedAt, &m.Workspace.UpdatedAt, &m.Role, &m.Current)
		return m, err
	})
}

func insertWorkspace(ctx context.Context, q sqldb.Querier, w workspace.Workspace) error {
	_, err := q.Exec(ctx, `INSERT INTO workspaces (id, name, status, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)`,
		w.ID, w.Name, string(w.Status), w.CreatedAt, w.UpdatedAt)
	return err
}

func insertMembership(ctx context.Context, q sqldb.Querier, workspaceID, accountID string, role workspace.Role, current bool, now time.Time) error {
	_, err := q.Exec(ctx, `INSERT INTO memberships (id, workspace_id, account_id, role, current, invited_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, NULL, $6, $6)`, canon.NewID(), workspaceID, accountID, string(role), current, now)
	return err
}
