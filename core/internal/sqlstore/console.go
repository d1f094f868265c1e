// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Console implements console.Store.
type Console struct{ DB sqldb.DB }

var _ console.Store = Console{}

const consoleColumns = `s.id, s.account_id, s.token_hash, s.created_at, s.last_seen_at, s.expires_at, s.remember, s.how, s.auth_at, s.ip, s.user_agent`

func consoleTargets(s *console.Session) []any {
	return []any{&s.ID, &s.AccountID, digest{&s.TokenHash}, &s.CreatedAt, &s.LastSeenAt, &s.ExpiresAt, &s.Remember, &s.How, &s.AuthAt, &s.IP, &s.UserAgent}
}

// Begin implements console.Store.
func (s Console) Begin(ctx context.Context, session console.Session, replaces secret.Digest, events ...audit.Event) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		// The account comes before its sessions, in the order in which a kill takes them.
		if _, err := tx.Exec(ctx, `UPDATE accounts SET last_login_at = $1, last_login_ip = $2 WHERE id = $3`,
			session.CreatedAt, null(session.IP), session.AccountID); err != nil {
			return err
		}
		if err := replaceBrowser(ctx, tx, session, replaces); err != nil {
			return err
		}
		return appendEvents(ctx, tx, events)
	})
}

// replaceBrowser begins a session in place of the one that a browser brought along.
func replaceBrowser(ctx context.Context, q sqldb.Querier, s console.Session, replaces secret.Digest) error {
	if _, err := q.Exec(ctx, `DELETE FROM console_sessions WHERE token_hash = $1`, replaces[:]); err != nil {
		return err
	}
	return insertBrowser(ctx, q, s)
}

func insertBrowser(ctx context.Context, q sqldb.Querier, s console.Session) error {
	_, err := q.Exec(ctx, `INSERT INTO console_sessions
		(id, account_id, token_hash, created_at, last_seen_at, expires_at, remember, how, auth_at, ip, user_agent)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		s.ID, s.AccountID, s.TokenHash[:], s.CreatedAt, s.LastSeenAt, s.ExpiresAt, s.Remember, string(s.How), s.AuthAt, s.IP, s.UserAgent)
	return err
}

// ByDigest implements console.Store.
func (s Console) ByDigest(ctx context.Context, d secret.Digest) (console.Signed, error) {
	var signed console.Signed
	a := &signed.Account
	row := s.DB.QueryRow(ctx, `SELECT `+consoleColumns+`, a.email, a.name, a.status, a.deployment_admin, a.interface_language, a.timezone, a.last_login_at
		FROM console_sessions s JOIN accounts a ON a.id = s.account_id WHERE s.token_hash = $1`, d[:])
	err := row.Scan(append(consoleTargets(&signed.Session), &a.Email, &a.Name, &a.Status, &a.DeploymentAdmin, text{&a.InterfaceLanguage}, text{&a.Timezone}, &a.LastLoginAt)...)
	if errors.Is(err, sqldb.ErrNoRows) {
		return console.Signed{}, console.ErrUnknown
	}
	a.ID = signed.Session.AccountID
	return signed, err
}

// Touch implements console.Store.
func (s Console) Touch(ctx context.Context, id string, now time.Time) error {
	_, err := s.DB.Exec(ctx, `UPDATE console_sessions SET last_seen_at = $1 WHERE id = $2 AND last_seen_at < $1`, now, id)
	return err
}

// List implements console.Store.
func (s Console) List(ctx context.Context, accountID string) ([]console.Session, error) {
	rows, err := s.DB.Query(ctx, `SELECT `+consoleColumns+` FROM console_sessions s WHERE s.account_id = $1 ORDER BY s.created_at DESC, s.id DESC`, accountID)
	return collect(rows, err, func(row sqldb.Row) (session console.Session, err error) {
		err = row.Scan(consoleTargets(&session)...)
		return session, err
	})
}

// End implements console.Store.
func (s Console) End(ctx context.Context, accountID, id, bump string, now time.Time, events ...audit.Event) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		if err := moveEpoch(ctx, tx, bump, "session_ended", now); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM console_sessions WHERE account_id = $1 AND id = $2`, accountID, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return console.ErrUnknown
		}
		return appendEvents(ctx, tx, events)
	})
}

// EndOthers implements console.Store.
func (s Console) EndOthers(ctx context.Context, accountID, but, bump string, now time.Time, events ...audit.Event) (int, error) {
	var n int64
	err := s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) (err error) {
		if err := moveEpoch(ctx, tx, bump, "sessions_ended", now); err != nil {
			return err
		}
		if n, err = tx.Exec(ctx, `DELETE FROM console_sessions WHERE account_id = $1 AND id <> $2`, accountID, but); err != nil {
			return err
		}
		return appendEvents(ctx, tx, events)
	})
	return int(n), err
}

// moveEpoch comes before the sessions, in the order in which a kill takes them: else the
// two could wait for each other.
func moveEpoch(ctx context.Context, tx sqldb.Querier, key, reason string, now time.Time) error {
	if key == "" {
		return nil
	}
	return bumpEpoch(ctx, tx, key, reason, now)
}
