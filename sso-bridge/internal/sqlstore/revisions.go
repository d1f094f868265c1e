// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

const recordColumns = `connection_id, hash, seq, config, secrets_sealed, created_at, created_by, tested_at, tested_by, tested_reference, forced_reason`

func scanRecord(row sqldb.Row) (r connection.Record, err error) {
	err = row.Scan(&r.ConnectionID, &r.Hash, &r.Seq, &r.Config, text{&r.Sealed}, &r.CreatedAt, &r.CreatedBy,
		&r.TestedAt, text{&r.TestedBy}, text{&r.TestedReference}, text{&r.ForcedReason})
	return r, err
}

// Record implements connection.Reader.
func (r connectionReader) Record(ctx context.Context, id, hash string) (connection.Record, error) {
	rec, err := scanRecord(r.q.QueryRow(ctx, `SELECT `+recordColumns+` FROM sso_connection_revisions WHERE connection_id = $1 AND hash = $2`, id, hash))
	if errors.Is(err, sqldb.ErrNoRows) {
		return connection.Record{}, connection.ErrUnknownRevision
	}
	return rec, err
}

// Records implements connection.Store.
func (s Connections) Records(ctx context.Context, id string) ([]connection.Record, error) {
	rows, err := s.db.Query(ctx, `SELECT `+recordColumns+` FROM sso_connection_revisions WHERE connection_id = $1 ORDER BY seq DESC`, id)
	return collect(rows, err, scanRecord)
}

// AddRecord implements connection.Tx.
func (t connectionTx) AddRecord(ctx context.Context, r connection.Record) error {
	_, err := t.q.Exec(ctx, `INSERT INTO sso_connection_revisions (`+recordColumns+`)
		VALUES ($1, $2, (SELECT coalesce(max(seq), 0) + 1 FROM sso_connection_revisions WHERE connection_id = $1), $3, $4, $5, $6, $7, $8, $9, $10)`,
		r.ConnectionID, r.Hash, r.Config, null(r.Sealed), r.CreatedAt, r.CreatedBy, r.TestedAt, null(r.TestedBy), null(r.TestedReference), null(r.ForcedReason))
	return err
}

// StoreSecrets implements connection.Tx.
func (t connectionTx) StoreSecrets(ctx context.Context, id, hash, sealed string) error {
	_, err := t.q.Exec(ctx, `UPDATE sso_connection_revisions SET secrets_sealed = $1 WHERE connection_id = $2 AND hash = $3 AND secrets_sealed IS NULL`, sealed, id, hash)
	return err
}

// MarkTested implements connection.Tx.
func (t connectionTx) MarkTested(ctx context.Context, id, hash, by, reference string, at time.Time) error {
	_, err := t.q.Exec(ctx, `UPDATE sso_connection_revisions SET tested_at = $1, tested_by = $2, tested_reference = $3 WHERE connection_id = $4 AND hash = $5`,
		at, by, reference, id, hash)
	return err
}

// MarkForced implements connection.Tx.
func (t connectionTx) MarkForced(ctx context.Context, id, hash, reason string) error {
	_, err := t.q.Exec(ctx, `UPDATE sso_connection_revisions SET forced_reason = $1 WHERE connection_id = $2 AND hash = $3`, reason, id, hash)
	return err
}
