// SPDX-License-Identifier: Apache-2.0

package sqlseal

import (
	"context"
	"fmt"

	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Column is a column whose values are sealed, each for the place table/row/column. Its
// fields are constants of a program: they become part of statements.
type Column struct {
	Table, Name string
	// Row is the expression that gives a row's id in its place, as text, which no other
	// row has.
	Row string
}

// String gives table.column.
func (c Column) String() string { return c.Table + "." + c.Name }

// Names lists columns as table.column.
func Names(columns []Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.String()
	}
	return names
}

// page is how many values are held at once.
const page = 200

// Again replaces each value by what again makes of it and its place. A value that was
// replaced meanwhile stays. It stops at the first value for which again fails.
func Again(ctx context.Context, db sqldb.Querier, columns []Column, again func(sealed, place string) (string, error)) ([]seal.Resealed, error) {
	var done []seal.Resealed
	for _, c := range columns {
		r := seal.Resealed{Column: c.String()}
		for after := ""; ; {
			rows, err := c.read(ctx, db, after)
			if err != nil {
				return done, err
			}
			for _, row := range rows {
				sealed, err := again(row.value, c.Table+"/"+row.id+"/"+c.Name)
				if err != nil {
					return done, fmt.Errorf("%s, row %s: %w", r.Column, row.id, err)
				}
				r.Values++
				if sealed == row.value {
					continue
				}
				n, err := db.Exec(ctx, `UPDATE `+c.Table+` SET `+c.Name+` = $1 WHERE `+c.Row+` = $2 AND `+c.Name+` = $3`, sealed, row.id, row.value)
				if err != nil {
					return done, err
				}
				r.Sealed += int(n)
			}
			if len(rows) < page {
				break
			}
			after = rows[len(rows)-1].id
		}
		done = append(done, r)
	}
	return done, nil
}

type sealedRow struct{ id, value string }

func (c Column) read(ctx context.Context, db sqldb.Querier, after string) (found []sealedRow, err error) {
	rows, err := db.Query(ctx, `SELECT `+c.Row+`, `+c.Name+` FROM `+c.Table+`
		WHERE `+c.Row+` > $1 AND `+c.Name+` IS NOT NULL ORDER BY `+c.Row+` LIMIT $2`, after, page)
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
