// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// tokenTx implements token.Tx.
type tokenTx struct{ q sqldb.Querier }

var _ token.Tx = tokenTx{}

// LockEpochs implements token.Tx. The upsert takes the row's lock on every engine,
// without a locking clause of any dialect.
func (t tokenTx) LockEpochs(ctx context.Context, keys []string, now time.Time) (int64, error) {
	var sum int64
	for _, key := range keys {
		var epoch int64
		err := t.q.QueryRow(ctx, `INSERT INTO subject_epochs (subject_key, epoch, updated_at) VALUES ($1, 0, $2)
			ON CONFLICT (subject_key) DO UPDATE SET subject_key = excluded.subject_key RETURNING epoch`, key, now).Scan(&epoch)
		if err != nil {
			return 0, err
		}
		sum += epoch
	}
	return sum, nil
}

// BumpEpoch implements token.Tx.
func (t tokenTx) BumpEpoch(ctx context.Context, key, reason string, now time.Time) error {
	return bumpEpoch(ctx, t.q, key, reason, now)
}

func bumpEpoch(ctx context.Context, q sqldb.Querier, key, reason string, now time.Time) error {
	_, err := q.Exec(ctx, `INSERT INTO subject_epochs (subject_key, epoch, epoch_at, reason, updated_at) VALUES ($1, 1, $2, $3, $2)
		ON CONFLICT (subject_key) DO UPDATE SET epoch = subject_epochs.epoch + 1, epoch_at = excluded.epoch_at,
			reason = excluded.reason, updated_at = excluded.updated_at`, key, now, reason)
	return err
}

// Account implements token.Tx.
func (t tokenTx) Account(ctx context.Context, id string) (account.Account, error) {
	return accountByID(ctx, t.q, id)
}

// External implements token.Tx.
func (t tokenTx) External(ctx context.Context, s token.Subject) (emailIsAccount, linked bool, err error) {
	var accounts, links int
	if err := t.q.QueryRow(ctx, `SELECT count(*) FROM accounts WHERE email = $1 AND status = 'active'`, s.Email).Scan(&accounts); err != nil {
		return false, false, err
	}
	err = t.q.QueryRow(ctx, `SELECT count(*) FROM account_identities WHERE issuer = $1 AND subject_id = $2`, s.Issuer, s.ID).Scan(&links)
	return accounts > 0, links > 0, err
}

// Every end keeps the hash it takes away: the answer needs it, and nothing looks it
// up again.
const (
	end = `UPDATE oauth_access_tokens SET revoked_at = $1, revoke_reason = $2, previous_hash = token_hash, token_hash = NULL
		WHERE revoked_at IS NULL AND `
	ended = ` RETURNING id, previous_hash, subject_issuer, subject_id, subject_email, account_id, connection_id, client_id`
)

// EndChanged implements token.Tx. Each half has an index; joined by OR, SQLite looks at
// every row of the issuer. The rows are found before any is changed: Postgres, while it
// has no statistics, would otherwise look for them anew for each live row there is.
func (t tokenTx) EndChanged(ctx context.Context, s token.Session, now time.Time) ([]token.Ended, error) {
	rows, err := t.q.Query(ctx, end+`id IN (WITH changed AS MATERIALIZED (
		SELECT id FROM oauth_access_tokens WHERE revoked_at IS NULL AND subject_email = $3 AND subject_issuer = $4 AND subject_id <> $5
		UNION ALL SELECT id FROM oauth_access_tokens WHERE revoked_at IS NULL AND subject_issuer = $4 AND subject_id = $5
			AND client_id = $6 AND device_label = $7 AND subject_email <> $3) SELECT id FROM changed)`+ended,
		now, string(token.ReasonSubjectChanged), s.Subject.Email, s.Subject.Issuer, s.Subject.ID, s.ClientID, s.Label)
	return collect(rows, err, scanEnded)
}

// Fence implements token.Tx: an older claim changes nothing and gets no row.
func (t tokenTx) Fence(ctx context.Context, grant secret.Digest, claimNo int64, expires time.Time) (int64, error) {
	var mints int64
	err := t.q.QueryRow(ctx, `INSERT INTO grant_fences (grant_ref, claim_no, mints, expires_at) VALUES ($1, $2, 1, $3)
		ON CONFLICT (grant_ref) DO UPDATE SET claim_no = excluded.claim_no, mints = grant_fences.mints + 1
		WHERE grant_fences.claim_no < excluded.claim_no
		RETURNING mints`, grant[:], claimNo, expires).Scan(&mints)
	if errors.Is(err, sqldb.ErrNoRows) {
		return 0, nil
	}
	return mints, err
}

// Upsert implements token.Tx by one statement on the partial unique index of live
// rows, so that concurrent logins of one device meet in one row.
func (t tokenTx) Upsert(ctx context.Context, s token.Session) (string, secret.Digest, error) {
	row := t.q.QueryRow(ctx, `INSERT INTO oauth_access_tokens
		(id, subject_email, subject_issuer, subject_id, account_id, connection_id, workspace_id, client_id, device_label, prefix,
		 token_hash, created_at, expires_at, approved_at, created_ip, grant_ref)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		ON CONFLICT (subject_email, subject_issuer, client_id, device_label) WHERE revoked_at IS NULL
		DO UPDATE SET previous_hash = oauth_access_tokens.token_hash, token_hash = excluded.token_hash,
			connection_id = excluded.connection_id, workspace_id = excluded.workspace_id,
			created_at = excluded.created_at, expires_at = excluded.expires_at, approved_at = excluded.approved_at,
			last_used_at = NULL, last_used_ip = NULL, created_ip = excluded.created_ip, grant_ref = excluded.grant_ref
		RETURNING id, previous_hash`,
		s.ID, s.Subject.Email, s.Subject.Issuer, s.Subject.ID, null(s.Subject.AccountID), null(s.Subject.ConnectionID),
		null(s.WorkspaceID), s.ClientID, s.Label, s.Prefix, s.TokenHash[:], s.CreatedAt, s.ExpiresAt, s.ApprovedAt, null(s.CreatedIP), s.GrantRef[:])
	return scanMinted(row)
}

// Replace implements token.Tx.
func (t tokenTx) Replace(ctx context.Context, s token.Session) (string, secret.Digest, error) {
	row := t.q.QueryRow(ctx, `UPDATE oauth_access_tokens SET previous_hash = token_hash, token_hash = $1, created_at = $2, expires_at = $3,
			approved_at = $4, last_used_at = NULL, last_used_ip = NULL, created_ip = $5
		WHERE subject_email = $6 AND subject_issuer = $7 AND client_id = $8 AND device_label = $9 AND revoked_at IS NULL AND grant_ref = $10
		RETURNING id, previous_hash`,
		s.TokenHash[:], s.CreatedAt, s.ExpiresAt, s.ApprovedAt, null(s.CreatedIP),
		s.Subject.Email, s.Subject.Issuer, s.ClientID, s.Label, s.GrantRef[:])
	return scanMinted(row)
}

// End implements token.Tx.
func (t tokenTx) End(ctx context.Context, id string, reason token.Reason, now time.Time) (token.Ended, bool, error) {
	e, err := scanEnded(t.q.QueryRow(ctx, end+`id = $3`+ended, now, string(reason), id))
	if !errors.Is(err, sqldb.ErrNoRows) {
		return e, err == nil, err
	}
	e, err = scanEnded(t.q.QueryRow(ctx, `SELECT id, previous_hash, subject_issuer, subject_id, subject_email, account_id, connection_id, client_id
		FROM oauth_access_tokens WHERE id = $1 AND revoked_at IS NOT NULL`, id))
	if errors.Is(err, sqldb.ErrNoRows) {
		return token.Ended{}, false, nil
	}
	return e, false, err
}

// EndedSince implements token.Tx.
func (t tokenTx) EndedSince(ctx context.Context, s token.Subject, since time.Time) ([]secret.Digest, error) {
	rows, err := t.q.Query(ctx, `SELECT t.previous_hash FROM oauth_access_tokens t WHERE `+own+` AND t.revoked_at > $4 AND t.previous_hash IS NOT NULL`,
		append(ownArgs(s), since)...)
	return collect(rows, err, func(row sqldb.Row) (d secret.Digest, err error) {
		err = row.Scan(digest{&d})
		return d, err
	})
}

// EndAll implements token.Tx.
func (t tokenTx) EndAll(ctx context.Context, s token.Subject, but string, reason token.Reason, now time.Time) ([]token.Ended, error) {
	if s.AccountID != "" {
		rows, err := t.q.Query(ctx, end+`account_id = $3 AND id <> $4`+ended, now, string(reason), s.AccountID, but)
		return collect(rows, err, scanEnded)
	}
	rows, err := t.q.Query(ctx, end+`account_id IS NULL AND subject_issuer = $3 AND subject_id = $4 AND id <> $5`+ended,
		now, string(reason), s.Issuer, s.ID, but)
	return collect(rows, err, scanEnded)
}

// Append implements token.Tx.
func (t tokenTx) Append(ctx context.Context, events ...audit.Event) error {
	return appendEvents(ctx, t.q, events)
}

func scanMinted(row sqldb.Row) (id string, previous secret.Digest, err error) {
	switch err = row.Scan(&id, digest{&previous}); {
	case errors.Is(err, sqldb.ErrNoRows):
		return "", previous, token.ErrUnknown
	case errors.Is(err, sqldb.ErrUnique):
		return "", previous, token.ErrHashTaken.Because(err)
	}
	return id, previous, err
}

func scanEnded(row sqldb.Row) (e token.Ended, err error) {
	err = row.Scan(&e.ID, digest{&e.Previous}, &e.Subject.Issuer, &e.Subject.ID, &e.Subject.Email, text{&e.Subject.AccountID},
		text{&e.Subject.ConnectionID}, &e.ClientID)
	return e, err
}
