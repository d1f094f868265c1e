// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// postgresShape describes columns and indexes in a form that both engines give alike.
func postgresShape(t *testing.T, db sqldb.DB) (columns, indexes []string) {
	t.Helper()
	columns = texts(t, db, `SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'YES' THEN ' null' ELSE ' not null' END
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%' ORDER BY table_name, ordinal_position`)
	indexes = texts(t, db, `SELECT t.relname || ' ' || i.relname || CASE WHEN x.indisunique THEN ' unique' ELSE '' END || CASE WHEN x.indpred IS NULL THEN '' ELSE ' partial' END || ' (' ||
			string_agg(a.attname, ', ' ORDER BY k.n) || ')'
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace s ON s.oid = t.relnamespace
		CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (attnum, n) JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
		WHERE s.nspname = 'public' AND NOT x.indisprimary AND t.relname NOT LIKE 'goose%' GROUP BY t.relname, i.relname, x.indisunique, x.indpred`)
	return columns, indexes
}

func sqliteShape(t *testing.T, db sqldb.DB) (columns, indexes []string) {
	t.Helper()
	const tables = `sqlite_master m WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'`
	columns = texts(t, db, `SELECT m.name || '.' || c.name || CASE c."notnull" WHEN 1 THEN ' not null' ELSE ' null' END
		FROM pragma_table_info(m.name) c, `+tables+` ORDER BY m.name, c.cid`)
	indexes = texts(t, db, `SELECT m.name || ' ' || l.name || CASE l."unique" WHEN 1 THEN ' unique' ELSE '' END || CASE l.partial WHEN 1 THEN ' partial' ELSE '' END || ' (' ||
			(SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(l.name) ORDER BY seqno)) || ')'
		FROM pragma_index_list(m.name) l, `+tables+` AND l.origin <> 'pk'`)
	return columns, indexes
}

func TestPostgresHasTheSchemaOfSQLite(t *testing.T) {
	sqlite, postgres := storetest.NewSQLite(t).DB, storetest.NewPostgres(t).DB
	wantColumns, wantIndexes := sqliteShape(t, sqlite)
	columns, indexes := postgresShape(t, postgres)
	if len(wantColumns) < 60 || len(wantIndexes) < 15 {
		t.Fatalf("%d columns and %d indexes found on SQLite", len(wantColumns), len(wantIndexes))
	}
	slices.Sort(indexes)
	slices.Sort(wantIndexes)

	t.Run("M-32 tables, columns and what may be NULL have the same names, in order", func(t *testing.T) {
		if diff := cmp.Diff(wantColumns, columns); diff != "" {
			t.Fatal("(-SQLite +Postgres)", diff)
		}
	})
	t.Run("M-32 indexes have the same names and columns", func(t *testing.T) {
		if diff := cmp.Diff(wantIndexes, indexes); diff != "" {
			t.Fatal("(-SQLite +Postgres)", diff)
		}
	})
	t.Run("M-32 named constraints are the same", func(t *testing.T) {
		names := texts(t, postgres, `SELECT conname FROM pg_constraint c JOIN pg_namespace s ON s.oid = c.connamespace WHERE s.nspname = 'public' AND conname LIKE 'ck\_%'`)
		if len(names) == 0 {
			t.Fatal("none found")
		}
		for _, name := range names {
			if !strings.Contains(strings.Join(layout(t, sqlite), "\n"), "CONSTRAINT "+name+" ") {
				t.Errorf("SQLite has no %s", name)
			}
		}
	})
}
