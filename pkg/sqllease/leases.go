// SPDX-License-Identifier: Apache-2.0

package sqllease

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Leases implements jobs.Leases by a row of each name. A lease that ended keeps its
// row, so that fences only grow.
type Leases struct {
	DB sqldb.DB
	// Table has the columns name, owner, until_at and fence. It is a constant of the
	// program and becomes part of the statements.
	Table string
}

var _ jobs.Leases = Leases{}

// Take implements jobs.Leases: of all who ask at once the row lets one through.
func (s Leases) Take(ctx context.Context, name, owner string, now time.Time, life time.Duration) (int64, bool, error) {
	var fence int64
	err := s.DB.QueryRow(ctx, `INSERT INTO `+s.Table+` AS held (name, owner, until_at, fence) VALUES ($1, $2, $3, 1)
		ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until_at = excluded.until_at,
			fence = CASE WHEN held.owner = excluded.owner THEN held.fence ELSE held.fence + 1 END
		WHERE held.owner = excluded.owner OR held.until_at <= $4
		RETURNING fence`, name, owner, now.Add(life), now).Scan(&fence)
	if errors.Is(err, sqldb.ErrNoRows) {
		return 0, false, nil
	}
	return fence, err == nil, err
}

// Release implements jobs.Leases.
func (s Leases) Release(ctx context.Context, name, owner string, now time.Time) error {
	_, err := s.DB.Exec(ctx, `UPDATE `+s.Table+` SET until_at = $1 WHERE name = $2 AND owner = $3 AND until_at > $1`, now, name, owner)
	return err
}
