// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"database/sql"
	"errors"
)

// Querier runs statements, either each for itself or inside a transaction.
// Placeholders are $1, $2 …; times go in and come out as time.Time in UTC at
// microseconds, digests as raw bytes.
type Querier interface {
	// Exec runs a statement and gives the number of rows it changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	// Query runs a statement that gives rows; the caller closes them.
	Query(ctx context.Context, query string, args ...any) (Rows, error)
	// QueryRow runs a statement that gives at most one row; Scan returns ErrNoRows
	// when there is none.
	QueryRow(ctx context.Context, query string, args ...any) Row
}

// Rows is the result of a query.
type Rows interface {
	Row
	Next() bool
	Err() error
	Close() error
}

// Row is one row to scan. *time.Time, **time.Time (nullable) and the targets of
// database/sql are understood.
type Row interface {
	Scan(dest ...any) error
}

// DB is an open database.
type DB interface {
	Querier
	// InTx runs fn in a transaction and commits when it returns nil. A commit of which
	// nobody knows whether it took effect is reported as ErrCommit; any other error
	// means that nothing was written. fn may run again from its start, when the engine
	// has rolled it back for the sake of another transaction: what it sets outside of
	// itself it sets anew.
	InTx(ctx context.Context, fn func(ctx context.Context, tx Querier) error) error
	// Dialect names the engine.
	Dialect() Dialect
	// Ping asks the engine for an answer.
	Ping(ctx context.Context) error
	// Close ends all connections.
	Close() error
}

// Dialect names an engine, as the folder of its migrations does.
type Dialect string

// The engines.
const (
	// SQLite is the embedded one.
	SQLite Dialect = "sqlite"
	// Postgres is the one that a fleet shares.
	Postgres Dialect = "postgres"
)

// Standard gives the database/sql handle that schema migrations run on: on SQLite the
// one writer, on Postgres the pool. False for a DB that is none of this package.
func Standard(db DB) (*sql.DB, bool) {
	s, ok := db.(interface{ standard() *sql.DB })
	if !ok {
		return nil, false
	}
	return s.standard(), true
}

// SkipLocked gives the clause, with a blank before it, that ends a sub-select of rows
// to delete: rows that another transaction has locked are passed over, so that two
// statements delete different rows and none waits. An engine with one writer needs
// none. It is the one clause in which the engines' texts differ.
func (d Dialect) SkipLocked() string {
	switch d {
	case Postgres:
		return " FOR UPDATE SKIP LOCKED"
	default:
		return ""
	}
}

var (
	// ErrNoRows is returned by Row.Scan when the query gave none.
	ErrNoRows = errors.New("sqldb: no rows")
	// ErrCommit is wrapped around a failure of COMMIT itself, unless the engine has
	// refused it.
	ErrCommit = errors.New("sqldb: commit failed, its outcome is unknown")
	// ErrUnique is wrapped around a violated unique constraint or index.
	ErrUnique = errors.New("sqldb: unique constraint violated")
)
