// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Access implements access.Store.
type Access struct{ DB sqldb.DB }

var _ access.Store = Access{}

// InTx implements access.Store.
func (s Access) InTx(ctx context.Context, fn func(ctx context.Context, tx access.Tx) error) error {
	err := s.DB.InTx(ctx, func(ctx context.Context, q sqldb.Querier) error { return fn(ctx, accessTx{tokenTx{q}}) })
	if errors.Is(err, sqldb.ErrCommit) {
		return token.ErrCommitUnknown.Because(err)
	}
	return err
}

// Linked implements access.Store.
func (s Access) Linked(ctx context.Context, issuer, subjectID string) (string, error) {
	return linked(ctx, s.DB, issuer, subjectID)
}

func linked(ctx context.Context, q sqldb.Querier, issuer, subjectID string) (id string, err error) {
	err = q.QueryRow(ctx, `SELECT account_id FROM account_identities WHERE issuer = $1 AND subject_id = $2`, issuer, subjectID).Scan(&id)
	if errors.Is(err, sqldb.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// List implements access.Store.
func (s Access) List(ctx context.Context, f access.TokenFilter, now time.Time, offset, limit int) ([]token.Session, int, error) {
	const live = `t.revoked_at IS NULL AND t.expires_at > $1 AND ($2 = '' OR t.subject_email = $2)
		AND ($3 = '' OR (t.prefix = 'dfoa_' AND t.subject_id = $3))`
	args := []any{now, f.Email, f.AccountID}
	var total int
	if err := s.DB.QueryRow(ctx, `SELECT count(*) FROM oauth_access_tokens t WHERE `+live, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	rows, err := s.DB.Query(ctx, `SELECT `+sessionColumns+` FROM oauth_access_tokens t WHERE `+live+
		` ORDER BY t.created_at DESC, t.id DESC LIMIT $4 OFFSET $5`, append(args, limit, offset)...)
	list, err := collect(rows, err, func(row sqldb.Row) (session token.Session, err error) {
		err = scanSession(row, &session)
		return session, err
	})
	return list, total, err
}

// ListAccounts implements access.Store. Ids grow with time: their order is that of making.
func (s Access) ListAccounts(ctx context.Context, f access.AccountFilter, offset, limit int) ([]account.Account, int, error) {
	const filter = ` FROM accounts WHERE ($1 = '' OR status = $1)`
	where, args := filter, []any{string(f.Status)}
	if f.Email != "" { // a text of its own, for it has an index
		where, args = where+` AND email = $2`, append(args, f.Email)
	}
	var total int
	if err := s.DB.QueryRow(ctx, `SELECT count(*)`+where, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	page := fmt.Sprintf(` ORDER BY id DESC LIMIT $%d OFFSET $%d`, len(args)+1, len(args)+2)
	rows, err := s.DB.Query(ctx, `SELECT `+accountColumns+where+page, append(args, limit, offset)...)
	list, err := collect(rows, err, scanAccount)
	return list, total, err
}

// accessTx implements access.Tx. What it has in common with a mint is the mint's own.
type accessTx struct{ tokenTx }

var _ access.Tx = accessTx{}

// Linked implements access.Tx.
func (t accessTx) Linked(ctx context.Context, issuer, subjectID string) (string, error) {
	return linked(ctx, t.q, issuer, subjectID)
}

// Unlink implements access.Tx.
func (t accessTx) Unlink(ctx context.Context, issuer string) ([]access.Link, error) {
	rows, err := t.q.Query(ctx, `DELETE FROM account_identities WHERE issuer = $1 RETURNING account_id, issuer, subject_id, COALESCE(connection_id, '')`, issuer)
	return collect(rows, err, func(row sqldb.Row) (l access.Link, err error) {
		err = row.Scan(&l.AccountID, &l.Issuer, &l.SubjectID, &l.ConnectionID)
		return l, err
	})
}

// OtherAdministrators implements access.Tx.
func (t accessTx) OtherAdministrators(ctx context.Context, but string) (n int, err error) {
	err = t.q.QueryRow(ctx, `SELECT count(*) FROM accounts WHERE deployment_admin = $1 AND status = 'active' AND id <> $2`, true, but).Scan(&n)
	return n, err
}

// AddAccount implements access.Tx.
func (t accessTx) AddAccount(ctx context.Context, a account.Account) error {
	err := insertAccount(ctx, t.q, a)
	if errors.Is(err, sqldb.ErrUnique) {
		return access.ErrEmailTaken.Because(err)
	}
	return err
}

// SetAdministrator implements access.Tx.
func (t accessTx) SetAdministrator(ctx context.Context, id string, to bool, now time.Time) error {
	_, err := t.q.Exec(ctx, `UPDATE accounts SET deployment_admin = $1, updated_at = $2 WHERE id = $3`, to, now, id)
	return err
}

// ReplacePassword implements access.Tx.
func (t accessTx) ReplacePassword(ctx context.Context, id, hash string, now time.Time) error {
	_, err := t.q.Exec(ctx, `UPDATE accounts SET password_hash = $1, updated_at = $2 WHERE id = $3`, hash, now, id)
	return err
}

// SetStatus implements access.Tx.
func (t accessTx) SetStatus(ctx context.Context, id string, status account.Status, now time.Time) error {
	_, err := t.q.Exec(ctx, `UPDATE accounts SET status = $1, updated_at = $2 WHERE id = $3`, string(status), now, id)
	return err
}

// DropUnaccepted implements access.Tx. An invitation that is open says that its
// membership has not been accepted.
func (t accessTx) DropUnaccepted(ctx context.Context, accountID string) error {
	_, err := t.q.Exec(ctx, `DELETE FROM memberships WHERE account_id = $1 AND workspace_id IN
		(SELECT workspace_id FROM invitations WHERE account_id = $1 AND accepted_at IS NULL)`, accountID)
	return err
}

// SetPassword implements access.Tx.
func (t accessTx) SetPassword(ctx context.Context, id, old, hash string, now time.Time) (bool, error) {
	n, err := t.q.Exec(ctx, `UPDATE accounts SET password_hash = $1, updated_at = $2 WHERE id = $3 AND password_hash = $4 AND status = 'active'`,
		hash, now, id, old)
	return n == 1, err
}

// errRows: a selection that is none of the forms would select everything.
var errRows = errors.New("sqlstore: no selection of token rows")

// where gives the condition of a selection on $3 and, where it has two parts, $4.
func where(r access.Rows) (string, []any, error) {
	switch r {
	case access.Rows{Issuer: r.Issuer, SubjectID: r.SubjectID}:
		if r.Issuer != "" && r.SubjectID != "" {
			return `subject_issuer = $3 AND subject_id = $4`, []any{r.Issuer, r.SubjectID}, nil
		}
	case access.Rows{Issuer: r.Issuer, Email: r.Email}:
		switch {
		case r.Email == "":
		case r.Issuer == "":
			return `subject_email = $3 AND prefix <> 'dfoa_'`, []any{r.Email}, nil
		default:
			return `subject_issuer = $3 AND subject_email = $4`, []any{r.Issuer, r.Email}, nil
		}
	case access.Rows{ConnectionID: r.ConnectionID}:
		if r.ConnectionID != "" {
			return `connection_id = $3`, []any{r.ConnectionID}, nil
		}
	}
	return "", nil, fmt.Errorf("%w: %+v", errRows, r)
}

// EndTokens implements access.Tx.
func (t accessTx) EndTokens(ctx context.Context, r access.Rows, reason token.Reason, now time.Time) ([]token.Ended, error) {
	selected, args, err := where(r)
	if err != nil {
		return nil, err
	}
	rows, err := t.q.Query(ctx, end+selected+ended, append([]any{now, string(reason)}, args...)...)
	return collect(rows, err, scanEnded)
}

// EndToken implements access.Tx.
func (t accessTx) EndToken(ctx context.Context, id string, reason token.Reason, now time.Time) (token.Ended, bool, error) {
	e, ok, err := t.End(ctx, id, reason, now)
	if err != nil || ok {
		return e, ok, err
	}
	e, err = scanEnded(t.q.QueryRow(ctx, `SELECT id, previous_hash, subject_issuer, subject_id, subject_email, account_id, connection_id, client_id
		FROM oauth_access_tokens WHERE id = $1`, id))
	if errors.Is(err, sqldb.ErrNoRows) {
		return token.Ended{}, false, token.ErrSessionNotFound
	}
	return e, false, err
}

// EndedSince implements access.Tx. A row that merely ran out needs no tombstone: its
// end is checked wherever it is remembered.
func (t accessTx) EndedSince(ctx context.Context, r access.Rows, since time.Time) ([]secret.Digest, error) {
	selected, args, err := where(r)
	if err != nil {
		return nil, err
	}
	rows, err := t.q.Query(ctx, `SELECT previous_hash FROM oauth_access_tokens
		WHERE revoked_at > $1 AND revoke_reason <> $2 AND previous_hash IS NOT NULL AND `+selected,
		append([]any{since, string(token.ReasonExpired)}, args...)...)
	return collect(rows, err, func(row sqldb.Row) (d secret.Digest, err error) {
		err = row.Scan(digest{&d})
		return d, err
	})
}

// EndBrowser implements access.Tx.
func (t accessTx) EndBrowser(ctx context.Context, accountID, id string) (bool, error) {
	n, err := t.q.Exec(ctx, `DELETE FROM console_sessions WHERE account_id = $1 AND id = $2`, accountID, id)
	return n == 1, err
}

// EndBrowsers implements access.Tx.
func (t accessTx) EndBrowsers(ctx context.Context, accountID string) (int, error) {
	n, err := t.q.Exec(ctx, `DELETE FROM console_sessions WHERE account_id = $1`, accountID)
	return int(n), err
}

// EndBrowsersOf implements access.Tx.
func (t accessTx) EndBrowsersOf(ctx context.Context, connectionID string) (int, error) {
	n, err := t.q.Exec(ctx, `DELETE FROM console_sessions WHERE connection_id = $1`, connectionID)
	return int(n), err
}

// BeginBrowser implements access.Tx.
func (t accessTx) BeginBrowser(ctx context.Context, s console.Session) error {
	return insertBrowser(ctx, t.q, s)
}
