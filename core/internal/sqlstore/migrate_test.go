// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// open opens a file until the test ends.
func open(t *testing.T, path string) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), path)
	return opened(t, db, err)
}

func openPostgres(t *testing.T, address string) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenPostgres(t.Context(), address, sqldb.PostgresOptions{MaxConns: 2})
	return opened(t, db, err)
}

func opened(t *testing.T, db sqldb.DB, err error) sqldb.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// engines runs a test on an empty database of each engine; again opens the same one as
// another process would.
func engines(t *testing.T, run func(t *testing.T, db sqldb.DB, again func() sqldb.DB)) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "core.db")
		run(t, open(t, path), func() sqldb.DB { return open(t, path) })
	})
	t.Run("Postgres", func(t *testing.T) {
		address := testserver.Postgres(t)
		run(t, openPostgres(t, address), func() sqldb.DB { return openPostgres(t, address) })
	})
}

func migrator(t *testing.T, db sqldb.DB) *schema.Migrator {
	t.Helper()
	m, err := sqlstore.NewMigrator(db)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func status(t *testing.T, m *schema.Migrator) schema.Status {
	t.Helper()
	s, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// texts gives the rows of a query of one text.
func texts(t *testing.T, db sqldb.DB, query string) []string {
	t.Helper()
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

// layout gives every part of a schema but goose's own, as the engine words it.
func layout(t *testing.T, db sqldb.DB) []string {
	t.Helper()
	if db.Dialect() == sqldb.Postgres {
		return texts(t, db, `SELECT t.relname || ' ' || d.part FROM pg_class t CROSS JOIN LATERAL (
			SELECT a.attnum || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull AS part FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0
			UNION ALL SELECT pg_get_indexdef(x.indexrelid) FROM pg_index x WHERE x.indrelid = t.oid
			UNION ALL SELECT c.conname || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint c WHERE c.conrelid = t.oid) d
			WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace AND t.relname NOT LIKE 'goose%' ORDER BY 1`)
	}
	out := texts(t, db, `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'goose%' AND tbl_name NOT LIKE 'sqlite%' ORDER BY type, name`)
	for i, sql := range out {
		out[i] = strings.Join(strings.Fields(sql), " ")
	}
	return out
}

func TestMigrations(t *testing.T) {
	engines(t, func(t *testing.T, db sqldb.DB, again func() sqldb.DB) {
		t.Run("M-32 an absent schema is pending, up applies it once, down takes it back, up gives the same again", func(t *testing.T) {
			m := migrator(t, db)
			absent := status(t, m)
			if absent.Current != 0 || absent.Pending == 0 || !errors.Is(absent.Check(), schema.ErrOlder) {
				t.Fatalf("%+v: %v", absent, absent.Check())
			}
			tables := `SELECT name FROM sqlite_master`
			if db.Dialect() == sqldb.Postgres {
				tables = `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`
			}
			if made := texts(t, db, tables); len(made) > 0 {
				t.Fatalf("asking made %v", made)
			}
			applied, err := m.Up(t.Context())
			if err != nil || len(applied) != absent.Pending || applied[len(applied)-1] != absent.Target {
				t.Fatalf("applied %v, %v", applied, err)
			}
			first := layout(t, db)
			if len(first) < 20 {
				t.Fatalf("a schema of %d parts", len(first))
			}
			if s := status(t, m); s.Pending != 0 || s.Check() != nil {
				t.Fatalf("%+v: %v", s, s.Check())
			}
			if applied, err := migrator(t, again()).Up(t.Context()); err != nil || len(applied) != 0 {
				t.Fatalf("a second time: %v, %v", applied, err)
			}
			for want := absent.Target; want > 0; want-- {
				if got, err := m.Down(t.Context()); err != nil || got != want {
					t.Fatalf("took %d back, %v, want %d", got, err, want)
				}
				if s := status(t, m); s.Current != want-1 || !errors.Is(s.Check(), schema.ErrOlder) {
					t.Fatalf("%+v: %v", s, s.Check())
				}
			}
			if left := layout(t, db); len(left) > 0 {
				t.Fatalf("left behind: %v", left)
			}
			if got, err := m.Down(t.Context()); err != nil || got != 0 {
				t.Fatalf("took %d back of nothing, %v", got, err)
			}
			if _, err := m.Up(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first, layout(t, db)); diff != "" {
				t.Fatal("up after down is another schema (-first +second)", diff)
			}
		})

		t.Run("M-32 a newer schema does not fit", func(t *testing.T) {
			m := migrator(t, db)
			newer(t, db)
			s := status(t, m)
			if !errors.Is(s.Check(), schema.ErrNewer) || s.Current <= s.Target {
				t.Fatalf("%+v: %v", s, s.Check())
			}
		})
	})

	t.Run("M-32 an older and a newer schema do not fit", func(t *testing.T) {
		for _, c := range []struct {
			s    schema.Status
			want error
		}{
			{schema.Status{Current: 3, Target: 3}, nil},
			{schema.Status{Current: 2, Target: 3, Pending: 1}, schema.ErrOlder},
			{schema.Status{Current: 4, Target: 3}, schema.ErrNewer},
			{schema.Status{Current: 4, Target: 3, Pending: 1}, schema.ErrNewer},
		} {
			if err := c.s.Check(); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v, want %v", c.s, err, c.want)
			}
		}
	})

	t.Run("an engine without migrations", func(t *testing.T) {
		if _, err := sqlstore.NewMigrator(unknownEngine{open(t, filepath.Join(t.TempDir(), "core.db"))}); err == nil {
			t.Fatal("made a migrator")
		}
	})
}

// A lock of one session: of four processes one applies, and none fails.
func TestFourMigratorsOnPostgres(t *testing.T) {
	t.Run("M-32 of four at once on Postgres one applies, and the schema is whole", func(t *testing.T) {
		address := testserver.Postgres(t)
		applied := make([][]int64, 4)
		var wg sync.WaitGroup
		for i := range applied {
			m := migrator(t, openPostgres(t, address))
			wg.Go(func() {
				var err error
				if applied[i], err = m.Up(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s := status(t, migrator(t, openPostgres(t, address)))
		if all := slices.Concat(applied...); s.Check() != nil || int64(len(all)) != s.Target {
			t.Fatalf("applied %v, %+v", applied, s)
		}
		if n := slices.IndexFunc(applied, func(v []int64) bool { return int64(len(v)) == s.Target }); n < 0 {
			t.Fatalf("shared among them: %v", applied)
		}
	})
}

type unknownEngine struct{ sqldb.DB }

// newer makes a database look as a later program would have left it.
func newer(t *testing.T, db sqldb.DB) {
	t.Helper()
	if _, err := db.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, $1)`, true); err != nil {
		t.Fatal(err)
	}
}

func TestTheServiceAtItsStart(t *testing.T) {
	dir := t.TempDir()
	start := func() error {
		settings, err := app.Load(app.Sources{Flags: map[string]string{"DATA_DIR": dir}})
		if err != nil {
			t.Fatal(err)
		}
		a, err := app.New(t.Context(), settings, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			return err
		}
		return a.Close()
	}
	path := filepath.Join(dir, "core.db")

	t.Run("M-32 an absent schema is made", func(t *testing.T) {
		if err := start(); err != nil {
			t.Fatal(err)
		}
		if err := status(t, migrator(t, open(t, path))).Check(); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("M-32 an older one is brought up to date", func(t *testing.T) {
		m := migrator(t, open(t, path))
		if _, err := m.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := start(); err != nil {
			t.Fatal(err)
		}
		if err := status(t, m).Check(); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("M-32 a newer one is refused, by its versions, and left alone", func(t *testing.T) {
		db := open(t, path)
		before := layout(t, db)
		newer(t, db)
		err := start()
		if !errors.Is(err, schema.ErrNewer) || !regexp.MustCompile(`99999.*\d`).MatchString(err.Error()) {
			t.Fatal(err)
		}
		if !slices.Equal(before, layout(t, db)) {
			t.Fatal("the schema was changed")
		}
	})
}

func TestFourMigrationsAtOnce(t *testing.T) {
	t.Run("M-32 of four at once one applies, and the schema is whole", func(t *testing.T) {
		dir := t.TempDir()
		settings, err := app.Load(app.Sources{Flags: map[string]string{"DATA_DIR": dir}})
		if err != nil {
			t.Fatal(err)
		}
		var (
			mu      sync.Mutex
			applied []int64
			wg      sync.WaitGroup
		)
		for range 4 {
			wg.Go(func() {
				release, err := app.LockData(context.Background(), settings, "migrate up", 0)
				if err != nil {
					return // the lock is another one's, who applies
				}
				defer func() { _ = release() }()
				db, err := app.OpenDatabase(context.Background(), settings)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = db.Close() }()
				m, err := sqlstore.NewMigrator(db)
				if err != nil {
					t.Error(err)
					return
				}
				versions, err := m.Up(context.Background())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				applied = append(applied, versions...)
			})
		}
		wg.Wait()
		s := status(t, migrator(t, open(t, filepath.Join(dir, "core.db"))))
		if s.Check() != nil || int64(len(applied)) != s.Target {
			t.Fatalf("applied %v, %+v", applied, s)
		}
	})
}
