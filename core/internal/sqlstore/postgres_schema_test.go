// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/migrations"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// postgres is a database of its own on a running server, spoken to through psql: the
// product has no driver for it yet, and its schema is kept true all the same.
type postgres struct {
	t    *testing.T
	name string
}

// newPostgres skips where no server answers; CI must have one.
func newPostgres(t *testing.T) postgres {
	t.Helper()
	admin := postgres{t, "postgres"}
	if _, err := admin.try("SELECT 1"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no Postgres answers at 127.0.0.1:5432: %v", err)
		}
		t.Skipf("no Postgres answers at 127.0.0.1:5432; \"make deps\" starts one (%v)", err)
	}
	p := postgres{t, fmt.Sprintf("schema_%d_%d", os.Getpid(), time.Now().UnixNano())}
	admin.run("CREATE DATABASE " + p.name)
	t.Cleanup(func() { admin.run("DROP DATABASE " + p.name + " WITH (FORCE)") })
	return p
}

// try runs statements, each in its own transaction, and gives the rows with their
// columns separated by bars.
func (p postgres) try(sql string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "psql", "-h", "127.0.0.1", "-p", "5432", "-U", "postgres", "-d", p.name, "-w", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-")
	cmd.Env = append(os.Environ(), "PGCONNECT_TIMEOUT=3")
	cmd.Stdin = strings.NewReader(sql)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	var rows []string
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); line != "" {
			rows = append(rows, line)
		}
	}
	return rows, nil
}

func (p postgres) run(sql string) []string {
	p.t.Helper()
	rows, err := p.try(sql)
	if err != nil {
		p.t.Fatal(err)
	}
	return rows
}

// part gives the statements of one direction of a migration file.
func part(t *testing.T, file, direction string) string {
	t.Helper()
	raw, err := fs.ReadFile(migrations.Core, file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	in := ""
	for line := range strings.Lines(string(raw)) {
		if word, ok := strings.CutPrefix(strings.TrimSpace(line), "-- +goose "); ok {
			if word == "Up" || word == "Down" {
				in = word
			}
			continue
		}
		if in == direction {
			out.WriteString(line)
		}
	}
	if strings.TrimSpace(out.String()) == "" {
		t.Fatalf("%s has no %s", file, direction)
	}
	return out.String()
}

func files(t *testing.T, engine string) []string {
	t.Helper()
	list, err := fs.Glob(migrations.Core, "core/"+engine+"/*.sql")
	if err != nil || len(list) == 0 {
		t.Fatalf("%v, %v", list, err)
	}
	slices.Sort(list)
	return list
}

// shape describes columns and indexes in a form that both engines give alike.
func (p postgres) shape() (columns, indexes []string) {
	columns = p.run(`SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'YES' THEN ' null' ELSE ' not null' END
		FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position;`)
	indexes = p.run(`SELECT t.relname || ' ' || i.relname || CASE WHEN x.indisunique THEN ' unique' ELSE '' END || CASE WHEN x.indpred IS NULL THEN '' ELSE ' partial' END || ' (' ||
			string_agg(a.attname, ', ' ORDER BY k.n) || ')'
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace s ON s.oid = t.relnamespace
		CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (attnum, n) JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
		WHERE s.nspname = 'public' AND NOT x.indisprimary GROUP BY t.relname, i.relname, x.indisunique, x.indpred ORDER BY 1;`)
	return columns, indexes
}

func sqliteShape(t *testing.T, db sqldb.DB) (columns, indexes []string) {
	t.Helper()
	strs := func(query string) []string {
		rows, err := db.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		var out []string
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	const tables = `sqlite_master m WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'`
	columns = strs(`SELECT m.name || '.' || c.name || CASE c."notnull" WHEN 1 THEN ' not null' ELSE ' null' END
		FROM pragma_table_info(m.name) c, ` + tables + ` ORDER BY m.name, c.cid`)
	indexes = strs(`SELECT m.name || ' ' || l.name || CASE l."unique" WHEN 1 THEN ' unique' ELSE '' END || CASE l.partial WHEN 1 THEN ' partial' ELSE '' END || ' (' ||
			(SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(l.name) ORDER BY seqno)) || ')'
		FROM pragma_index_list(m.name) l, ` + tables + ` AND l.origin <> 'pk' ORDER BY 1`)
	return columns, indexes
}

func TestPostgresHasTheSchemaOfSQLite(t *testing.T) {
	p := newPostgres(t)
	list := files(t, "postgres")
	for _, f := range list {
		p.run(part(t, f, "Up"))
	}
	columns, indexes := p.shape()
	db := open(t, filepath.Join(t.TempDir(), "core.db"))
	if _, err := migrator(t, db).Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantColumns, wantIndexes := sqliteShape(t, db)
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
		for _, name := range p.run(`SELECT conname FROM pg_constraint c JOIN pg_namespace s ON s.oid = c.connamespace WHERE s.nspname = 'public' AND conname LIKE 'ck\_%';`) {
			if !strings.Contains(strings.Join(schema(t, db), "\n"), "CONSTRAINT "+name+" ") {
				t.Errorf("SQLite has no %s", name)
			}
		}
	})
	t.Run("M-32 down takes all of it back, and up gives it again", func(t *testing.T) {
		for _, f := range slices.Backward(list) {
			p.run(part(t, f, "Down"))
		}
		if left, _ := p.shape(); len(left) > 0 {
			t.Fatalf("left behind: %v", left)
		}
		for _, f := range list {
			p.run(part(t, f, "Up"))
		}
		again, _ := p.shape()
		if diff := cmp.Diff(columns, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// What the stores send is also what Postgres takes: each statement is prepared there,
// which checks its grammar, its names and its types.
func TestPostgresTakesEveryStatement(t *testing.T) {
	p := newPostgres(t)
	for _, f := range files(t, "postgres") {
		p.run(part(t, f, "Up"))
	}
	statements := &recorder{seen: map[string]bool{}}
	t.Run("what the suites send", func(t *testing.T) {
		storetest.DurableStores(t, func(t *testing.T) (a, b storetest.Durable) {
			a, b = storetest.NewSQLitePair(t)
			return storetest.OnSQL(recording{a.DB, statements}), storetest.OnSQL(recording{b.DB, statements})
		})
	})
	if len(statements.seen) < 40 {
		t.Fatalf("%d statements were sent", len(statements.seen))
	}
	var all strings.Builder
	n := 0
	for sql := range statements.seen {
		n++
		fmt.Fprintf(&all, "PREPARE s%d AS %s;\n", n, sql)
	}
	if _, err := p.try(all.String()); err == nil {
		return
	}
	for sql := range statements.seen { // which of them
		if _, err := p.try("PREPARE s AS " + sql + ";"); err != nil {
			t.Errorf("%v\n%s", err, sql)
		}
	}
}

// recorder keeps the text of every statement.
type recorder struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (r *recorder) note(query string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[query] = true
}

// recording is a database whose statements are recorded.
type recording struct {
	sqldb.DB
	to *recorder
}

func (d recording) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	d.to.note(query)
	return d.DB.Exec(ctx, query, args...)
}

func (d recording) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	d.to.note(query)
	return d.DB.Query(ctx, query, args...)
}

func (d recording) QueryRow(ctx context.Context, query string, args ...any) sqldb.Row {
	d.to.note(query)
	return d.DB.QueryRow(ctx, query, args...)
}

func (d recording) InTx(ctx context.Context, fn func(ctx context.Context, tx sqldb.Querier) error) error {
	return d.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error { return fn(ctx, recordingTx{tx, d.to}) })
}

type recordingTx struct {
	sqldb.Querier
	to *recorder
}

func (q recordingTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	q.to.note(query)
	return q.Querier.Exec(ctx, query, args...)
}

func (q recordingTx) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	q.to.note(query)
	return q.Querier.Query(ctx, query, args...)
}

func (q recordingTx) QueryRow(ctx context.Context, query string, args ...any) sqldb.Row {
	q.to.note(query)
	return q.Querier.QueryRow(ctx, query, args...)
}
