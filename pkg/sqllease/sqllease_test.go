// SPDX-License-Identifier: Apache-2.0

package sqllease_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/sqllease"
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

func TestLeases(t *testing.T) {
	columns := ` (name TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, until_at INTEGER NOT NULL, fence INTEGER NOT NULL) STRICT`
	db := open(t, `CREATE TABLE ours`+columns, `CREATE TABLE theirs`+columns)
	ours, theirs := sqllease.Leases{DB: db, Table: "ours"}, sqllease.Leases{DB: db, Table: "theirs"}
	start := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	take := func(s sqllease.Leases, owner string, after time.Duration, fence int64, ok bool) {
		t.Helper()
		got, held, err := s.Take(t.Context(), "job", owner, start.Add(after), time.Minute)
		if err != nil || held != ok || got != fence {
			t.Errorf("%s after %s: %d, %t, %v", owner, after, got, held, err)
		}
	}
	take(ours, "a", 0, 1, true)
	take(ours, "b", 59*time.Second, 0, false)
	take(theirs, "b", 59*time.Second, 1, true) // another service's job of the same name
	take(ours, "a", 59*time.Second, 1, true)   // prolonged
	take(ours, "b", 118*time.Second, 0, false)
	take(ours, "b", 119*time.Second, 2, true) // over
	if err := ours.Release(t.Context(), "job", "a", start.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	take(ours, "a", 2*time.Minute, 0, false) // who holds none releases none
	if err := ours.Release(t.Context(), "job", "b", start.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	take(ours, "a", 2*time.Minute, 3, true)
}
