// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
)

// IdPSource implements idpsource.Store.
type IdPSource struct{ DB sqldb.DB }

var _ idpsource.Store = IdPSource{}

const metadataColumns = `m.id, m.connection_id, m.source, m.state, m.document, m.digest, m.etag, m.last_modified, m.diff,
	m.fetched_at, m.checked_at, m.due_at, m.failure, m.decided_by, m.decided_at`

// documentColumn is the JSON of what is kept of a document.
type documentColumn struct {
	idpmetadata.IdP
	Endpoints     *connection.OIDCEndpoints `json:"endpoints,omitempty"`
	ValidUntil    *time.Time                `json:"valid_until,omitempty"`
	CacheDuration time.Duration             `json:"cache_duration_ns,omitempty"`
}

func documentOf(v idpsource.Version) (string, error) {
	d := documentColumn{IdP: v.Facts, Endpoints: v.Endpoints, CacheDuration: v.Terms.CacheDuration}
	if !v.Terms.ValidUntil.IsZero() {
		d.ValidUntil = &v.Terms.ValidUntil
	}
	b, err := json.Marshal(d)
	return string(b), err
}

func scanVersion(row sqldb.Row) (v idpsource.Version, err error) {
	var document, diff string
	err = row.Scan(&v.ID, &v.ConnectionID, &v.Source, &v.State, &document, &v.Digest, text{&v.ETag}, text{&v.LastModified}, text{&diff},
		&v.FetchedAt, &v.CheckedAt, &v.DueAt, text{&v.Failure}, text{&v.DecidedBy}, &v.DecidedAt)
	if errors.Is(err, sqldb.ErrNoRows) {
		return idpsource.Version{}, idpsource.ErrNone
	}
	if err != nil {
		return idpsource.Version{}, err
	}
	var d documentColumn
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		return idpsource.Version{}, err
	}
	v.Facts, v.Endpoints, v.Terms.CacheDuration = d.IdP, d.Endpoints, d.CacheDuration
	if d.ValidUntil != nil {
		v.Terms.ValidUntil = *d.ValidUntil
	}
	if diff != "" {
		err = json.Unmarshal([]byte(diff), &v.Diff)
	}
	return v, err
}

// Find implements idpsource.Store.
func (s IdPSource) Find(ctx context.Context, connectionID, source string, state idpsource.State) (idpsource.Version, error) {
	return scanVersion(s.DB.QueryRow(ctx, `SELECT `+metadataColumns+` FROM sso_idp_metadata m WHERE m.connection_id = $1 AND m.source = $2 AND m.state = $3`,
		connectionID, source, string(state)))
}

// All implements idpsource.Store.
func (s IdPSource) All(ctx context.Context, connectionID string, limit int) ([]idpsource.Version, error) {
	rows, err := s.DB.Query(ctx, `SELECT `+metadataColumns+` FROM sso_idp_metadata m WHERE m.connection_id = $1 ORDER BY m.fetched_at DESC, m.id LIMIT $2`, connectionID, limit)
	return collect(rows, err, scanVersion)
}

// Refused implements idpsource.Store.
func (s IdPSource) Refused(ctx context.Context, connectionID, source, digest string) (bool, error) {
	id, err := one(s.DB.QueryRow(ctx, `SELECT id FROM sso_idp_metadata WHERE connection_id = $1 AND source = $2 AND digest = $3 AND state = 'rejected' LIMIT 1`,
		connectionID, source, digest))
	return id != "", err
}

// Due implements idpsource.Store.
func (s IdPSource) Due(ctx context.Context, now time.Time, limit int) ([]idpsource.Version, error) {
	rows, err := s.DB.Query(ctx, `SELECT `+metadataColumns+` FROM sso_idp_metadata m JOIN sso_connections c ON c.id = m.connection_id
		WHERE m.state = 'current' AND m.due_at <= $1 AND c.deleted_at IS NULL ORDER BY m.due_at, m.id LIMIT $2`, now, limit)
	return collect(rows, err, scanVersion)
}

// Waiting implements idpsource.Store.
func (s IdPSource) Waiting(ctx context.Context) ([]idpsource.Version, error) {
	rows, err := s.DB.Query(ctx, `SELECT `+metadataColumns+` FROM sso_idp_metadata m JOIN sso_connections c ON c.id = m.connection_id
		WHERE m.state = 'pending' AND c.deleted_at IS NULL ORDER BY m.fetched_at, m.id`)
	return collect(rows, err, scanVersion)
}

// write runs fn in one transaction and appends the events.
func (s IdPSource) write(ctx context.Context, events []audit.Event, fn func(ctx context.Context, tx sqldb.Querier) error) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		if err := fn(ctx, tx); err != nil {
			return err
		}
		return sqlaudit.Insert(ctx, tx, auditTable, events)
	})
}

// add inserts a document. Another of its source that is in its state is taken, for which
// the transaction ends.
func add(ctx context.Context, tx sqldb.Querier, v idpsource.Version, state idpsource.State, taken error) error {
	document, err := documentOf(v)
	if err != nil {
		return err
	}
	var diff any
	if len(v.Diff) > 0 {
		b, err := json.Marshal(v.Diff)
		if err != nil {
			return err
		}
		diff = string(b)
	}
	_, err = tx.Exec(ctx, `INSERT INTO sso_idp_metadata (id, connection_id, source, state, document, digest, etag, last_modified, diff,
		fetched_at, checked_at, due_at, failure, decided_by, decided_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		v.ID, v.ConnectionID, v.Source, string(state), document, v.Digest, null(v.ETag), null(v.LastModified), diff,
		v.FetchedAt, v.CheckedAt, v.DueAt, null(v.Failure), null(v.DecidedBy), v.DecidedAt)
	if errors.Is(err, sqldb.ErrUnique) {
		return taken
	}
	return err
}

// move changes the state of one document, if it is in the other.
func move(ctx context.Context, tx sqldb.Querier, id string, from, to idpsource.State) error {
	n, err := tx.Exec(ctx, `UPDATE sso_idp_metadata SET state = $1 WHERE id = $2 AND state = $3`, string(to), id, string(from))
	if err == nil && n == 0 {
		return idpsource.ErrMoved
	}
	return err
}

// over makes what waits of a source past, if anything does.
func over(ctx context.Context, tx sqldb.Querier, connectionID, source string) error {
	_, err := tx.Exec(ctx, `UPDATE sso_idp_metadata SET state = 'past' WHERE connection_id = $1 AND source = $2 AND state = 'pending'`, connectionID, source)
	return err
}

// claim gives a connection the issuer of a document. The writers of connections, who look
// whose an issuer is before they take it, are kept out until it is done. The issuer of a
// discovery document stands in the configuration, whose writers have claimed it.
func claim(ctx context.Context, tx sqldb.Querier, v idpsource.Version) error {
	if v.Endpoints != nil {
		return nil
	}
	n, err := tx.Exec(ctx, `UPDATE sso_installation SET id = id WHERE id = 1`)
	if err != nil {
		return err
	}
	if n == 0 {
		return errNoInstallation
	}
	n, err = tx.Exec(ctx, `INSERT INTO sso_connection_issuers (issuer, connection_id) VALUES ($1, $2)
		ON CONFLICT (issuer) DO UPDATE SET connection_id = excluded.connection_id
		WHERE sso_connection_issuers.connection_id = excluded.connection_id`, v.Facts.EntityID, v.ConnectionID)
	if err == nil && n == 0 {
		return connection.ErrIssuerTaken
	}
	return err
}

// Begin implements idpsource.Store.
func (s IdPSource) Begin(ctx context.Context, v idpsource.Version, events ...audit.Event) error {
	return s.write(ctx, events, func(ctx context.Context, tx sqldb.Querier) error {
		if err := claim(ctx, tx, v); err != nil {
			return err
		}
		return add(ctx, tx, v, idpsource.Current, idpsource.ErrExists)
	})
}

// Apply implements idpsource.Store.
func (s IdPSource) Apply(ctx context.Context, from string, v idpsource.Version, events ...audit.Event) error {
	return s.write(ctx, events, func(ctx context.Context, tx sqldb.Querier) error {
		if err := move(ctx, tx, from, idpsource.Current, idpsource.Past); err != nil {
			return err
		}
		if err := over(ctx, tx, v.ConnectionID, v.Source); err != nil {
			return err
		}
		return add(ctx, tx, v, idpsource.Current, idpsource.ErrMoved)
	})
}

// Hold implements idpsource.Store.
func (s IdPSource) Hold(ctx context.Context, against string, v idpsource.Version, events ...audit.Event) error {
	return s.write(ctx, events, func(ctx context.Context, tx sqldb.Querier) error {
		// The row stays as it is, and nobody moves it until this ends.
		if err := move(ctx, tx, against, idpsource.Current, idpsource.Current); err != nil {
			return err
		}
		if err := over(ctx, tx, v.ConnectionID, v.Source); err != nil {
			return err
		}
		return add(ctx, tx, v, idpsource.Pending, idpsource.ErrMoved)
	})
}

// Withdraw implements idpsource.Store.
func (s IdPSource) Withdraw(ctx context.Context, id string, events ...audit.Event) error {
	return s.write(ctx, events, func(ctx context.Context, tx sqldb.Querier) error {
		return move(ctx, tx, id, idpsource.Pending, idpsource.Past)
	})
}

// Decide implements idpsource.Store.
func (s IdPSource) Decide(ctx context.Context, id string, accept bool, by string, now time.Time, events ...audit.Event) error {
	return s.write(ctx, events, func(ctx context.Context, tx sqldb.Querier) error {
		to := idpsource.Rejected
		if accept {
			to = idpsource.Current
			v, err := scanVersion(tx.QueryRow(ctx, `SELECT `+metadataColumns+` FROM sso_idp_metadata m WHERE m.id = $1 AND m.state = 'pending'`, id))
			if errors.Is(err, idpsource.ErrNone) {
				return idpsource.ErrMoved
			}
			if err != nil {
				return err
			}
			if err := claim(ctx, tx, v); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `UPDATE sso_idp_metadata SET state = 'past' WHERE connection_id = $1 AND source = $2 AND state = 'current'`, v.ConnectionID, v.Source); err != nil {
				return err
			}
		}
		n, err := tx.Exec(ctx, `UPDATE sso_idp_metadata SET state = $1, decided_by = $2, decided_at = $3 WHERE id = $4 AND state = 'pending'`, string(to), by, now, id)
		if err == nil && n == 0 {
			return idpsource.ErrMoved
		}
		return err
	})
}

// Checked implements idpsource.Store.
func (s IdPSource) Checked(ctx context.Context, v idpsource.Version) error {
	document, err := documentOf(v)
	if err != nil {
		return err
	}
	_, err = s.DB.Exec(ctx, `UPDATE sso_idp_metadata SET document = $1, etag = $2, last_modified = $3, checked_at = $4, due_at = $5, failure = $6
		WHERE id = $7 AND digest = $8 AND state = 'current'`,
		document, null(v.ETag), null(v.LastModified), v.CheckedAt, v.DueAt, null(v.Failure), v.ID, v.Digest)
	return err
}

// PruneMetadata deletes at most limit documents that served or waited and were read before
// a time, and gives how many. What a person has rejected stays, for it is not held again.
func (s IdPSource) PruneMetadata(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.DB.Exec(ctx, `DELETE FROM sso_idp_metadata WHERE id IN
		(SELECT id FROM sso_idp_metadata WHERE state = 'past' AND fetched_at < $1 ORDER BY fetched_at LIMIT $2`+s.DB.Dialect().SkipLocked()+`)`, before, limit)
}
