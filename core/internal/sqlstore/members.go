// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Members implements workspace.MemberStore.
type Members struct{ DB sqldb.DB }

var _ workspace.MemberStore = Members{}

// InTx implements workspace.MemberStore.
func (s Members) InTx(ctx context.Context, fn func(ctx context.Context, tx workspace.Tx) error) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, q sqldb.Querier) error { return fn(ctx, memberTx{accessTx{tokenTx{q}}}) })
	if errors.Is(err, sqldb.ErrCommit) {
		return token.ErrCommitUnknown.Because(err)
	}
	return err
}

const memberColumns = `a.id, a.name, a.email, m.role, a.status, m.created_at`

func scanMember(row sqldb.Row) (m workspace.Member, err error) {
	err = row.Scan(&m.AccountID, &m.Name, &m.Email, &m.Role, &m.Status, &m.JoinedAt)
	return m, err
}

// List implements workspace.MemberStore.
func (s Members) List(ctx context.Context, workspaceID string, offset, limit int) ([]workspace.Member, int, error) {
	total, err := countMembers(ctx, s.DB, workspaceID)
	if err != nil {
		return nil, 0, err
	}
	rows, err := s.DB.Query(ctx, `SELECT `+memberColumns+` FROM memberships m JOIN accounts a ON a.id = m.account_id
		WHERE m.workspace_id = $1 ORDER BY m.created_at, m.account_id LIMIT $2 OFFSET $3`, workspaceID, limit, offset)
	list, err := collect(rows, err, scanMember)
	return list, total, err
}

func countMembers(ctx context.Context, q sqldb.Querier, workspaceID string) (n int, err error) {
	err = q.QueryRow(ctx, `SELECT count(*) FROM memberships WHERE workspace_id = $1`, workspaceID).Scan(&n)
	return n, err
}

// memberTx implements workspace.Tx. What it has in common with an end of access is that
// one's own.
type memberTx struct{ accessTx }

var _ workspace.Tx = memberTx{}

// LockWorkspace implements workspace.Tx. An update that changes nothing takes the row's
// lock on every engine, and what follows it sees what its last holder has committed.
func (t memberTx) LockWorkspace(ctx context.Context, id string) (w workspace.Workspace, err error) {
	err = t.q.QueryRow(ctx, `UPDATE workspaces SET updated_at = updated_at WHERE id = $1 AND status = 'normal'
		RETURNING id, name, status, created_at, updated_at`, id).Scan(&w.ID, &w.Name, &w.Status, &w.CreatedAt, &w.UpdatedAt)
	if errors.Is(err, sqldb.ErrNoRows) {
		return workspace.Workspace{}, workspace.ErrNotFound
	}
	return w, err
}

// LockAccount implements workspace.Tx.
func (t memberTx) LockAccount(ctx context.Context, id string) (account.Account, error) {
	return scanAccount(t.q.QueryRow(ctx, `UPDATE accounts SET updated_at = updated_at WHERE id = $1 RETURNING `+accountColumns, id))
}

// ClaimAccount implements workspace.Tx: of two that invite one address at once the
// second waits, and finds the account of the first.
func (t memberTx) ClaimAccount(ctx context.Context, a account.Account) (account.Account, error) {
	return scanAccount(t.q.QueryRow(ctx, `INSERT INTO accounts (id, email, name, status, deployment_admin, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (email) DO UPDATE SET email = excluded.email RETURNING `+accountColumns,
		a.ID, a.Email, a.Name, string(a.Status), a.DeploymentAdmin, a.CreatedAt, a.UpdatedAt))
}

// Place implements workspace.Tx.
func (t memberTx) Place(ctx context.Context, workspaceID, accountID string) (workspace.Membership, error) {
	return place(ctx, t.q, workspaceID, accountID)
}

// Member implements workspace.Tx.
func (t memberTx) Member(ctx context.Context, workspaceID, accountID string) (workspace.Member, error) {
	m, err := scanMember(t.q.QueryRow(ctx, `SELECT `+memberColumns+` FROM memberships m JOIN accounts a ON a.id = m.account_id
		WHERE m.workspace_id = $1 AND m.account_id = $2`, workspaceID, accountID))
	if errors.Is(err, sqldb.ErrNoRows) {
		return workspace.Member{}, workspace.ErrMemberNotFound
	}
	return m, err
}

// CountMembers implements workspace.Tx.
func (t memberTx) CountMembers(ctx context.Context, workspaceID string) (int, error) {
	return countMembers(ctx, t.q, workspaceID)
}

// HoldsExternalTokens implements workspace.Tx.
func (t memberTx) HoldsExternalTokens(ctx context.Context, email string, now time.Time) (bool, error) {
	var n int
	err := t.q.QueryRow(ctx, `SELECT count(*) FROM oauth_access_tokens
		WHERE subject_email = $1 AND prefix <> 'dfoa_' AND revoked_at IS NULL AND expires_at > $2`, email, now).Scan(&n)
	return n > 0, err
}

// AddMember implements workspace.Tx.
func (t memberTx) AddMember(ctx context.Context, m workspace.NewMember) error {
	return insertMembership(ctx, t.q, m, false)
}

// SetRole implements workspace.Tx.
func (t memberTx) SetRole(ctx context.Context, workspaceID, accountID string, role workspace.Role, now time.Time) (bool, error) {
	n, err := t.q.Exec(ctx, `UPDATE memberships SET role = $1, updated_at = $2 WHERE workspace_id = $3 AND account_id = $4`,
		string(role), now, workspaceID, accountID)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = t.q.Exec(ctx, `UPDATE invitations SET role = $1 WHERE workspace_id = $2 AND account_id = $3 AND accepted_at IS NULL`,
		string(role), workspaceID, accountID)
	return err == nil, err
}

// RemoveMember implements workspace.Tx.
func (t memberTx) RemoveMember(ctx context.Context, workspaceID, accountID string) (bool, error) {
	n, err := t.q.Exec(ctx, `DELETE FROM memberships WHERE workspace_id = $1 AND account_id = $2`, workspaceID, accountID)
	if err != nil || n == 0 {
		return false, err
	}
	if _, err = t.q.Exec(ctx, `DELETE FROM invitations WHERE workspace_id = $1 AND account_id = $2 AND accepted_at IS NULL`, workspaceID, accountID); err != nil {
		return false, err
	}
	_, err = t.q.Exec(ctx, `DELETE FROM app_access WHERE account_id = $2 AND app_id IN (SELECT id FROM apps WHERE workspace_id = $1)`, workspaceID, accountID)
	return err == nil, err
}

// DropPending implements workspace.Tx.
func (t memberTx) DropPending(ctx context.Context, accountID string) (bool, error) {
	n, err := t.q.Exec(ctx, `DELETE FROM accounts WHERE id = $1 AND status = 'pending'
		AND NOT EXISTS (SELECT 1 FROM memberships WHERE account_id = $1)`, accountID)
	return n == 1, err
}

// HasCurrent implements workspace.Tx.
func (t memberTx) HasCurrent(ctx context.Context, accountID string) (bool, error) {
	var n int
	err := t.q.QueryRow(ctx, `SELECT count(*) FROM memberships WHERE account_id = $1 AND current = $2`, accountID, true).Scan(&n)
	return n > 0, err
}

// MakeCurrent implements workspace.Tx. The unique index on the current membership is
// asked row by row: one statement over both rows fails or not by the order in which an
// engine finds them. So the former goes first, and the account's lock makes the two one.
func (t memberTx) MakeCurrent(ctx context.Context, workspaceID, accountID string, now time.Time) (bool, error) {
	if _, err := t.q.Exec(ctx, `UPDATE memberships SET current = $1, updated_at = $2 WHERE account_id = $3 AND current = $4 AND workspace_id <> $5`,
		false, now, accountID, true, workspaceID); err != nil {
		return false, err
	}
	n, err := t.q.Exec(ctx, `UPDATE memberships SET current = $1, updated_at = $2 WHERE workspace_id = $3 AND account_id = $4`,
		true, now, workspaceID, accountID)
	return n == 1, err
}

// Activate implements workspace.Tx.
func (t memberTx) Activate(ctx context.Context, accountID, name, passwordHash, ip string, now time.Time) (bool, error) {
	n, err := t.q.Exec(ctx, `UPDATE accounts SET status = 'active', name = $1, password_hash = $2, last_login_at = $3, last_login_ip = $4, updated_at = $3
		WHERE id = $5 AND status = 'pending'`, name, passwordHash, now, null(ip), accountID)
	return n == 1, err
}

// ReplaceBrowser implements workspace.Tx.
func (t memberTx) ReplaceBrowser(ctx context.Context, s console.Session, replaces secret.Digest) error {
	return replaceBrowser(ctx, t.q, s, replaces)
}
