// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Tokens implements token.Store.
type Tokens struct{ DB sqldb.DB }

var _ token.Store = Tokens{}

const sessionColumns = `t.id, t.subject_email, t.subject_issuer, t.subject_id, t.account_id, t.connection_id, t.workspace_id, t.client_id, t.device_label, t.prefix,
	t.token_hash, t.created_at, t.expires_at, t.approved_at, t.last_used_at, t.created_ip, t.last_used_ip, t.grant_ref`

// InTx implements token.Store.
func (s Tokens) InTx(ctx context.Context, fn func(ctx context.Context, tx token.Tx) error) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, q sqldb.Querier) error { return fn(ctx, tokenTx{q}) })
	if errors.Is(err, sqldb.ErrCommit) {
		return token.ErrCommitUnknown.Because(err)
	}
	return err
}

// ByDigest implements token.Store: one statement, for it is the path of every
// bearer request.
func (s Tokens) ByDigest(ctx context.Context, d secret.Digest) (token.Resolved, error) {
	var (
		r      token.Resolved
		status string
	)
	row := s.DB.QueryRow(ctx, `SELECT `+sessionColumns+`, a.status, a.name
		FROM oauth_access_tokens t LEFT JOIN accounts a ON a.id = t.account_id
		WHERE t.token_hash = $1 AND t.revoked_at IS NULL`, d[:])
	err := scanSession(row, &r.Session, text{&status}, text{&r.AccountName})
	if errors.Is(err, sqldb.ErrNoRows) {
		return token.Resolved{}, token.ErrUnknown
	}
	r.AccountStatus = account.Status(status)
	return r, err
}

// own selects a subject's rows: by account where there is one, else by identity.
// $1 to $3 are the account id or an empty text, the issuer and the subject id.
const own = `(t.account_id = $1 OR (t.account_id IS NULL AND $1 = '' AND t.subject_issuer = $2 AND t.subject_id = $3))`

func ownArgs(s token.Subject) []any { return []any{s.AccountID, s.Issuer, s.ID} }

// List implements token.Store.
func (s Tokens) List(ctx context.Context, subject token.Subject, now time.Time, offset, limit int) ([]token.Session, int, error) {
	const live = own + ` AND t.revoked_at IS NULL AND t.expires_at > $4`
	args := append(ownArgs(subject), now)
	var total int
	if err := s.DB.QueryRow(ctx, `SELECT count(*) FROM oauth_access_tokens t WHERE `+live, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	rows, err := s.DB.Query(ctx, `SELECT `+sessionColumns+` FROM oauth_access_tokens t WHERE `+live+
		` ORDER BY t.created_at DESC, t.id DESC LIMIT $5 OFFSET $6`, append(args, limit, offset)...)
	list, err := collect(rows, err, func(row sqldb.Row) (session token.Session, err error) {
		err = scanSession(row, &session)
		return session, err
	})
	return list, total, err
}

// Find implements token.Store.
func (s Tokens) Find(ctx context.Context, subject token.Subject, id string) (token.Session, bool, error) {
	var (
		session token.Session
		revoked *time.Time
	)
	row := s.DB.QueryRow(ctx, `SELECT `+sessionColumns+`, t.revoked_at FROM oauth_access_tokens t WHERE `+own+` AND t.id = $4`,
		append(ownArgs(subject), id)...)
	err := scanSession(row, &session, &revoked)
	if errors.Is(err, sqldb.ErrNoRows) {
		return token.Session{}, false, token.ErrSessionNotFound
	}
	return session, revoked == nil, err
}

// Epochs implements token.Store. What moves between two of the reads makes another sum,
// which a mint finds.
func (s Tokens) Epochs(ctx context.Context, keys []string) (sum int64, moved time.Time, err error) {
	for _, key := range keys {
		var (
			epoch int64
			at    *time.Time
		)
		err := s.DB.QueryRow(ctx, `SELECT epoch, epoch_at FROM subject_epochs WHERE subject_key = $1`, key).Scan(&epoch, &at)
		if err != nil && !errors.Is(err, sqldb.ErrNoRows) {
			return 0, time.Time{}, err
		}
		sum += epoch
		if at != nil && at.After(moved) {
			moved = *at
		}
	}
	return sum, moved, nil
}

func scanSession(row sqldb.Row, s *token.Session, more ...any) error {
	return row.Scan(append([]any{&s.ID, &s.Subject.Email, &s.Subject.Issuer, &s.Subject.ID, text{&s.Subject.AccountID}, text{&s.Subject.ConnectionID},
		text{&s.WorkspaceID}, &s.ClientID, &s.Label, &s.Prefix, digest{&s.TokenHash}, &s.CreatedAt, &s.ExpiresAt, &s.ApprovedAt, &s.LastUsedAt,
		text{&s.CreatedIP}, text{&s.LastUsedIP}, digest{&s.GrantRef}}, more...)...)
}
