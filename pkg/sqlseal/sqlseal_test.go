// SPDX-License-Identifier: Apache-2.0

package sqlseal_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/sqlseal"
)

func open(t *testing.T, tables ...string) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, table := range tables {
		if _, err := db.Exec(t.Context(), table); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestAgain(t *testing.T) {
	db := open(t, `CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY, secret TEXT) STRICT`, `INSERT INTO things VALUES ('none', NULL)`)
	const rows = 450 // more than two pages
	for i := range rows {
		if _, err := db.Exec(t.Context(), `INSERT INTO things VALUES ($1, $2)`, fmt.Sprintf("%04d", i), fmt.Sprintf("old:things/%04d/secret", i)); err != nil {
			t.Fatal(err)
		}
	}
	columns := []sqlseal.Column{{Table: "things", Name: "secret", Row: "id"}}
	if names := sqlseal.Names(columns); len(names) != 1 || names[0] != "things.secret" {
		t.Error(names)
	}
	anew := func(sealed, place string) (string, error) {
		if _, of, _ := strings.Cut(sealed, ":"); of != place {
			return "", fmt.Errorf("%s came as the value of %s", sealed, place)
		}
		return "new:" + place, nil
	}
	for _, sealed := range []int{rows, 0} {
		done, err := sqlseal.Again(t.Context(), db, columns, anew)
		if err != nil || len(done) != 1 || done[0].Column != "things.secret" || done[0].Values != rows || done[0].Sealed != sealed {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	t.Run("a value that was replaced meanwhile stays", func(t *testing.T) {
		done, err := sqlseal.Again(t.Context(), db, columns, func(sealed, place string) (string, error) {
			if place != "things/0007/secret" {
				return sealed, nil
			}
			_, err := db.Exec(t.Context(), `UPDATE things SET secret = 'newer' WHERE id = '0007'`)
			return "stale", err
		})
		var now string
		read := db.QueryRow(t.Context(), `SELECT secret FROM things WHERE id = '0007'`).Scan(&now)
		if err != nil || read != nil || now != "newer" || done[0].Sealed != 0 {
			t.Error(done, now, err, read)
		}
	})
	t.Run("it stops at the first value that does not open, and names its row", func(t *testing.T) {
		bad := errors.New("does not open")
		_, err := sqlseal.Again(t.Context(), db, columns, func(string, string) (string, error) { return "", bad })
		if !errors.Is(err, bad) || !strings.Contains(err.Error(), "things.secret, row 0000") {
			t.Error(err)
		}
	})
}
