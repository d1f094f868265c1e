// SPDX-License-Identifier: Apache-2.0

package sqldb_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// A statement is kept from its second use on; nothing of that may be seen from outside.
func TestKeptStatementsOfSQLite(t *testing.T) {
	ctx := context.Background()
	db, err := sqldb.OpenSQLite(ctx, filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	do := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(ctx, query, args...); err != nil {
			t.Fatal(err)
		}
	}
	read := func(query string, args ...any) (n int) {
		t.Helper()
		if err := db.QueryRow(ctx, query, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	do("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)")
	t.Run("each use has its own arguments, and sees what was written before", func(t *testing.T) {
		for i := range 5 {
			do("INSERT INTO t (id, v) VALUES ($1, $2)", i, 10*i)
			if got := read("SELECT v FROM t WHERE id = $1", i); got != 10*i {
				t.Errorf("%d: %d", i, got)
			}
		}
	})
	t.Run("a failure is that of its use alone", func(t *testing.T) {
		for range 3 {
			if _, err := db.Exec(ctx, "INSERT INTO t (id, v) VALUES ($1, $2)", 0, 0); err == nil {
				t.Error("a row twice")
			}
			if err := db.QueryRow(ctx, "SELECT nothing FROM t").Scan(new(int)); err == nil {
				t.Error("a column that is not there")
			}
		}
		do("INSERT INTO t (id, v) VALUES ($1, $2)", 100, 1)
	})
	t.Run("a changed schema is noticed", func(t *testing.T) {
		for range 3 {
			read("SELECT count(*) FROM t")
		}
		do("ALTER TABLE t ADD COLUMN w INTEGER NOT NULL DEFAULT 7")
		if got := read("SELECT count(*) FROM t"); got != 6 {
			t.Error(got)
		}
		if got := read("SELECT w FROM t WHERE id = $1", 3); got != 7 {
			t.Error(got)
		}
	})
	t.Run("a use that was given up leaves the statement usable", func(t *testing.T) {
		over, cancel := context.WithCancel(ctx)
		cancel()
		if err := db.QueryRow(over, "SELECT v FROM t WHERE id = $1", 2).Scan(new(int)); err == nil {
			t.Error("answered after the end")
		}
		if got := read("SELECT v FROM t WHERE id = $1", 2); got != 20 {
			t.Error(got)
		}
	})
	t.Run("many at once, and more texts than are kept", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 300 {
					var n int
					if err := db.QueryRow(ctx, fmt.Sprintf("SELECT v + %d FROM t WHERE id = $1", j), i%5).Scan(&n); err != nil || n != 10*(i%5)+j {
						t.Errorf("%d, %v", n, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}
