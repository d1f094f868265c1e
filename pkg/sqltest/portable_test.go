// SPDX-License-Identifier: Apache-2.0

package sqltest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTheSearchFindsEachDialect(t *testing.T) {
	for _, sql := range []string{
		"SELECT id FROM t WHERE id = ?", "SELECT id FROM t WHERE id = :id", "SELECT id FROM t WHERE name LIKE $1", "SELECT id FROM t WHERE name ilike $1",
		"UPDATE t SET at = now()", "UPDATE t SET at = CURRENT_TIMESTAMP", "SELECT id FROM t WHERE id = ANY($1)", "SELECT id FROM t WHERE id = ANY ($1::text[])",
		"DELETE FROM t WHERE at < $1 LIMIT 500", "SELECT id FROM t FOR UPDATE", "SELECT id FROM t FOR UPDATE SKIP LOCKED", "SELECT * FROM t", "SELECT t.* FROM t",
		"INSERT OR IGNORE INTO t (id) VALUES ($1)", "INSERT INTO t (id) VALUES ($1) RETURNING *", "SELECT rowid FROM t", "SELECT id FROM t WHERE current = 1",
		`SELECT "id" FROM t`, "SELECT gen_random_uuid()", "INSERT INTO t (id) VALUES ($1) ON CONFLICT DO NOTHING",
	} {
		if len(problems(sql)) == 0 {
			t.Errorf("passed: %s", sql)
		}
		if !isSQL.MatchString(sql) {
			t.Errorf("not taken for SQL: %s", sql)
		}
	}
	for _, sql := range []string{"DELETE FROM t WHERE id IN (SELECT id FROM t WHERE at < $1 LIMIT 500)", "SELECT count(*) FROM t", "INSERT INTO t (id) VALUES ($1) ON CONFLICT (id) DO NOTHING"} {
		if got := problems(sql); len(got) > 0 {
			t.Errorf("%s: %v", sql, got)
		}
	}
	src := "package x\nconst a = `id, name`\nfunc f() { q(`SELECT `+a+` FROM t WHERE id = `+b, \"some text\") }"
	path := filepath.Join(t.TempDir(), "x.go")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, sql := range statements(t, path) {
		got = append(got, sql)
	}
	slices.Sort(got)
	if want := []string{"SELECT  …  FROM t WHERE id =  … ", "id, name"}; !slices.Equal(got, want) {
		t.Errorf("found %q", got)
	}
}
