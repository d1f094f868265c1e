// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Accounts implements account.Store.
type Accounts struct{ DB sqldb.DB }

var _ account.Store = Accounts{}

const accountColumns = `id, email, name, password_hash, status, deployment_admin, interface_language, timezone,
	last_login_at, last_login_ip, created_at, updated_at`

// ByID implements account.Store.
func (s Accounts) ByID(ctx context.Context, id string) (account.Account, error) {
	return accountByID(ctx, s.DB, id)
}

func accountByID(ctx context.Context, q sqldb.Querier, id string) (account.Account, error) {
	return scanAccount(q.QueryRow(ctx, `SELECT `+accountColumns+` FROM accounts WHERE id = $1`, id))
}

// ByEmail implements account.Store.
func (s Accounts) ByEmail(ctx context.Context, email string) (account.Account, error) {
	return scanAccount(s.DB.QueryRow(ctx, `SELECT `+accountColumns+` FROM accounts WHERE email = $1`, email))
}

// SetPasswordHash implements account.Store.
func (s Accounts) SetPasswordHash(ctx context.Context, id, old, hash string, now time.Time) error {
	_, err := s.DB.Exec(ctx, `UPDATE accounts SET password_hash = $1, updated_at = $2 WHERE id = $3 AND password_hash = $4`, hash, now, id, old)
	return err
}

func insertAccount(ctx context.Context, q sqldb.Querier, a account.Account) error {
	_, err := q.Exec(ctx, `INSERT INTO accounts
		(id, email, name, password_hash, status, deployment_admin, interface_language, timezone, last_login_at, last_login_ip, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		a.ID, a.Email, a.Name, null(a.PasswordHash), string(a.Status), a.DeploymentAdmin, null(a.InterfaceLanguage), null(a.Timezone),
		a.LastLoginAt, null(a.LastLoginIP), a.CreatedAt, a.UpdatedAt)
	return err
}

func scanAccount(row sqldb.Row) (account.Account, error) {
	var a account.Account
	err := row.Scan(&a.ID, &a.Email, &a.Name, text{&a.PasswordHash}, &a.Status, &a.DeploymentAdmin, text{&a.InterfaceLanguage}, text{&a.Timezone},
		&a.LastLoginAt, text{&a.LastLoginIP}, &a.CreatedAt, &a.UpdatedAt)
	if errors.Is(err, sqldb.ErrNoRows) {
		return account.Account{}, account.ErrNotFound
	}
	return a, err
}
