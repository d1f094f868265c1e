// SPDX-License-Identifier: Apache-2.0

package sqldb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

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
