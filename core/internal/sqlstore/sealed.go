// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/sqlseal"
)

// sealedColumns are all there are; a test compares them with the schema. A column that
// is not here would keep an old sealing key alive for ever.
var sealedColumns = []sqlseal.Column{
	{Table: "installation", Name: "canary", Row: "CAST(id AS text)"},
	{Table: "apps", Name: "runtime_key_sealed", Row: "id"},
}

// SealedColumns names them as table.column.
func SealedColumns() []string { return sqlseal.Names(sealedColumns) }

// Reseal implements installation.Store.
func (s Installation) Reseal(ctx context.Context, again func(sealed, place string) (string, error)) ([]seal.Resealed, error) {
	return sqlseal.Again(ctx, s.DB, sealedColumns, again)
}

// SwapCanary implements installation.Store.
func (s Installation) SwapCanary(ctx context.Context, from, to string, events ...audit.Event) (swapped bool, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		n, err := tx.Exec(ctx, `UPDATE installation SET canary = $1 WHERE id = 1 AND canary = $2`, to, from)
		if swapped = n == 1; err != nil || !swapped {
			return err
		}
		return appendEvents(ctx, tx, events)
	})
	return swapped && err == nil, err
}
