// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"fmt"

	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// sealedColumn is a column whose values are sealed with the installation's keys, each
// for the place table/row/column.
type sealedColumn struct {
	table, column string
	// page gives at most $2 rows after the id $1, in the order of ids, as id and value.
	page string
	// swap sets $1 in the row $2 if its value is still $3.
	swap string
}

// sealedColumns are all there are; a test compares them with the schema. A column that
// is not here would keep an old sealing key alive for ever.
var sealedColumns = []sealedColumn{{
	table: "installation", column: "canary",
	page: `SELECT CAST(id AS text), canary FROM installation WHERE CAST(id AS text) > $1 ORDER BY id LIMIT $2`,
	swap: `UPDATE installation SET canary = $1 WHERE CAST(id AS text) = $2 AND canary = $3`,
}}

// SealedColumns names them as table.column.
func SealedColumns() (names []string) {
	for _, c := range sealedColumns {
		names = append(names, c.table+"."+c.column)
	}
	return names
}

// resealPage is how many values are held at once.
const resealPage = 200

// Reseal implements installation.Store.
func (s Installation) Reseal(ctx context.Context, again func(sealed, place string) (string, error)) ([]installation.Resealed, error) {
	var done []installation.Resealed
	for _, c := range sealedColumns {
		r := installation.Resealed{Column: c.table + "." + c.column}
		for after := ""; ; {
			rows, err := c.read(ctx, s.DB, after)
			if err != nil {
				return done, err
			}
			for _, row := range rows {
				sealed, err := again(row.value, c.table+"/"+row.id+"/"+c.column)
				if err != nil {
					return done, fmt.Errorf("%s, row %s: %w", r.Column, row.id, err)
				}
				r.Values++
				if sealed == row.value {
					continue
				}
				n, err := s.DB.Exec(ctx, c.swap, sealed, row.id, row.value)
				if err != nil {
					return done, err
				}
				r.Sealed += int(n)
			}
			if len(rows) < resealPage {
				break
			}
			after = rows[len(rows)-1].id
		}
		done = append(done, r)
	}
	return done, nil
}

type sealedRow struct{ id, value string }

func (c sealedColumn) read(ctx context.Context, db sqldb.Querier, after string) (found []sealedRow, err error) {
	rows, err := db.Query(ctx, c.page, after, resealPage)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r sealedRow
		if err := rows.Scan(&r.id, &r.value); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
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
