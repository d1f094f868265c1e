// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// pgFleet is the environment of a process of a fleet on a fresh, empty database; its
// data directory must never be made.
type pgFleet struct {
	address string
	dir     string
	environ []string
}

func newPgFleet(t *testing.T) *pgFleet {
	t.Helper()
	f := &pgFleet{address: testserver.Postgres(t), dir: filepath.Join(t.TempDir(), "none")}
	sealing := filepath.Join(t.TempDir(), "sealing.key")
	if err := os.WriteFile(sealing, seal.NewKeyFile("k1"), 0o600); err != nil {
		t.Fatal(err)
	}
	redis, prefix := testserver.Redis(t)
	f.environ = []string{
		"DATABASE_URL=" + f.address, "DATABASE_MAX_CONNS=4", "REDIS_URL=" + redis, "REDIS_KEY_PREFIX=" + prefix,
		"SECRET_KEY=0123456789abcdef0123456789abcdef", "SEALING_KEY_FILE=" + sealing, "DATA_DIR=" + f.dir,
	}
	return f
}

// run runs a command of the fleet; more comes after its environment and wins.
func (f *pgFleet) run(more []string, stdin string, args ...string) result {
	var out, errs bytes.Buffer
	code := cli.Run(args, cli.Env{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Environ: append(slices.Clone(f.environ), more...), Version: "1.2.3",
	})
	return result{code: code, out: out.String(), err: errs.String()}
}

func (f *pgFleet) open(t *testing.T) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenPostgres(t.Context(), f.address, sqldb.PostgresOptions{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (f *pgFleet) tables(t *testing.T) (n int) {
	t.Helper()
	if err := f.open(t).QueryRow(t.Context(), `SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

var pgServe = []string{"serve", "--listen", "127.0.0.1:0", "--inner-listen", "127.0.0.1:0"}

// refused checks that no server starts on the schema, and which command is named.
func (f *pgFleet) refused(t *testing.T, want string) {
	t.Helper()
	for _, args := range [][]string{pgServe, {"admin", "setup-code"}} {
		if got := f.run(nil, "", args...); got.code != 1 || !strings.Contains(got.err, want) || got.out != "" {
			t.Errorf("%v: exit %d: %s%s", args, got.code, got.out, got.err)
		}
	}
}

func TestMigrationsOnPostgres(t *testing.T) {
	f := newPgFleet(t)
	t.Run("M-32 Postgres: an absent schema is refused and not made", func(t *testing.T) {
		f.refused(t, `"core migrate up"`)
		if got := f.run(nil, "", "migrate", "status"); got.code != 1 || !strings.HasPrefix(got.out, "database 0,") || !strings.Contains(got.err, "core migrate up") {
			t.Errorf("%+v", got)
		}
		if n := f.tables(t); n != 0 {
			t.Errorf("%d tables were made", n)
		}
	})
	t.Run("M-32 Postgres: of four core migrate up at once one applies", func(t *testing.T) {
		var wg sync.WaitGroup
		results := make([]result, 4)
		for i := range results {
			wg.Go(func() {
				results[i] = f.run([]string{"SECRET_KEY=", "SEALING_KEY_FILE="}, "", "migrate", "up", "-o", "json")
			})
		}
		wg.Wait()
		applied := 0
		for _, got := range results {
			if got.code != 0 {
				t.Errorf("%+v", got)
			}
			if got.out != "{\"applied\":[]}\n" {
				applied++
			}
		}
		if applied != 1 {
			t.Errorf("%d applied: %+v", applied, results)
		}
		if got := f.run(nil, "", "migrate", "status", "-o", "json"); got.code != 0 || !strings.Contains(got.out, `"pending":0`) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("M-32 Postgres: a schema that fits is served, by several at once, without a data directory", func(t *testing.T) {
		const others = 2
		for i := range others {
			var errs apitest.Buffer
			public, finished := serving(t, cli.Env{Stdout: &errs, Stderr: &errs, Environ: f.environ, Version: "1"})
			defer func() {
				if code := finished(); code != 0 {
					t.Errorf("server %d: exit %d: %s", i, code, errs.String())
				}
				if strings.Contains(errs.String(), f.address) {
					t.Error("the log has the address")
				}
			}()
			res, err := http.Get("http://" + public + "/openapi/v1/_ready")
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Fatalf("server %d is not ready: %d", i, res.StatusCode)
			}
		}
		if got := f.run(nil, apitest.OwnerPassword, owner()...); got.code != 0 {
			t.Errorf("%+v", got)
		}
		if got := f.run(nil, apitest.OwnerPassword, owner()...); got.code != 1 || !strings.Contains(got.err, "already set up") {
			t.Errorf("%+v", got)
		}
		if _, err := os.Stat(f.dir); !os.IsNotExist(err) {
			t.Errorf("a data directory was made: %v", err)
		}
	})
	t.Run("M-32 Postgres: an older schema is refused and left alone", func(t *testing.T) {
		if got := f.run(nil, "", "migrate", "down"); got.code != 0 {
			t.Fatalf("%+v", got)
		}
		before := f.tables(t)
		f.refused(t, `"core migrate up"`)
		if n := f.tables(t); n != before {
			t.Errorf("%d tables, then %d", before, n)
		}
		if got := f.run(nil, "", "migrate", "up"); got.code != 0 || got.out != "1 applied.\n" {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("M-32 Postgres: a newer schema is refused by its versions and left alone", func(t *testing.T) {
		if _, err := f.open(t).Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`); err != nil {
			t.Fatal(err)
		}
		f.refused(t, "newer than this program")
		f.refused(t, "99999")
		if got := f.run(nil, "", "migrate", "status"); got.code != 1 || !strings.HasPrefix(got.out, "database 99999,") {
			t.Errorf("%+v", got)
		}
	})
}

func TestTheOwnersAddressMigrates(t *testing.T) {
	f := newPgFleet(t)
	db := f.open(t)
	role := "core_role_" + strings.ToLower(fmt.Sprint(os.Getpid()))
	run := func(statements ...string) {
		t.Helper()
		for _, sql := range statements {
			if _, err := db.Exec(context.Background(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	run("CREATE ROLE "+role+" LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	t.Cleanup(func() { run("DROP OWNED BY "+role, "DROP ROLE "+role) })
	serving := "DATABASE_URL=" + strings.Replace(f.address, "postgres@", role+"@", 1)
	owner := "MIGRATE_DATABASE_URL=" + f.address

	if got := f.run([]string{serving}, "", "migrate", "up"); got.code != 1 || !strings.Contains(got.err, "permission denied") {
		t.Errorf("the role of the servers migrates: %+v", got)
	}
	if got := f.run([]string{serving}, "", "migrate", "status"); got.code != 1 || !strings.HasPrefix(got.out, "database 0,") {
		t.Errorf("%+v", got)
	}
	if got := f.run([]string{serving, owner}, "", "migrate", "up"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+role, "REVOKE UPDATE, DELETE ON audit_events FROM "+role,
		"REVOKE INSERT, UPDATE, DELETE ON goose_db_version FROM "+role)
	t.Run("M-32 LOG-04 the role of the servers sees that the schema fits, and serves", func(t *testing.T) {
		if got := f.run([]string{serving}, "", "migrate", "status"); got.code != 0 {
			t.Errorf("%+v", got)
		}
		if got := f.run([]string{serving}, "", "admin", "setup-code"); got.code != 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("LOG-04 audit events are pruned by the owner's address alone", func(t *testing.T) {
		run(`INSERT INTO audit_events (id, at, event, actor_type, request_id, fields) VALUES ('00000000-0000-7000-8000-000000000001', '2000-01-01', 'x', 'system', 'r', '{}')`)
		prune := []string{"audit", "prune", "--older-than", "1000"}
		if got := f.run([]string{serving}, "", prune...); got.code != 1 || !strings.Contains(got.err, "permission denied") {
			t.Errorf("%+v", got)
		}
		if got := f.run([]string{serving, owner}, "", prune...); got.code != 0 || !strings.HasPrefix(got.out, "1 audit events") {
			t.Errorf("%+v", got)
		}
	})
}

func TestADatabaseThatDoesNotAnswer(t *testing.T) {
	t.Run("OUT-02 the start fails and says which setting, without the password", func(t *testing.T) {
		f := newPgFleet(t)
		got := f.run([]string{"DATABASE_URL=postgres://u:canary7f3a@127.0.0.1:1/x"}, "", pgServe...)
		if got.code != 1 || !strings.Contains(got.err, "DATABASE_URL: ") || strings.Contains(got.err, "canary7f3a") {
			t.Fatalf("%+v", got)
		}
	})
}
