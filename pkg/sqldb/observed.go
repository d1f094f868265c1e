// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/trip"
)

// Observed gives db with an observer that is told of each statement, BEGIN and COMMIT
// included. A query's trip ends with its rows. A nil observer gives db itself.
func Observed(db DB, o trip.Observer) DB {
	if o == nil {
		return db
	}
	system := "postgresql"
	if db.Dialect() == SQLite {
		system = "sqlite"
	}
	w := watch{observe: o, system: system}
	return observedDB{DB: db, q: observedQuerier{Querier: db, watch: w}}
}

// watch tells what has become of statements.
type watch struct {
	observe trip.Observer
	system  string
}

func (w watch) ended(ctx context.Context, query string, start time.Time, err error) {
	if errors.Is(err, ErrNoRows) || errors.Is(err, ErrUnique) {
		err = nil // the engine has answered
	}
	w.observe(ctx, trip.Trip{Store: trip.SQL, System: w.system, Name: query, Start: start, Took: time.Since(start), Err: err})
}

type observedDB struct {
	DB
	q observedQuerier
}

func (d observedDB) standard() *sql.DB {
	s, _ := Standard(d.DB)
	return s
}

func (d observedDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return d.q.Exec(ctx, query, args...)
}

func (d observedDB) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	return d.q.Query(ctx, query, args...)
}

func (d observedDB) QueryRow(ctx context.Context, query string, args ...any) Row {
	return d.q.QueryRow(ctx, query, args...)
}

// InTx tells BEGIN when fn begins, and COMMIT once it has returned without a failure.
func (d observedDB) InTx(ctx context.Context, fn func(ctx context.Context, tx Querier) error) error {
	start, begun, committing := time.Now(), false, false
	err := d.DB.InTx(ctx, func(ctx context.Context, tx Querier) error {
		d.q.ended(ctx, "BEGIN", start, nil)
		begun = true
		err := fn(ctx, observedQuerier{Querier: tx, watch: d.q.watch})
		start, committing = time.Now(), err == nil
		return err
	})
	switch {
	case committing:
		d.q.ended(ctx, "COMMIT", start, err)
	case !begun:
		d.q.ended(ctx, "BEGIN", start, err)
	}
	return err
}

type observedQuerier struct {
	Querier
	watch
}

func (q observedQuerier) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	start := time.Now()
	n, err := q.Querier.Exec(ctx, query, args...)
	q.ended(ctx, query, start, err)
	return n, err
}

func (q observedQuerier) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	start := time.Now()
	rows, err := q.Querier.Query(ctx, query, args...)
	if err != nil {
		q.ended(ctx, query, start, err)
		return nil, err
	}
	return &observedRows{Rows: rows, asked: asked{watch: q.watch, ctx: ctx, query: query, start: start}}, nil
}

func (q observedQuerier) QueryRow(ctx context.Context, query string, args ...any) Row {
	start := time.Now()
	return observedRow{Row: q.Querier.QueryRow(ctx, query, args...), asked: asked{watch: q.watch, ctx: ctx, query: query, start: start}}
}

// asked is a statement that is not over yet.
type asked struct {
	watch
	ctx   context.Context
	query string
	start time.Time
}

type observedRow struct {
	Row
	asked
}

func (r observedRow) Scan(dest ...any) error {
	err := r.Row.Scan(dest...)
	r.ended(r.ctx, r.query, r.start, err)
	return err
}

type observedRows struct {
	Rows
	asked
	told bool
}

// Next ends the trip with the last row: what a caller does before it closes is its own time.
func (r *observedRows) Next() bool {
	more := r.Rows.Next()
	if !more {
		r.tell()
	}
	return more
}

func (r *observedRows) Close() error {
	err := r.Rows.Close()
	r.tell()
	return err
}

func (r *observedRows) tell() {
	if !r.told {
		r.told = true
		r.ended(r.ctx, r.query, r.start, r.Err())
	}
}
