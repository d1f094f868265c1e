// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// Attempts implements login.Attempts.
type Attempts struct{ DB sqldb.DB }

var _ login.Attempts = Attempts{}

const attemptColumns = `id, reference, handle_hash, connection_id, revision, intent, state, code, public_code, created_at, expires_at, finished_at, trace`

// Create implements login.Attempts.
func (s Attempts) Create(ctx context.Context, a login.Attempt, events ...audit.Event) error {
	trace, err := json.Marshal(a.Trace)
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		_, err := tx.Exec(ctx, `INSERT INTO sso_attempts (`+attemptColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			a.ID, a.Reference, handleBytes(a.Handle), null(a.Connection), null(a.Revision), null(string(a.Intent)), string(a.State),
			null(string(a.Code)), null(string(a.Public)), a.CreatedAt, a.ExpiresAt, a.FinishedAt, string(trace))
		if err != nil {
			return err
		}
		return sqlaudit.Insert(ctx, tx, auditTable, events)
	})
}

// Move implements login.Attempts. The condition on the state makes it a compare-and-set
// on every engine.
func (s Attempts) Move(ctx context.Context, from login.State, to login.Attempt, events ...audit.Event) error {
	trace, err := json.Marshal(to.Trace)
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		n, err := tx.Exec(ctx, `UPDATE sso_attempts
			SET handle_hash = $1, state = $2, code = $3, public_code = $4, expires_at = $5, finished_at = $6, trace = $7
			WHERE id = $8 AND state = $9`,
			handleBytes(to.Handle), string(to.State), null(string(to.Code)), null(string(to.Public)), to.ExpiresAt, to.FinishedAt, string(trace),
			to.ID, string(from))
		if err != nil {
			return err
		}
		if n == 0 {
			return login.ErrMoved
		}
		return sqlaudit.Insert(ctx, tx, auditTable, events)
	})
}

// ByReference implements login.Attempts.
func (s Attempts) ByReference(ctx context.Context, reference string) (login.Attempt, error) {
	return scanAttempt(s.DB.QueryRow(ctx, `SELECT `+attemptColumns+` FROM sso_attempts WHERE reference = $1`, reference))
}

// ByHandle implements login.Attempts.
func (s Attempts) ByHandle(ctx context.Context, handle secret.Digest) (login.Attempt, error) {
	return scanAttempt(s.DB.QueryRow(ctx, `SELECT `+attemptColumns+` FROM sso_attempts WHERE handle_hash = $1`, handle[:]))
}

// LastGood implements login.Attempts. It walks the connection's attempts backwards and
// stops at the first success.
func (s Attempts) LastGood(ctx context.Context, connectionID string) (login.Attempt, error) {
	return scanAttempt(s.DB.QueryRow(ctx, `SELECT `+attemptColumns+` FROM sso_attempts
		WHERE connection_id = $1 AND state = 'succeeded' ORDER BY created_at DESC LIMIT 1`, connectionID))
}

// List implements login.Attempts. Only what the filter names is in the text, so that the
// planner sees which index bounds the walk.
func (s Attempts) List(ctx context.Context, f login.Filter, limit int) ([]login.Attempt, error) {
	conditions, args := []string{`created_at >= $1`}, []any{f.Since}
	add := func(condition string, value any) {
		args = append(args, value)
		conditions = append(conditions, fmt.Sprintf("%s $%d", condition, len(args)))
	}
	if !f.Until.IsZero() {
		add("created_at <", f.Until)
	}
	if f.Connection != "" {
		add("connection_id =", f.Connection)
	}
	if f.Code != "" {
		add("code =", string(f.Code))
	}
	rows, err := s.DB.Query(ctx, fmt.Sprintf(`SELECT `+attemptColumns+` FROM sso_attempts WHERE %s ORDER BY created_at DESC, id DESC LIMIT $%d`,
		strings.Join(conditions, " AND "), len(args)+1), append(args, limit)...)
	return collect(rows, err, scanAttempt)
}

// PruneAttempts deletes at most limit attempts that began before a time, and gives how
// many: traces are kept for as long as the operator wants them, no longer.
func (s Attempts) PruneAttempts(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.DB.Exec(ctx, `DELETE FROM sso_attempts WHERE id IN
		(SELECT id FROM sso_attempts WHERE created_at < $1 ORDER BY created_at LIMIT $2`+s.DB.Dialect().SkipLocked()+`)`, before, limit)
}

func scanAttempt(row sqldb.Row) (a login.Attempt, err error) {
	var intent, state, code, public, trace string
	var handle []byte
	err = row.Scan(&a.ID, &a.Reference, &handle, text{&a.Connection}, text{&a.Revision}, text{&intent}, &state, text{&code}, text{&public},
		&a.CreatedAt, &a.ExpiresAt, &a.FinishedAt, &trace)
	if errors.Is(err, sqldb.ErrNoRows) {
		return login.Attempt{}, login.ErrNoAttempt
	}
	if err != nil {
		return login.Attempt{}, err
	}
	if handle != nil {
		if a.Handle, err = secret.DigestFrom(handle); err != nil {
			return login.Attempt{}, err
		}
	}
	a.Intent, a.State, a.Code, a.Public = connection.Intent(intent), login.State(state), failure.Code(code), ssocode.Code(public)
	return a, json.Unmarshal([]byte(trace), &a.Trace)
}

func handleBytes(d secret.Digest) []byte {
	if d.IsZero() {
		return nil
	}
	return d[:]
}
