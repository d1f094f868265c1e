// SPDX-License-Identifier: Apache-2.0

package sqldb_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

const (
	tableSQLite   = "CREATE TABLE t (id TEXT PRIMARY KEY, at INTEGER NOT NULL, gone INTEGER, flag INTEGER NOT NULL, digest BLOB) STRICT"
	tablePostgres = "CREATE TABLE t (id text PRIMARY KEY, at timestamptz NOT NULL, gone timestamptz, flag boolean NOT NULL, digest bytea)"
)

// open gives a database of one table on SQLite.
func open(t *testing.T) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a b?c#.db"))
	return made(t, db, err, tableSQLite)
}

// openPostgres gives the same on Postgres; more is added to the address.
func openPostgres(t *testing.T, more string) sqldb.DB {
	t.Helper()
	return postgresAt(t, testserver.Postgres(t)+more)
}

func postgresAt(t *testing.T, address string) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenPostgres(t.Context(), address, sqldb.PostgresOptions{MaxConns: 8})
	return made(t, db, err, tablePostgres)
}

func made(t *testing.T, db sqldb.DB, err error, table string) sqldb.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	return db
}

// engines runs a test on each engine, on Postgres also as behind a proxy that keeps no
// prepared statements.
func engines(t *testing.T, run func(t *testing.T, db sqldb.DB)) {
	t.Run("SQLite", func(t *testing.T) { run(t, open(t)) })
	t.Run("Postgres", func(t *testing.T) { run(t, openPostgres(t, "")) })
	t.Run("Postgres, described", func(t *testing.T) { run(t, openPostgres(t, "&default_query_exec_mode=exec")) })
	t.Run("Postgres, plain text", func(t *testing.T) { run(t, openPostgres(t, "&default_query_exec_mode=simple_protocol")) })
}

func put(ctx context.Context, q sqldb.Querier, id string) error {
	_, err := q.Exec(ctx, "INSERT INTO t (id, at, flag) VALUES ($1, $2, $3)", id, time.Unix(1, 0), false)
	return err
}

func count(t *testing.T, db sqldb.DB) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// label and mark are how the stores read what may be NULL.
type label string

type mark struct{ to *[]byte }

func (m mark) Scan(src any) error {
	b, _ := src.([]byte)
	*m.to = append([]byte{}, b...)
	return nil
}

func TestValuesRoundTrip(t *testing.T) {
	engines(t, func(t *testing.T, db sqldb.DB) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("x", 3600))
		insert := func(id label, gone *time.Time, flag bool, digest any) {
			t.Helper()
			n, err := db.Exec(t.Context(), "INSERT INTO t (id, at, gone, flag, digest) VALUES ($1, $2, $3, $4, $5)", string(id), at, gone, flag, digest)
			if err != nil || n != 1 {
				t.Fatal(n, err)
			}
		}
		insert("a", &at, true, []byte{0, 1})
		insert("b", nil, false, nil)
		want := at.UTC().Truncate(time.Microsecond)
		for id, present := range map[label]bool{"a": true, "b": false} {
			var (
				back           label
				got            time.Time
				gone           *time.Time
				flag           bool
				digest, marked []byte
			)
			if err := db.QueryRow(t.Context(), "SELECT id, at, gone, flag, digest, digest FROM t WHERE id = $1", string(id)).Scan(&back, &got, &gone, &flag, &digest, mark{&marked}); err != nil {
				t.Fatal(err)
			}
			if back != id || !got.Equal(want) || got.Location() != time.UTC || (gone != nil) != present || flag != present || (len(digest) == 2) != present || (len(marked) == 2) != present {
				t.Errorf("%s: %v %v %v %v %v", id, got, gone, flag, digest, marked)
			}
			if present && (!gone.Equal(want) || gone.Location() != time.UTC) {
				t.Errorf("nullable time came back as %v", gone)
			}
		}
		var n int
		if err := db.QueryRow(t.Context(), "SELECT count(*) FROM t WHERE at = $1 AND gone = $2", at, &at).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d rows at the very microsecond, %v", n, err)
		}
		var gone time.Time
		if err := db.QueryRow(t.Context(), "SELECT gone FROM t WHERE id = 'b'").Scan(&gone); err == nil {
			t.Error("NULL was taken for a time")
		}
	})
}

func TestErrorsAreClassifiedByCode(t *testing.T) {
	engines(t, func(t *testing.T, db sqldb.DB) {
		if err := put(t.Context(), db, "a"); err != nil {
			t.Fatal(err)
		}
		if err := put(t.Context(), db, "a"); !errors.Is(err, sqldb.ErrUnique) {
			t.Fatalf("a taken key: %v", err)
		}
		var id string
		if err := db.QueryRow(t.Context(), "INSERT INTO t (id, at, flag) VALUES ('a', $1, $2) RETURNING id", time.Now(), true).Scan(&id); !errors.Is(err, sqldb.ErrUnique) {
			t.Fatalf("a taken key, asked for a row: %v", err)
		}
		if err := db.QueryRow(t.Context(), "SELECT id FROM t WHERE id = 'z'").Scan(&id); !errors.Is(err, sqldb.ErrNoRows) {
			t.Fatalf("no row: %v", err)
		}
		rows, err := db.Query(t.Context(), "SELECT 1 WHERE 1 = (SELECT id FROM missing)")
		if err == nil { // a statement that was not prepared fails when it is read
			if rows.Next() {
				t.Error("gave a row")
			}
			err = errors.Join(rows.Err(), rows.Close())
		}
		if err == nil || errors.Is(err, sqldb.ErrUnique) {
			t.Fatalf("a wrong statement: %v", err)
		}
	})
}

func TestRowsAreReadToTheirEndOrLeft(t *testing.T) {
	engines(t, func(t *testing.T, db sqldb.DB) {
		for _, id := range []string{"a", "b", "c"} {
			if err := put(t.Context(), db, id); err != nil {
				t.Fatal(err)
			}
		}
		err := db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
			for _, most := range []int{1, 9} {
				rows, err := tx.Query(ctx, "SELECT id FROM t ORDER BY id")
				if err != nil {
					return err
				}
				n := 0
				for ; n < most && rows.Next(); n++ {
					var id string
					if err := rows.Scan(&id); err != nil || id != string(rune('a'+n)) {
						t.Error(id, err)
					}
				}
				if err := errors.Join(rows.Close(), rows.Err()); err != nil || n != min(most, 3) {
					t.Error(n, err)
				}
			}
			return put(ctx, tx, "d")
		})
		if err != nil || count(t, db) != 4 {
			t.Fatal(err)
		}
	})
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	engines(t, func(t *testing.T, db sqldb.DB) {
		boom := errors.New("boom")
		err := db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
			return errors.Join(put(ctx, tx, "a"), boom)
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error { panic(put(ctx, tx, "a")) })
		}()
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := put(cancelled, db, "b"); !errors.Is(err, context.Canceled) {
			t.Fatalf("a cancelled context wrote: %v", err)
		}
		ending, end := context.WithCancel(t.Context())
		err = db.InTx(ending, func(ctx context.Context, tx sqldb.Querier) error {
			defer end()
			return put(ctx, tx, "c")
		})
		if err == nil {
			t.Fatal("committed after its context had ended")
		}
		if n := count(t, db); n != 0 {
			t.Fatalf("%d rows, %v", n, err)
		}
		if err := put(t.Context(), db, "a"); err != nil {
			t.Fatalf("a lock was left: %v", err)
		}
	})
}

// On Postgres an upsert that changes nothing takes the lock that SQLite's one writer
// has anyway.
func TestWhoHoldsALockIsAlone(t *testing.T) {
	engines(t, func(t *testing.T, db sqldb.DB) {
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				err := db.InTx(context.Background(), func(ctx context.Context, tx sqldb.Querier) error {
					if _, err := tx.Exec(ctx, "INSERT INTO t (id, at, flag) VALUES ('', $1, $2) ON CONFLICT (id) DO UPDATE SET id = excluded.id", time.Now(), true); err != nil {
						return err
					}
					var n int
					if err := tx.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&n); err != nil {
						return err
					}
					return put(ctx, tx, string(rune('a'+n)))
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := count(t, db); n != 17 {
			t.Fatalf("they were not serial: %d rows", n)
		}
	})
}

func TestTheHandleForMigrations(t *testing.T) {
	engines(t, func(t *testing.T, db sqldb.DB) {
		h, ok := sqldb.Standard(db)
		if !ok {
			t.Fatal("none")
		}
		if _, err := h.ExecContext(t.Context(), "CREATE TABLE u (id int)"); err != nil {
			t.Fatal(err)
		}
		if _, ok := sqldb.Standard(struct{ sqldb.DB }{db}); ok {
			t.Error("one of a DB that is not ours")
		}
	})
}
