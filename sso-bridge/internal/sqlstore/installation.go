// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/sqlseal"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
)

// Installation implements installation.Store.
type Installation struct{ DB sqldb.DB }

var _ installation.Store = Installation{}

// Read implements installation.Store.
func (s Installation) Read(ctx context.Context) (installation.State, error) {
	var state installation.State
	err := s.DB.QueryRow(ctx, `SELECT canary, fingerprint_key_sealed FROM sso_installation WHERE id = 1`).Scan(&state.Canary, &state.FingerprintKey)
	if errors.Is(err, sqldb.ErrNoRows) {
		return installation.State{}, nil
	}
	return state, err
}

// Init implements installation.Store.
func (s Installation) Init(ctx context.Context, state installation.State) error {
	_, err := s.DB.Exec(ctx, `INSERT INTO sso_installation (id, canary, fingerprint_key_sealed) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING`,
		state.Canary, state.FingerprintKey)
	return err
}

// SwapCanary implements installation.Store.
func (s Installation) SwapCanary(ctx context.Context, from, to string, events ...audit.Event) (swapped bool, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		n, err := tx.Exec(ctx, `UPDATE sso_installation SET canary = $1 WHERE id = 1 AND canary = $2`, to, from)
		if swapped = n == 1; err != nil || !swapped {
			return err
		}
		return sqlaudit.Insert(ctx, tx, auditTable, events)
	})
	return swapped && err == nil, err
}

// sealedColumns are all there are; a test compares them with the schema. A column that
// is not here would keep an old sealing key alive for ever.
var sealedColumns = []sqlseal.Column{
	{Table: "sso_installation", Name: "canary", Row: "CAST(id AS text)"},
	{Table: "sso_installation", Name: "fingerprint_key_sealed", Row: "CAST(id AS text)"},
	{Table: "sso_connection_revisions", Name: "secrets_sealed", Row: "connection_id || ':' || hash"},
	{Table: "sso_sp_keys", Name: "private_sealed", Row: "id"},
}

// SealedColumns names them as table.column.
func SealedColumns() []string { return sqlseal.Names(sealedColumns) }

// Reseal implements installation.Store.
func (s Installation) Reseal(ctx context.Context, again func(sealed, place string) (string, error)) ([]seal.Resealed, error) {
	return sqlseal.Again(ctx, s.DB, sealedColumns, again)
}
