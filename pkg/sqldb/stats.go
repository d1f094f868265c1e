// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"time"
)

// Connections are what a DB has open.
type Connections struct{ Open, InUse, Idle, Max int }

// ConnectionsOf tells of the connections of a DB; zeros for one that is none of this
// package.
func ConnectionsOf(db DB) Connections {
	s, ok := db.(interface{ connections() Connections })
	if !ok {
		return Connections{}
	}
	return s.connections()
}

func (d *postgresDB) connections() Connections {
	s := d.pool.Stat()
	return Connections{int(s.TotalConns()), int(s.AcquiredConns()), int(s.IdleConns()), int(s.MaxConns())}
}

func (d *sqliteDB) connections() Connections {
	w, r := d.writer.db.Stats(), d.reader.db.Stats()
	return Connections{w.OpenConnections + r.OpenConnections, w.InUse + r.InUse, w.Idle + r.Idle, w.MaxOpenConnections + r.MaxOpenConnections}
}

func (d observedDB) connections() Connections { return ConnectionsOf(d.DB) }

// Clock asks a server for its time; an engine within the process has that of the machine.
func Clock(ctx context.Context, db DB) (time.Time, error) {
	if db.Dialect() != Postgres {
		return time.Now(), nil
	}
	var micros int64
	err := db.QueryRow(ctx, `SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)`).Scan(&micros)
	return time.UnixMicro(micros), err
}
