// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// InTx implements apps.RegistryStore.
func (s Apps) InTx(ctx context.Context, fn func(ctx context.Context, tx apps.Tx) error) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, q sqldb.Querier) error { return fn(ctx, appTx{q}) })
	if errors.Is(err, sqldb.ErrCommit) {
		return token.ErrCommitUnknown.Because(err)
	}
	return err
}

// Member implements apps.RegistryStore.
func (s Apps) Member(ctx context.Context, workspaceID, accountID string) (w workspace.Workspace, _ workspace.Role, err error) {
	var role string
	err = s.DB.QueryRow(ctx, `SELECT w.id, w.name, w.status, w.created_at, w.updated_at, m.role
		FROM workspaces w LEFT JOIN memberships m ON m.workspace_id = w.id AND m.account_id = $2 WHERE w.id = $1`, workspaceID, accountID).
		Scan(&w.ID, &w.Name, &w.Status, &w.CreatedAt, &w.UpdatedAt, text{&role})
	if errors.Is(err, sqldb.ErrNoRows) {
		err = workspace.ErrNotFound
	}
	return w, workspace.Role(role), err
}

// Entry implements apps.RegistryStore.
func (s Apps) Entry(ctx context.Context, appID string) (apps.Summary, []apps.Allowed, error) {
	return appEntry(ctx, s.DB, appID)
}

// Kept implements apps.RegistryStore.
func (s Apps) Kept(ctx context.Context, workspaceID string, offset, limit int) ([]apps.Summary, int, error) {
	from, args := summaries, []any{}
	if workspaceID != "" { // a text of its own, for it has an index
		from, args = from+` WHERE p.workspace_id = $1`, append(args, workspaceID)
	}
	return s.page(ctx, from, args, apps.Search{Offset: offset, Limit: limit})
}

// summaries is what an app's summary is read from.
const summaries = ` FROM apps p JOIN workspaces w ON w.id = p.workspace_id LEFT JOIN accounts c ON c.id = p.created_by`

func scanSummary(row sqldb.Row) (m apps.Summary, err error) {
	var workspaceName, creator string
	m.App, err = scanApp(row, &workspaceName, text{&creator})
	m.WorkspaceName, m.CreatedByName = workspaceName, creator
	return m, err
}

func appEntry(ctx context.Context, q sqldb.Querier, appID string) (apps.Summary, []apps.Allowed, error) {
	m, err := scanSummary(q.QueryRow(ctx, `SELECT `+appColumns+`, w.name, c.name`+summaries+` WHERE p.id = $1`, appID))
	if errors.Is(err, sqldb.ErrNoRows) {
		return apps.Summary{}, nil, apps.ErrNotFound
	}
	if err != nil {
		return apps.Summary{}, nil, err
	}
	rows, err := q.Query(ctx, `SELECT a.id, a.email, a.name FROM app_access x JOIN accounts a ON a.id = x.account_id WHERE x.app_id = $1 ORDER BY a.email`, appID)
	allowed, err := collect(rows, err, scanAllowed)
	return m, allowed, err
}

func scanAllowed(row sqldb.Row) (a apps.Allowed, err error) {
	err = row.Scan(&a.AccountID, &a.Email, &a.Name)
	return a, err
}

// appTx implements apps.Tx.
type appTx struct{ q sqldb.Querier }

var _ apps.Tx = appTx{}

// LockWorkspace implements apps.Tx, as memberTx does.
func (t appTx) LockWorkspace(ctx context.Context, id string) (workspace.Workspace, error) {
	return t.lock(ctx, `$1`, id, workspace.ErrNotFound)
}

// LockWorkspaceOf implements apps.Tx. An app stays in its workspace.
func (t appTx) LockWorkspaceOf(ctx context.Context, appID string) (workspace.Workspace, error) {
	return t.lock(ctx, `(SELECT workspace_id FROM apps WHERE id = $1)`, appID, apps.ErrNotFound)
}

func (t appTx) lock(ctx context.Context, which, arg string, unknown error) (w workspace.Workspace, err error) {
	err = t.q.QueryRow(ctx, `UPDATE workspaces SET updated_at = updated_at WHERE id = `+which+`
		RETURNING id, name, status, created_at, updated_at`, arg).Scan(&w.ID, &w.Name, &w.Status, &w.CreatedAt, &w.UpdatedAt)
	if errors.Is(err, sqldb.ErrNoRows) {
		return workspace.Workspace{}, unknown
	}
	return w, err
}

// Role implements apps.Tx.
func (t appTx) Role(ctx context.Context, workspaceID, accountID string) (role workspace.Role, err error) {
	err = t.q.QueryRow(ctx, `SELECT role FROM memberships WHERE workspace_id = $1 AND account_id = $2`, workspaceID, accountID).Scan(&role)
	if errors.Is(err, sqldb.ErrNoRows) {
		return "", nil
	}
	return role, err
}

// Members implements apps.Tx.
func (t appTx) Members(ctx context.Context, workspaceID string) ([]apps.Allowed, error) {
	rows, err := t.q.Query(ctx, `SELECT a.id, a.email, a.name FROM memberships m JOIN accounts a ON a.id = m.account_id WHERE m.workspace_id = $1`, workspaceID)
	return collect(rows, err, scanAllowed)
}

// Entry implements apps.Tx.
func (t appTx) Entry(ctx context.Context, appID string) (apps.Summary, []apps.Allowed, error) {
	return appEntry(ctx, t.q, appID)
}

// Named implements apps.Tx.
func (t appTx) Named(ctx context.Context, workspaceID, name string) ([]string, error) {
	rows, err := t.q.Query(ctx, `SELECT id FROM apps WHERE workspace_id = $1 AND name = $2 ORDER BY id`, workspaceID, name)
	return collect(rows, err, scanID)
}

// WorkspacesNamed implements apps.Tx.
func (t appTx) WorkspacesNamed(ctx context.Context, name string) ([]string, error) {
	rows, err := t.q.Query(ctx, `SELECT id FROM workspaces WHERE (name = $1 OR $1 = '') AND status = 'normal' ORDER BY id LIMIT 2`, name)
	return collect(rows, err, scanID)
}

func scanID(row sqldb.Row) (id string, err error) {
	err = row.Scan(&id)
	return id, err
}

// Insert implements apps.Tx.
func (t appTx) Insert(ctx context.Context, a apps.App) error { return insertApp(ctx, t.q, a) }

// Save implements apps.Tx.
func (t appTx) Save(ctx context.Context, a apps.App) error {
	tags, offers, err := encodeApp(a)
	if err != nil {
		return err
	}
	_, err = t.q.Exec(ctx, `UPDATE apps SET name = $2, name_folded = $3, description = $4, mode = $5, tags = $6, author = $7, runtime = $8, runtime_url = $9,
		runtime_key_sealed = $10, runtime_config = $11, runtime_features = $12, api_enabled = $13, access_mode = $14, max_active = $15, status = $16, updated_at = $17
		WHERE id = $1`,
		a.ID, a.Name, apps.Fold(a.Name), a.Description, string(a.Mode), tags, a.Author, string(a.Runtime), a.RuntimeURL, null(a.SealedKey),
		null(a.RuntimeConfig), offers, a.APIEnabled, string(a.Access), a.MaxActive, string(a.Status), a.UpdatedAt)
	return err
}

// Remove implements apps.Tx; the list of access goes with its app.
func (t appTx) Remove(ctx context.Context, appID string) error {
	_, err := t.q.Exec(ctx, `DELETE FROM apps WHERE id = $1`, appID)
	return err
}

// Allow implements apps.Tx.
func (t appTx) Allow(ctx context.Context, appID, grantedBy string, now time.Time, accounts []string) error {
	for _, id := range accounts {
		if _, err := t.q.Exec(ctx, `INSERT INTO app_access (app_id, account_id, granted_by, created_at) VALUES ($1, $2, $3, $4)`, appID, id, null(grantedBy), now); err != nil {
			return err
		}
	}
	return nil
}

// Disallow implements apps.Tx.
func (t appTx) Disallow(ctx context.Context, appID string, accounts []string) error {
	for _, id := range accounts {
		if _, err := t.q.Exec(ctx, `DELETE FROM app_access WHERE app_id = $1 AND account_id = $2`, appID, id); err != nil {
			return err
		}
	}
	return nil
}

// Append implements apps.Tx.
func (t appTx) Append(ctx context.Context, events ...audit.Event) error {
	return appendEvents(ctx, t.q, events)
}
