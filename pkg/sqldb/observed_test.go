// SPDX-License-Identifier: Apache-2.0

package sqldb_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/trip"
)

func TestObserved(t *testing.T) {
	t.Run("M-15 each statement is a trip, with BEGIN and COMMIT, and none with an argument", func(t *testing.T) {
		var names []string
		var failed int
		inner, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "x.db"))
		if err != nil {
			t.Fatal(err)
		}
		db := sqldb.Observed(inner, func(_ context.Context, tr trip.Trip) {
			names = append(names, tr.Name)
			if tr.Err != nil {
				failed++
			}
			if tr.Store != trip.SQL || tr.System != "sqlite" || tr.Start.IsZero() || tr.Took < 0 {
				t.Errorf("%+v", tr)
			}
		})
		defer func() { _ = db.Close() }()
		if _, ok := sqldb.Standard(db); !ok {
			t.Error("migrations find no handle")
		}
		ctx, sentinel := t.Context(), errors.New("no")
		if _, err := db.Exec(ctx, `CREATE TABLE t (a TEXT PRIMARY KEY)`); err != nil {
			t.Fatal(err)
		}
		err = db.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
			_, err := tx.Exec(ctx, `INSERT INTO t (a) VALUES ($1)`, "canary")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.InTx(ctx, func(context.Context, sqldb.Querier) error { return sentinel }); !errors.Is(err, sentinel) {
			t.Fatal(err)
		}
		var a string
		if err := db.QueryRow(ctx, `SELECT a FROM t WHERE a = $1`, "nobody").Scan(&a); !errors.Is(err, sqldb.ErrNoRows) {
			t.Fatal(err)
		}
		rows, err := db.Query(ctx, `SELECT a FROM t`)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			if err := rows.Scan(&a); err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if failed != 0 {
			t.Error("an answer counts as a failure")
		}
		if _, err := db.Exec(ctx, `no statement`); err == nil || failed != 1 {
			t.Error("a failure is none", err, failed)
		}
		want := []string{
			`CREATE TABLE t (a TEXT PRIMARY KEY)`, "BEGIN", `INSERT INTO t (a) VALUES ($1)`, "COMMIT", "BEGIN",
			`SELECT a FROM t WHERE a = $1`, `SELECT a FROM t`, `no statement`,
		}
		if !slices.Equal(names, want) {
			t.Errorf("trips %q", names)
		}
	})
}
