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
)

func open(t *testing.T) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a b?c#.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(t.Context(), "CREATE TABLE t (id TEXT PRIMARY KEY, at INTEGER NOT NULL, gone INTEGER, flag INTEGER NOT NULL, digest BLOB) STRICT"); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestValuesRoundTrip(t *testing.T) {
	db := open(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("x", 3600))
	if _, err := db.Exec(t.Context(), "INSERT INTO t (id, at, gone, flag, digest) VALUES ($1, $2, $3, $4, $5)", "a", at, &at, true, []byte{0, 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), "INSERT INTO t (id, at, gone, flag, digest) VALUES ($1, $2, $3, $4, $5)", "b", at, (*time.Time)(nil), false, nil); err != nil {
		t.Fatal(err)
	}
	want := at.UTC().Truncate(time.Microsecond)
	for id, present := range map[string]bool{"a": true, "b": false} {
		var (
			got    time.Time
			gone   *time.Time
			flag   bool
			digest []byte
		)
		if err := db.QueryRow(t.Context(), "SELECT at, gone, flag, digest FROM t WHERE id = $1", id).Scan(&got, &gone, &flag, &digest); err != nil {
			t.Fatal(err)
		}
		if !got.Equal(want) || got.Location() != time.UTC || (gone != nil) != present || flag != present || (len(digest) == 2) != present {
			t.Errorf("%s: %v %v %v %v", id, got, gone, flag, digest)
		}
		if present && !gone.Equal(want) {
			t.Errorf("nullable time came back as %v", gone)
		}
	}
}

func TestErrorsAreClassifiedByCode(t *testing.T) {
	db := open(t)
	insert := func(ctx context.Context, q sqldb.Querier) error {
		_, err := q.Exec(ctx, "INSERT INTO t (id, at, flag) VALUES ('a', 1, 0)")
		return err
	}
	if err := insert(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if err := insert(t.Context(), db); !errors.Is(err, sqldb.ErrUnique) {
		t.Fatalf("a taken key: %v", err)
	}
	var at time.Time
	if err := db.QueryRow(t.Context(), "SELECT at FROM t WHERE id = 'z'").Scan(&at); !errors.Is(err, sqldb.ErrNoRows) {
		t.Fatalf("no row: %v", err)
	}
	if _, err := db.Query(t.Context(), "SELECT 1 WHERE 1 = (SELECT id FROM missing)"); err == nil || errors.Is(err, sqldb.ErrUnique) {
		t.Fatalf("a wrong statement: %v", err)
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	db := open(t)
	boom := errors.New("boom")
	err := db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
		if _, err := tx.Exec(ctx, "INSERT INTO t (id, at, flag) VALUES ('a', 1, 0)"); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Exec(cancelled, "INSERT INTO t (id, at, flag) VALUES ('b', 1, 0)"); err == nil {
		t.Fatal("a cancelled context wrote")
	}
	var n int
	if err := db.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d rows, %v", n, err)
	}
}

func TestReadersCannotWrite(t *testing.T) {
	db := open(t)
	if _, err := db.Exec(t.Context(), "INSERT INTO t (id, at, flag) VALUES ('a', 1, 0)"); err != nil {
		t.Fatal(err)
	}
	// Begins with SELECT, so it goes to a reader, whatever follows.
	rows, err := db.Query(t.Context(), "SELECT 1; DELETE FROM t")
	if err == nil {
		err = errors.Join(rows.Err(), rows.Close())
	}
	var n int
	if scan := db.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); scan != nil || n != 1 {
		t.Fatalf("a reader wrote: %d rows left (%v, %v)", n, err, scan)
	}
}

func TestWritersAreSerial(t *testing.T) {
	db := open(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			err := db.InTx(context.Background(), func(ctx context.Context, tx sqldb.Querier) error {
				var n int
				if err := tx.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&n); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, "INSERT INTO t (id, at, flag) VALUES ($1, $2, 0)", string(rune('a'+n)), time.Now())
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var n int
	if err := db.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 16 {
		t.Fatalf("writers were not serial: %d rows, %v", n, err)
	}
}

func TestSkipLockedIsAClauseOfPostgresAlone(t *testing.T) {
	for d, want := range map[sqldb.Dialect]string{sqldb.SQLite: "", "postgres": " FOR UPDATE SKIP LOCKED", "another": ""} {
		if got := d.SkipLocked(); got != want {
			t.Errorf("%s: %q", d, got)
		}
	}
}
