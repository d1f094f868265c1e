// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

// Tell implements connection.Tx.
func (t connectionTx) Tell(ctx context.Context, e connection.Entry) error {
	_, err := t.q.Exec(ctx, `INSERT INTO sso_outbox (id, kind, payload, next_at, tries) VALUES ($1, $2, $3, $4, $5)`, e.ID, e.Kind, e.Payload, e.NextAt, e.Tries)
	return err
}

// Due implements connection.Store.
func (s Connections) Due(ctx context.Context, now time.Time, most int) ([]connection.Entry, error) {
	rows, err := s.db.Query(ctx, `SELECT id, kind, payload, next_at, tries FROM sso_outbox
		WHERE done_at IS NULL AND next_at <= $1 ORDER BY next_at, id LIMIT $2`, now, most)
	return collect(rows, err, func(row sqldb.Row) (e connection.Entry, err error) {
		return e, row.Scan(&e.ID, &e.Kind, &e.Payload, &e.NextAt, &e.Tries)
	})
}

// ClaimEntry implements connection.Store. The count of tries is what one of several
// readers finds unchanged.
func (s Connections) ClaimEntry(ctx context.Context, e connection.Entry, next time.Time) (bool, error) {
	n, err := s.db.Exec(ctx, `UPDATE sso_outbox SET next_at = $1, tries = tries + 1 WHERE id = $2 AND tries = $3 AND done_at IS NULL`, next, e.ID, e.Tries)
	return n == 1, err
}

// Acknowledged implements connection.Store.
func (s Connections) Acknowledged(ctx context.Context, id string, now time.Time) error {
	_, err := s.db.Exec(ctx, `UPDATE sso_outbox SET done_at = $1 WHERE id = $2 AND done_at IS NULL`, now, id)
	return err
}

// PruneOutbox deletes at most limit messages that were done before a time, and gives how
// many: the audit says who ended what, a message is only how core was told.
func (s Connections) PruneOutbox(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.db.Exec(ctx, `DELETE FROM sso_outbox WHERE id IN
		(SELECT id FROM sso_outbox WHERE done_at < $1 ORDER BY done_at LIMIT $2`+s.db.Dialect().SkipLocked()+`)`, before, limit)
}
