// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

func step(table string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE " + table + " (id text);\n-- +goose Down\nDROP TABLE " + table + ";\n")}
}

var (
	old   = fstest.MapFS{"sqlite/00001_one.sql": step("one")}
	newer = fstest.MapFS{"sqlite/00001_one.sql": step("one"), "sqlite/00002_two.sql": step("two")}
)

func migrator(t *testing.T, db sqldb.DB, files fs.FS, table string) *schema.Migrator {
	t.Helper()
	m, err := schema.New(db, schema.Options{Files: files, Table: table, Command: "svc migrate up"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t *testing.T) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestMigrations(t *testing.T) {
	db := open(t)
	first, second := migrator(t, db, old, "versions"), migrator(t, db, newer, "versions")
	status := func(m *schema.Migrator, current int64, pending int) schema.Status {
		t.Helper()
		s, err := m.Status(t.Context())
		if err != nil || s.Current != current || s.Pending != pending {
			t.Fatalf("%+v, %v", s, err)
		}
		return s
	}
	if s := status(second, 0, 2); !errors.Is(s.Check(), schema.ErrOlder) || !strings.Contains(s.Check().Error(), "svc migrate up") || s.Target != 2 {
		t.Errorf("%+v: %v", s, s.Check())
	}
	var tables int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("a question has made %d tables, %v", tables, err)
	}
	if err := first.Fit(t.Context(), false); !errors.Is(err, schema.ErrOlder) {
		t.Errorf("a server migrates a database of several: %v", err)
	}
	if err := first.Fit(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if applied, err := second.Up(t.Context()); err != nil || !slices.Equal(applied, []int64{2}) {
		t.Errorf("%v, %v", applied, err)
	}
	if s := status(first, 2, 0); !errors.Is(s.Check(), schema.ErrNewer) {
		t.Errorf("an older program on a newer schema: %v", s.Check())
	}
	if err := first.Fit(t.Context(), true); !errors.Is(err, schema.ErrNewer) {
		t.Error(err)
	}
	for _, want := range []int64{2, 1, 0} {
		if version, err := second.Down(t.Context()); err != nil || version != want {
			t.Errorf("%d, %v", version, err)
		}
	}
}

func TestTryFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy.db")
	db, err := sqldb.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator(t, db, newer, "versions").Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	third := fstest.MapFS{"sqlite/00003_three.sql": step("three")}
	for name, file := range newer {
		third[name] = file
	}
	unfit := errors.New("unfit")
	for name, tc := range map[string]struct {
		files fstest.MapFS
		says  error
		want  error
	}{
		"of the same version":                          {newer, nil, nil},
		"an older one is brought up by the next start": {third, nil, nil},
		"a newer one":                                  {old, nil, schema.ErrNewer},
		"one that does not fit":                        {newer, unfit, unfit},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			err := schema.TryFile(t.Context(), path, func(db sqldb.DB) (*schema.Migrator, error) { return migrator(t, db, tc.files, "versions"), nil }, func(db sqldb.DB) error {
				asked = true
				var tables int
				if err := db.QueryRow(t.Context(), `SELECT count(*) FROM sqlite_master WHERE name IN ('one', 'two', 'three')`).Scan(&tables); err != nil || tables != 2 {
					t.Errorf("%d tables, %v", tables, err)
				}
				return tc.says
			})
			if !errors.Is(err, tc.want) || asked != !errors.Is(tc.want, schema.ErrNewer) {
				t.Errorf("%v, asked %t", err, asked)
			}
			if left, _ := filepath.Glob(path + "-*"); len(left) > 0 {
				t.Errorf("left beside it: %q", left)
			}
		})
	}
}

func TestTwoServicesOnOneDatabase(t *testing.T) {
	db := open(t)
	one := migrator(t, db, old, "versions_one")
	two := migrator(t, db, fstest.MapFS{"sqlite/00001_other.sql": step("other")}, "versions_two")
	if err := errors.Join(one.Fit(t.Context(), true), two.Fit(t.Context(), true)); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := two.Status(t.Context()); err != nil || s.Current != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}
