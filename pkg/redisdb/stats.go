// SPDX-License-Identifier: Apache-2.0

package redisdb

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// Connections are what a DB has open; Max is the most to one server.
type Connections struct{ Open, Idle, Max int }

// Connections tells of the connections, of a cluster's servers together.
func (db *DB) Connections() Connections {
	open, idle := db.pool()
	return Connections{open, idle, db.most}
}

var errClock = errors.New("redisdb: TIME is not answered by seconds and microseconds")

// Clock asks a server for its time.
func (db *DB) Clock(ctx context.Context) (time.Time, error) {
	said, err := db.Do(ctx, "time")
	if err != nil {
		return time.Time{}, err
	}
	pair, ok := said.([]any)
	if !ok || len(pair) != 2 {
		return time.Time{}, errClock
	}
	var n [2]int64
	for i, part := range pair {
		text, _ := part.(string)
		if n[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return time.Time{}, errClock
		}
	}
	return time.Unix(n[0], n[1]*1000), nil
}
