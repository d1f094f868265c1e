// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// touchChunk is how many uses one statement writes. To SQLite each $1 is a name, which it seeks
// among all names before it: 512 uses in one statement take it 37 ms, in eight 11 ms.
func touchChunk(d sqldb.Dialect) int {
	if d == sqldb.SQLite {
		return 64
	}
	return 512
}

// TouchUsed implements token.Store. A use waits for its batch, and the row may be
// rotated meanwhile: the conditions keep it off a credential that it was not of.
func (s Tokens) TouchUsed(ctx context.Context, uses []token.Use) error {
	uses = newest(uses)
	most := touchChunk(s.DB.Dialect())
	if len(uses) <= most {
		return touch(ctx, s.DB, uses)
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		for chunk := range slices.Chunk(uses, most) {
			if err := touch(ctx, tx, chunk); err != nil {
				return err
			}
		}
		return nil
	})
}

// newest gives the last use of each session, in the order of ids: processes that write
// at once then take rows in one order.
func newest(uses []token.Use) []token.Use {
	uses = slices.Clone(uses)
	slices.SortFunc(uses, func(a, b token.Use) int { return cmp.Or(cmp.Compare(a.ID, b.ID), b.At.Compare(a.At)) })
	return slices.CompactFunc(uses, func(a, b token.Use) bool { return a.ID == b.ID })
}

func touch(ctx context.Context, q sqldb.Querier, uses []token.Use) error {
	if len(uses) == 0 {
		return nil
	}
	// As many rows as the next power of two, the last one repeated: each number of rows is
	// a text of its own, which a connection keeps prepared.
	rows := 1 << bits.Len(uint(len(uses)-1))
	args := make([]any, 0, 4*rows)
	for i := range rows {
		u := uses[min(i, len(uses)-1)]
		args = append(args, u.ID, u.At, null(u.IP), u.At.Add(-token.UsageEvery))
	}
	_, err := q.Exec(ctx, touchText(rows), args...)
	return err
}

// touchText gives the statement for a number of rows. The casts name the types that
// placeholders in a list of values have on no engine by themselves.
func touchText(rows int) string {
	var values strings.Builder
	for i := range rows {
		if i > 0 {
			values.WriteString(", ")
		}
		n := 4 * i
		values.WriteString("($" + strconv.Itoa(n+1) + ", CAST($" + strconv.Itoa(n+2) + " AS timestamptz), CAST($" + strconv.Itoa(n+3) + " AS text), CAST($" +
			strconv.Itoa(n+4) + " AS timestamptz))")
	}
	return `UPDATE oauth_access_tokens AS t SET last_used_at = u.column2, last_used_ip = u.column3
		FROM (VALUES ` + values.String() + `) AS u
		WHERE t.id = u.column1 AND t.created_at <= u.column2 AND (t.last_used_at IS NULL OR t.last_used_at <= u.column4)`
}
