// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

// Connections implements connection.Store.
type Connections struct {
	connectionReader
	db sqldb.DB
}

var _ connection.Store = Connections{}

// NewConnections gives the connections of a database.
func NewConnections(db sqldb.DB) Connections {
	return Connections{connectionReader: connectionReader{db}, db: db}
}

// errNoInstallation is a database that was migrated and never opened.
var errNoInstallation = errors.New("sqlstore: the database belongs to no installation yet")

// InTx implements connection.Store. Writers meet at the installation's row: who may have
// a domain, an issuer or the default depends on rows that are not there yet, which no
// lock of a row guards, and people change connections rarely.
func (s Connections) InTx(ctx context.Context, fn func(ctx context.Context, tx connection.Tx) error) error {
	return s.db.InTx(ctx, func(ctx context.Context, q sqldb.Querier) error {
		n, err := q.Exec(ctx, `UPDATE sso_installation SET id = id WHERE id = 1`)
		if err != nil {
			return err
		}
		if n == 0 {
			return errNoInstallation
		}
		return fn(ctx, connectionTx{connectionReader{q}})
	})
}

// DomainOwner implements connection.Store.
func (s Connections) DomainOwner(ctx context.Context, domain string) (string, error) {
	return one(s.db.QueryRow(ctx, `SELECT connection_id FROM sso_connection_domains WHERE domain = $1`, domain))
}

// one reads a text that may not be there.
func one(row sqldb.Row) (s string, err error) {
	if err = row.Scan(&s); errors.Is(err, sqldb.ErrNoRows) {
		return "", nil
	}
	return s, err
}

// connectionReader reads connections, within a transaction or beside any.
type connectionReader struct{ q sqldb.Querier }

const connectionColumns = `id, name, button, protocol, preset, state, listed, is_default, position, intents, managed_by,
	head_revision, serving_revision, created_at, updated_at, deleted_at`

func scanConnection(row sqldb.Row) (c connection.Connection, err error) {
	var intents string
	err = row.Scan(&c.ID, &c.Name, text{&c.Button}, &c.Protocol, &c.Preset, &c.State, &c.Listed, &c.Default, &c.Position, &intents, &c.ManagedBy,
		&c.Head, text{&c.Serving}, &c.CreatedAt, &c.UpdatedAt, &c.DeletedAt)
	if err == nil {
		err = json.Unmarshal([]byte(intents), &c.Intents)
	}
	return c, err
}

// Find implements connection.Reader.
func (r connectionReader) Find(ctx context.Context, id string) (connection.Connection, error) {
	c, err := scanConnection(r.q.QueryRow(ctx, `SELECT `+connectionColumns+` FROM sso_connections WHERE id = $1`, id))
	if errors.Is(err, sqldb.ErrNoRows) {
		return connection.Connection{}, connection.ErrUnknown
	}
	return c, err
}

// All implements connection.Reader.
func (r connectionReader) All(ctx context.Context) ([]connection.Connection, error) {
	rows, err := r.q.Query(ctx, `SELECT `+connectionColumns+` FROM sso_connections WHERE deleted_at IS NULL ORDER BY position, name, id`)
	return collect(rows, err, scanConnection)
}

// IssuerOwner implements connection.Reader.
func (r connectionReader) IssuerOwner(ctx context.Context, issuer string) (string, error) {
	return one(r.q.QueryRow(ctx, `SELECT connection_id FROM sso_connection_issuers WHERE issuer = $1`, issuer))
}

// connectionTx implements connection.Tx.
type connectionTx struct{ connectionReader }

var _ connection.Tx = connectionTx{}

func intentsOf(c connection.Connection) (string, error) {
	b, err := json.Marshal(c.Intents)
	return string(b), err
}

// Insert implements connection.Tx.
func (t connectionTx) Insert(ctx context.Context, c connection.Connection) error {
	intents, err := intentsOf(c)
	if err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `INSERT INTO sso_connections (`+connectionColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (id) DO NOTHING`,
		c.ID, c.Name, null(c.Button), string(c.Protocol), c.Preset, string(c.State), c.Listed, c.Default, c.Position, intents, c.ManagedBy,
		c.Head, null(c.Serving), c.CreatedAt, c.UpdatedAt, c.DeletedAt)
	if err == nil && n == 0 {
		return connection.ErrExists
	}
	return err
}

// Save implements connection.Tx.
func (t connectionTx) Save(ctx context.Context, c connection.Connection) error {
	intents, err := intentsOf(c)
	if err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `UPDATE sso_connections SET name = $1, button = $2, protocol = $3, preset = $4, state = $5, listed = $6, is_default = $7,
		position = $8, intents = $9, managed_by = $10, head_revision = $11, serving_revision = $12, updated_at = $13, deleted_at = $14 WHERE id = $15`,
		c.Name, null(c.Button), string(c.Protocol), c.Preset, string(c.State), c.Listed, c.Default,
		c.Position, intents, c.ManagedBy, c.Head, null(c.Serving), c.UpdatedAt, c.DeletedAt, c.ID)
	if err == nil && n == 0 {
		return connection.ErrUnknown
	}
	return err
}

// FreeDomains implements connection.Tx.
func (t connectionTx) FreeDomains(ctx context.Context, id string, keep []string) error {
	rows, err := t.q.Query(ctx, `SELECT domain FROM sso_connection_domains WHERE connection_id = $1`, id)
	owned, err := collect(rows, err, func(row sqldb.Row) (d string, err error) { return d, row.Scan(&d) })
	if err != nil {
		return err
	}
	kept := make(map[string]bool, len(keep))
	for _, d := range keep {
		kept[d] = true
	}
	for _, d := range owned {
		if kept[d] {
			continue
		}
		if _, err := t.q.Exec(ctx, `DELETE FROM sso_connection_domains WHERE domain = $1 AND connection_id = $2`, d, id); err != nil {
			return err
		}
	}
	return nil
}

// TakeDomain implements connection.Tx: one statement that the owner passes and nobody
// else.
func (t connectionTx) TakeDomain(ctx context.Context, id, domain string) error {
	n, err := t.q.Exec(ctx, `INSERT INTO sso_connection_domains (domain, connection_id) VALUES ($1, $2)
		ON CONFLICT (domain) DO UPDATE SET connection_id = excluded.connection_id
		WHERE sso_connection_domains.connection_id = excluded.connection_id`, domain, id)
	if err == nil && n == 0 {
		return connection.ErrDomainTaken
	}
	return err
}

// TakeIssuer implements connection.Tx.
func (t connectionTx) TakeIssuer(ctx context.Context, issuer, id string) error {
	_, err := t.q.Exec(ctx, `INSERT INTO sso_connection_issuers (issuer, connection_id) VALUES ($1, $2)
		ON CONFLICT (issuer) DO UPDATE SET connection_id = excluded.connection_id`, issuer, id)
	return err
}

// Append implements connection.Tx.
func (t connectionTx) Append(ctx context.Context, events ...audit.Event) error {
	return sqlaudit.Insert(ctx, t.q, auditTable, events)
}
