// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// PostgresOptions are what the address of a database does not say.
type PostgresOptions struct {
	// MaxConns bounds the pool; zero means 16.
	MaxConns int
}

const (
	defaultMaxConns = 16
	// keptConns stay open, so that a quiet service answers the next request at once.
	keptConns = 2
	// connectLimit holds for each host of the address, unless connect_timeout says
	// otherwise: a silent one must not use up a request's time.
	connectLimit = 5 * time.Second
	// openLimit is what all hosts of an address together get at the start.
	openLimit = 30 * time.Second
	// pingLimit finds a connection dead that has been idle.
	pingLimit = 3 * time.Second
	// undoLimit is what a rollback gets after its context has ended: without it the
	// locks of the transaction would last as long as the connection.
	undoLimit = 2 * time.Second
	// closeLimit is what Close gives connections to say good-bye.
	closeLimit = 3 * time.Second
	// txTries bounds how often a transaction is run that the engine has picked as the
	// victim of a deadlock or could not serialize.
	txTries = 4
	// txPause lets the other transaction go on first; it grows with each try.
	txPause = 10 * time.Millisecond
)

// postgresDB is a pool of native connections.
type postgresDB struct {
	pool *pgxpool.Pool
	std  *sql.DB // on the same pool
}

// OpenPostgres connects to the database of an address, postgres://…, which may name
// several hosts; with target_session_attrs=read-write the one that takes writes is
// looked for anew after a failover. It answers only when the database does. No error
// of it or of the database repeats the address.
func OpenPostgres(ctx context.Context, address string, o PostgresOptions) (DB, error) {
	cfg, err := postgresConfig(address, o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("sqldb: open Postgres: %w", err)
	}
	d := &postgresDB{pool: pool, std: stdlib.OpenDBFromPool(pool)}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	if err := d.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sqldb: open Postgres: %w", err), d.Close())
	}
	return d, nil
}

// CheckPostgres reports whether an address can be read, without connecting.
func CheckPostgres(address string) error {
	_, err := postgresConfig(address, PostgresOptions{})
	return err
}

// errAddress stands for the driver's error, which repeats what it could not read.
var errAddress = errors.New("sqldb: no address such as postgres://user@host:5432/database?sslmode=verify-full, or a parameter of it does not hold")

func postgresConfig(address string, o PostgresOptions) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil || !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		return nil, errAddress
	}
	if o.MaxConns <= 0 {
		o.MaxConns = defaultMaxConns
	}
	cfg.MaxConns = int32(min(o.MaxConns, 1<<20))
	if !strings.Contains(address, "pool_min_conns=") {
		cfg.MinConns = min(keptConns, cfg.MaxConns)
	}
	cfg.MaxConnLifetimeJitter = cfg.MaxConnLifetime / 10 // not all at once
	cfg.PingTimeout = pingLimit
	lost := &losses{}
	cfg.ConnConfig.Tracer, cfg.ShouldPing = lost, lost.shouldPing
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectLimit
	}
	if params := cfg.ConnConfig.RuntimeParams; params["application_name"] == "" {
		params["application_name"] = "dify-sso"
	}
	closes := cfg.ConnConfig.OnPgError
	cfg.ConnConfig.OnPgError = func(c *pgconn.PgConn, e *pgconn.PgError) bool {
		// The server has become a standby: the next connection finds the one that writes.
		return e.Code != readOnlyTransaction && (closes == nil || closes(c, e))
	}
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
		return nil
	}
	return cfg, nil
}

func (d *postgresDB) Dialect() Dialect { return Postgres }

func (d *postgresDB) Ping(ctx context.Context) error { return postgresError(d.pool.Ping(ctx)) }

// Close waits for what is running, yet not for a server that says nothing.
func (d *postgresDB) Close() error {
	err := d.std.Close()
	closed := make(chan struct{})
	go func() {
		d.pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeLimit):
	}
	return err
}

func (d *postgresDB) standard() *sql.DB { return d.std }

func (d *postgresDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return postgresExec(ctx, d.pool, query, args)
}

func (d *postgresDB) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	return postgresQuery(ctx, d.pool, query, args)
}

func (d *postgresDB) QueryRow(ctx context.Context, query string, args ...any) Row {
	return postgresRow{row: d.pool.QueryRow(ctx, query, timesOf(args)...)}
}

// InTx runs at READ COMMITTED whatever the database's default is: what a statement
// finds after it has waited for a lock must include what the lock's owner committed.
func (d *postgresDB) InTx(ctx context.Context, fn func(ctx context.Context, tx Querier) error) error {
	for try := 1; ; try++ {
		err := d.inTx(ctx, fn)
		if try == txTries || !runsAgain(err) {
			return err
		}
		select { // or it meets the same transaction once more
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try)*txPause + rand.N(txPause)): //nolint:gosec // so that two do not meet again
		}
	}
}

func (d *postgresDB) inTx(ctx context.Context, fn func(ctx context.Context, tx Querier) error) error {
	tx, err := d.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return postgresError(err)
	}
	ended := false
	defer func() { // also when fn panics
		if !ended {
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
			defer cancel()
			_ = tx.Rollback(undo)
		}
	}()
	if err := fn(ctx, postgresTx{tx: tx}); err != nil {
		return err
	}
	// Asked here, since the driver says of a connection that it lost while it waited for
	// the answer the same as of one that was lost before.
	if tx.Conn().IsClosed() {
		return errLost
	}
	ended = true
	return commitError(tx.Commit(ctx))
}

type postgresTx struct{ tx pgx.Tx }

func (t postgresTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return postgresExec(ctx, t.tx, query, args)
}

func (t postgresTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	return postgresQuery(ctx, t.tx, query, args)
}

func (t postgresTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	return postgresRow{row: t.tx.QueryRow(ctx, query, timesOf(args)...)}
}

// postgresHandle is what a pool and a transaction share.
type postgresHandle interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

func postgresExec(ctx context.Context, h postgresHandle, query string, args []any) (int64, error) {
	tag, err := h.Exec(ctx, query, timesOf(args)...)
	return tag.RowsAffected(), postgresError(err)
}

func postgresQuery(ctx context.Context, h postgresHandle, query string, args []any) (Rows, error) {
	rows, err := h.Query(ctx, query, timesOf(args)...)
	if err != nil {
		return nil, postgresError(err)
	}
	return postgresRows{rows: rows}, nil
}

type postgresRow struct{ row pgx.Row }

func (r postgresRow) Scan(dest ...any) error { return postgresError(r.row.Scan(dest...)) }

type postgresRows struct{ rows pgx.Rows }

func (r postgresRows) Next() bool             { return r.rows.Next() }
func (r postgresRows) Scan(dest ...any) error { return postgresError(r.rows.Scan(dest...)) }
func (r postgresRows) Err() error             { return postgresError(r.rows.Err()) }

// Close has nothing to report that Err does not.
func (r postgresRows) Close() error {
	r.rows.Close()
	return nil
}

// timesOf brings times to what a column holds, so that a value that is kept in memory
// and the one that comes back are the same.
func timesOf(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case time.Time:
			out[i] = stored(v)
		case *time.Time:
			if v != nil {
				out[i] = stored(*v)
			}
		default:
			out[i] = a
		}
	}
	return out
}

func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
