// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// LiveTokens counts the tokens that neither were ended nor have run out, by prefix. It
// reads all of them once: for a figure that is looked at, and never for a request.
func LiveTokens(ctx context.Context, db sqldb.DB, now time.Time) (map[string]int64, error) {
	rows, err := db.Query(ctx, `SELECT prefix, count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL AND expires_at > $1 GROUP BY prefix`, now)
	if err != nil {
		return nil, err
	}
	type counted struct {
		prefix string
		n      int64
	}
	list, err := collect(rows, nil, func(row sqldb.Row) (c counted, err error) { return c, row.Scan(&c.prefix, &c.n) })
	live := map[string]int64{}
	for _, c := range list {
		live[c.prefix] = c.n
	}
	return live, err
}
