// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Invitation implements workspace.MemberStore.
func (s Members) Invitation(ctx context.Context, token secret.Digest, now time.Time) (workspace.Invitation, error) {
	var i workspace.Invitation
	err := s.DB.QueryRow(ctx, `SELECT i.id, i.workspace_id, w.name, i.account_id, i.email, a.status, i.role, i.invited_by, b.name, b.email, i.expires_at
		FROM invitations i JOIN workspaces w ON w.id = i.workspace_id JOIN accounts a ON a.id = i.account_id JOIN accounts b ON b.id = i.invited_by
		WHERE i.token_hash = $1 AND i.accepted_at IS NULL AND i.expires_at > $2 AND w.status = 'normal'`, token[:], now).
		Scan(&i.ID, &i.WorkspaceID, &i.WorkspaceName, &i.AccountID, &i.Email, &i.Status, &i.Role, &i.InvitedBy, &i.InviterName, &i.InviterEmail, &i.ExpiresAt)
	if errors.Is(err, sqldb.ErrNoRows) {
		return workspace.Invitation{}, workspace.ErrInvitationNotFound
	}
	return i, err
}

// PutInvitation implements workspace.Tx: the partial unique index of open invitations
// makes the new one take the old one's place.
func (t memberTx) PutInvitation(ctx context.Context, i workspace.NewInvitation) error {
	_, err := t.q.Exec(ctx, `INSERT INTO invitations (id, workspace_id, account_id, email, role, token_hash, invited_by, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (workspace_id, account_id) WHERE accepted_at IS NULL
		DO UPDATE SET id = excluded.id, email = excluded.email, role = excluded.role, token_hash = excluded.token_hash,
			invited_by = excluded.invited_by, expires_at = excluded.expires_at, created_at = excluded.created_at`,
		i.ID, i.WorkspaceID, i.AccountID, i.Email, string(i.Role), i.Token[:], i.InvitedBy, i.ExpiresAt, i.CreatedAt)
	return err
}

// TakeInvitation implements workspace.Tx: used once is one conditional statement.
func (t memberTx) TakeInvitation(ctx context.Context, token secret.Digest, accountID string, now time.Time) (workspace.Role, error) {
	return scanInvitation(t.q.QueryRow(ctx, `UPDATE invitations SET accepted_at = $1
		WHERE token_hash = $2 AND account_id = $3 AND accepted_at IS NULL AND expires_at > $1 RETURNING role`, now, token[:], accountID))
}

// DropInvitation implements workspace.Tx.
func (t memberTx) DropInvitation(ctx context.Context, token secret.Digest, accountID string, now time.Time) (workspace.Role, error) {
	return scanInvitation(t.q.QueryRow(ctx, `DELETE FROM invitations
		WHERE token_hash = $2 AND account_id = $3 AND accepted_at IS NULL AND expires_at > $1 RETURNING role`, now, token[:], accountID))
}

func scanInvitation(row sqldb.Row) (role workspace.Role, err error) {
	err = row.Scan(&role)
	if errors.Is(err, sqldb.ErrNoRows) {
		return "", workspace.ErrInvitationNotFound
	}
	return role, err
}
