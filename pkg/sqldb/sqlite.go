// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteDB holds two pools on one file: SQLite has one writer at a time, and a pool
// of one connection queues writers in process instead of failing them as busy.
type sqliteDB struct {
	writer *prepared
	reader *prepared
}

// OpenSQLite opens or creates the database file at path. Every committed
// transaction is on disk (synchronous=FULL) before its call returns.
func OpenSQLite(ctx context.Context, path string) (DB, error) {
	// Made here for its mode; what SQLite lays beside the file takes it over.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("sqldb: open %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("sqldb: open %s: %w", path, err)
	}
	const common = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	file := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path)}).String()
	writer, err := sql.Open("sqlite", file+"?_txlock=immediate&"+common)
	if err != nil {
		return nil, fmt.Errorf("sqldb: open writer: %w", err)
	}
	writer.SetMaxOpenConns(1)
	writer.SetMaxIdleConns(1)
	// The writer goes first: it creates the file and its journal mode.
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sqldb: open %s: %w", path, err), writer.Close())
	}
	reader, err := sql.Open("sqlite", file+"?"+common+"&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqldb: open reader: %w", err), writer.Close())
	}
	reader.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	reader.SetMaxIdleConns(4)
	return &sqliteDB{writer: newPrepared(writer), reader: newPrepared(reader)}, nil
}

// CopySQLite copies the database file at from, as it is at one moment, into a new file at
// to, beside whoever reads and writes it meanwhile. The copy is on disk when it returns.
func CopySQLite(ctx context.Context, from, to string) (err error) {
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the caller names the file
	if err != nil {
		return fmt.Errorf("sqldb: copy: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(from)}).String()+"?mode=rw&_pragma=busy_timeout(5000)")
	if err != nil {
		return fmt.Errorf("sqldb: copy: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, to); err != nil { // an empty file is taken
		return fmt.Errorf("sqldb: copy: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sqldb: copy: %w", err)
	}
	return nil
}

// CheckSQLite reads all of the database file at path and returns what is damaged.
func CheckSQLite(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(path)}).String()+"?mode=ro&immutable=1")
	if err != nil {
		return fmt.Errorf("sqldb: check: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var said string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&said); err != nil {
		return fmt.Errorf("sqldb: check: %w", err)
	}
	if said != "ok" {
		return errors.New("sqldb: the database file is damaged")
	}
	return nil
}

func (d *sqliteDB) standard() *sql.DB { return d.writer.db }

func (d *sqliteDB) Dialect() Dialect { return SQLite }

func (d *sqliteDB) Ping(ctx context.Context) error {
	var one int
	return d.QueryRow(ctx, "SELECT 1").Scan(&one)
}

func (d *sqliteDB) Close() error { return errors.Join(d.reader.close(), d.writer.close()) }

// pool sends everything that is no plain SELECT to the writer: an INSERT with
// RETURNING gives rows too.
func (d *sqliteDB) pool(query string) *prepared {
	if strings.HasPrefix(strings.TrimSpace(query), "SELECT") {
		return d.reader
	}
	return d.writer
}

func (d *sqliteDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return exec(ctx, d.writer, query, args)
}

func (d *sqliteDB) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	return queryRows(ctx, d.pool(query), query, args)
}

func (d *sqliteDB) QueryRow(ctx context.Context, query string, args ...any) Row {
	return sqliteRow{row: d.pool(query).QueryRowContext(ctx, query, encode(args)...)}
}

func (d *sqliteDB) InTx(ctx context.Context, fn func(ctx context.Context, tx Querier) error) error {
	tx, err := d.writer.db.BeginTx(ctx, nil)
	if err != nil {
		return classify(err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit this does nothing
	if err := fn(ctx, sqliteTx{tx: tx}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%w: %w", ErrCommit, err)
	}
	return nil
}

type sqliteTx struct{ tx *sql.Tx }

func (t sqliteTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return exec(ctx, t.tx, query, args)
}

func (t sqliteTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	return queryRows(ctx, t.tx, query, args)
}

func (t sqliteTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	return sqliteRow{row: t.tx.QueryRowContext(ctx, query, encode(args)...)}
}

// handle is what *sql.DB and *sql.Tx share.
type handle interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func exec(ctx context.Context, h handle, query string, args []any) (int64, error) {
	res, err := h.ExecContext(ctx, query, encode(args)...)
	if err != nil {
		return 0, classify(err)
	}
	return res.RowsAffected()
}

func queryRows(ctx context.Context, h handle, query string, args []any) (Rows, error) {
	rows, err := h.QueryContext(ctx, query, encode(args)...)
	if err != nil {
		return nil, classify(err)
	}
	return sqliteRows{Rows: rows}, nil
}

type sqliteRow struct{ row *sql.Row }

func (r sqliteRow) Scan(dest ...any) error { return classify(r.row.Scan(decode(dest)...)) }

type sqliteRows struct{ *sql.Rows }

func (r sqliteRows) Scan(dest ...any) error { return classify(r.Rows.Scan(decode(dest)...)) }
func (r sqliteRows) Err() error             { return classify(r.Rows.Err()) }

// encode turns times into microseconds since 1970, the form of INTEGER columns.
func encode(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case time.Time:
			out[i] = v.UnixMicro()
		case *time.Time:
			if v != nil {
				out[i] = v.UnixMicro()
			}
		default:
			out[i] = a
		}
	}
	return out
}

// decode wraps targets that hold times.
func decode(dest []any) []any {
	out := make([]any, len(dest))
	for i, d := range dest {
		switch v := d.(type) {
		case *time.Time:
			out[i] = &micros{at: v}
		case **time.Time:
			out[i] = &micros{maybe: v}
		default:
			out[i] = d
		}
	}
	return out
}

type micros struct {
	at    *time.Time
	maybe **time.Time
}

// Scan implements sql.Scanner.
func (m *micros) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		if m.maybe == nil {
			return errors.New("sqldb: NULL where a time is required")
		}
		*m.maybe = nil
		return nil
	case int64:
		t := time.UnixMicro(v).UTC()
		if m.maybe != nil {
			*m.maybe = &t
		} else {
			*m.at = t
		}
		return nil
	default:
		return fmt.Errorf("sqldb: %T is no time", src)
	}
}

// classify maps driver errors to the sentinels by result code, never by text.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNoRows
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		if c := e.Code(); c == sqlite3.SQLITE_CONSTRAINT_UNIQUE || c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
			return fmt.Errorf("%w: %w", ErrUnique, err)
		}
	}
	return err
}
