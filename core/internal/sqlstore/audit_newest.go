// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"time"
)

// EventName is an audit event without what it tells.
type EventName struct {
	At   time.Time
	Name string
}

// Newest gives the newest events until now, by time and name alone.
func (s Audit) Newest(ctx context.Context, now time.Time, most int) (found []EventName, err error) {
	rows, err := s.DB.Query(ctx, `SELECT at, event FROM audit_events WHERE at <= $1 ORDER BY at DESC, id DESC LIMIT $2`, now, most)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e EventName
		if err := rows.Scan(&e.At, &e.Name); err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, rows.Err()
}
