// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// SPKeys implements spkeys.Store.
type SPKeys struct{ DB sqldb.DB }

var _ spkeys.Store = SPKeys{}

const spKeyColumns = `id, connection_id, state, certificate, private_sealed, not_after, staged_at, promoted_at, retiring_at, retired_at, metadata_seen_at, tested_at`

func scanSPKey(row sqldb.Row) (r spkeys.Record, err error) {
	err = row.Scan(&r.ID, &r.ConnectionID, &r.State, &r.CertificateDER, &r.Sealed, &r.NotAfter, &r.StagedAt,
		&r.PromotedAt, &r.RetiringAt, &r.RetiredAt, &r.MetadataSeenAt, &r.TestedAt)
	return r, err
}

// Keys implements spkeys.Store.
func (s SPKeys) Keys(ctx context.Context, connectionID string) ([]spkeys.Record, error) {
	rows, err := s.DB.Query(ctx, `SELECT `+spKeyColumns+` FROM sso_sp_keys WHERE connection_id = $1 ORDER BY staged_at DESC, id DESC`, connectionID)
	return collect(rows, err, scanSPKey)
}

// Add implements spkeys.Store. The unique index decides between two that add at once.
func (s SPKeys) Add(ctx context.Context, r spkeys.Record, events ...audit.Event) (added bool, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		n, err := tx.Exec(ctx, `INSERT INTO sso_sp_keys (`+spKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
			ON CONFLICT (connection_id, state) WHERE state IN ('current', 'next') DO NOTHING`,
			r.ID, r.ConnectionID, string(r.State), r.CertificateDER, r.Sealed, r.NotAfter, r.StagedAt,
			r.PromotedAt, r.RetiringAt, r.RetiredAt, r.MetadataSeenAt, r.TestedAt)
		if added = n == 1; err != nil || !added {
			return err
		}
		return sqlaudit.Insert(ctx, tx, auditTable, events)
	})
	return added && err == nil, err
}

// Promote implements spkeys.Store. The current key moves first: a connection has never
// two of them.
func (s SPKeys) Promote(ctx context.Context, connectionID, nextID string, now time.Time, events ...audit.Event) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		_, err := tx.Exec(ctx, `UPDATE sso_sp_keys SET state = 'retiring', retiring_at = $1 WHERE connection_id = $2 AND state = 'current'`, now, connectionID)
		if err != nil {
			return err
		}
		return moved(ctx, tx, events, `UPDATE sso_sp_keys SET state = 'current', promoted_at = $1 WHERE id = $2 AND connection_id = $3 AND state = 'next'`,
			now, nextID, connectionID)
	})
}

// Retire implements spkeys.Store.
func (s SPKeys) Retire(ctx context.Context, id string, now time.Time, events ...audit.Event) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		return moved(ctx, tx, events, `UPDATE sso_sp_keys SET state = 'retired', retired_at = $1 WHERE id = $2 AND state IN ('next', 'retiring')`, now, id)
	})
}

// moved changes one key and puts it on record, or returns spkeys.ErrMoved.
func moved(ctx context.Context, tx sqldb.Querier, events []audit.Event, statement string, args ...any) error {
	n, err := tx.Exec(ctx, statement, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return spkeys.ErrMoved
	}
	return sqlaudit.Insert(ctx, tx, auditTable, events)
}

// Seen implements spkeys.Store.
func (s SPKeys) Seen(ctx context.Context, id string, now time.Time) error {
	_, err := s.DB.Exec(ctx, `UPDATE sso_sp_keys SET metadata_seen_at = $1 WHERE id = $2 AND state = 'next'`, now, id)
	return err
}

// Tested implements spkeys.Store.
func (s SPKeys) Tested(ctx context.Context, id string, now time.Time) error {
	_, err := s.DB.Exec(ctx, `UPDATE sso_sp_keys SET tested_at = $1 WHERE id = $2 AND state = 'next'`, now, id)
	return err
}

// RetiringBefore implements spkeys.Store.
func (s SPKeys) RetiringBefore(ctx context.Context, before time.Time, limit int) ([]spkeys.Record, error) {
	rows, err := s.DB.Query(ctx, `SELECT `+spKeyColumns+` FROM sso_sp_keys WHERE state = 'retiring' AND retiring_at < $1 ORDER BY retiring_at, id LIMIT $2`, before, limit)
	return collect(rows, err, scanSPKey)
}

// Ends implements spkeys.Store.
func (s SPKeys) Ends(ctx context.Context) (map[string]time.Time, error) {
	rows, err := s.DB.Query(ctx, `SELECT k.connection_id, k.not_after FROM sso_sp_keys k JOIN sso_connections c ON c.id = k.connection_id
		WHERE k.state = 'current' AND c.deleted_at IS NULL`)
	ends := map[string]time.Time{}
	_, err = collect(rows, err, func(row sqldb.Row) (_ struct{}, err error) {
		var id string
		var at time.Time
		if err = row.Scan(&id, &at); err == nil {
			ends[id] = at
		}
		return struct{}{}, err
	})
	return ends, err
}
