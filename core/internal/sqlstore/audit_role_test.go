// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/migrations"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// roleRun runs statements one after the other on one connection.
func roleRun(address string, statements ...string) error {
	db, err := sqldb.OpenPostgres(context.Background(), address, sqldb.PostgresOptions{MaxConns: 1})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, sql := range statements {
		if _, err := db.Exec(context.Background(), sql); err != nil {
			return err
		}
	}
	return nil
}

// roleSchema is what a migration run under the owner leaves.
func roleSchema(t *testing.T) string {
	t.Helper()
	files, err := fs.Glob(migrations.Core, "core/postgres/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var b strings.Builder
	for _, file := range files {
		text, err := fs.ReadFile(migrations.Core, file)
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		b.WriteString(up)
	}
	b.WriteString("CREATE TABLE goose_db_version (id integer PRIMARY KEY, version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp NOT NULL);\n")
	return b.String()
}

// The two blocks of the operator's document are run as they stand, but for the names:
// roles belong to the whole server.
func TestASecondRoleKeepsTheAuditTrail(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/operating/audit-role.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) != 3 {
		t.Fatalf("%d blocks of SQL in the document", len(blocks))
	}
	server := testserver.Postgres(t)
	name := fmt.Sprintf("role_%d_%d", os.Getpid(), time.Now().UnixNano())
	owner, serving, auditor := name+"_owner", name+"_core", name+"_auditor"
	named := strings.NewReplacer("dify_sso_owner", owner, "dify_sso_core", serving, "dify_sso_auditor", auditor, "dify_sso", name).Replace
	database, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	database.Path = "/" + name
	t.Cleanup(func() {
		if err := roleRun(server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)", "DROP ROLE IF EXISTS "+owner, "DROP ROLE IF EXISTS "+serving, "DROP ROLE IF EXISTS "+auditor); err != nil {
			t.Error(err)
		}
	})
	as := func(role, sql string) error {
		return roleRun(database.String(), "SET SESSION AUTHORIZATION "+role, sql)
	}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	before, inside, ok := strings.Cut(named(blocks[0][1]), "\\connect "+name+"\n")
	if !ok {
		t.Fatal("the first block connects to no database")
	}
	must("the first block", roleRun(server, strings.SplitAfter(strings.TrimSpace(before), ";\n")...))
	must("the first block", roleRun(database.String(), inside))
	must("migrate", as(owner, roleSchema(t)))
	must("the second block", as(owner, named(blocks[1][1])))
	must("the third block", roleRun(database.String(), named(blocks[2][1])))
	must("a later migration", as(owner, "CREATE TABLE later (id text PRIMARY KEY);"))

	const row = `INSERT INTO audit_events (id, at, event, actor_type, request_id, fields) VALUES
		('00000000-0000-7000-8000-00000000000%d', '2026-01-01T00:00:00Z', 'test.event', 'system', 'r', '{}')`
	t.Run("LOG-04 the serving role appends and reads audit events and writes everything else", func(t *testing.T) {
		for _, sql := range []string{
			fmt.Sprintf(row, 1), "SELECT id FROM audit_events", "SELECT version_id FROM goose_db_version",
			"INSERT INTO leases (name, owner, until_at, fence) VALUES ('x', 'o', '2026-01-01T00:00:00Z', 1)", "UPDATE leases SET fence = 2", "DELETE FROM leases",
			"DELETE FROM oauth_access_tokens WHERE id IN (SELECT id FROM oauth_access_tokens LIMIT 1 FOR UPDATE SKIP LOCKED)",
			"UPDATE console_sessions SET ip = ''", "DELETE FROM grant_fences", "INSERT INTO later (id) VALUES ('x')", "DELETE FROM later",
		} {
			must(sql, as(serving, sql))
		}
	})
	t.Run("LOG-04 under the serving role no way changes or deletes one", func(t *testing.T) {
		for _, sql := range []string{
			"UPDATE audit_events SET fields = '[]'", "UPDATE audit_events SET fields = '[]' WHERE false", "DELETE FROM audit_events", "TRUNCATE audit_events",
			"SELECT id FROM audit_events FOR UPDATE", fmt.Sprintf(row, 1) + " ON CONFLICT (id) DO UPDATE SET fields = '[]'",
			"ALTER TABLE audit_events DROP COLUMN fields", "ALTER TABLE audit_events DISABLE TRIGGER ALL", "ALTER TABLE audit_events OWNER TO " + serving,
			"DROP TABLE audit_events", "CREATE RULE r AS ON INSERT TO audit_events DO INSTEAD NOTHING",
			"CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", "SET ROLE " + owner, "ALTER ROLE " + serving + " SUPERUSER",
			"UPDATE goose_db_version SET version_id = 0", "DROP SCHEMA public CASCADE", "DROP DATABASE " + name,
		} {
			err := as(serving, sql)
			if err == nil || !strings.Contains(err.Error(), "permission denied") && !strings.Contains(err.Error(), "must be") {
				t.Errorf("%s: %v", sql, err)
			}
		}
		// A grant by who has nothing to give warns and gives nothing.
		_ = as(serving, "GRANT ALL ON audit_events TO "+serving)
		if err := as(serving, "DELETE FROM audit_events"); err == nil {
			t.Error("it gave itself the right")
		}
		must("one row is left as it was", as(serving, "DO $$ BEGIN IF (SELECT count(*) FROM audit_events WHERE fields = '{}') <> 1 THEN RAISE 'changed'; END IF; END $$"))
	})
	t.Run("LOG-04 the owner deletes old events, as core audit prune does", func(t *testing.T) {
		must("delete", as(owner, `DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events WHERE at < '2026-06-01T00:00:00Z' ORDER BY at, id LIMIT 500 FOR UPDATE SKIP LOCKED)`))
		must("none is left", as(owner, "DO $$ BEGIN IF (SELECT count(*) FROM audit_events) <> 0 THEN RAISE 'left'; END IF; END $$"))
	})
	t.Run("LOG-04 an auditor reads as core audit list and export do, and nothing else", func(t *testing.T) {
		db, err := sqldb.OpenPostgres(t.Context(), database.String(), sqldb.PostgresOptions{MaxConns: 1})
		must("open", err)
		defer func() { _ = db.Close() }()
		must("append", as(serving, fmt.Sprintf(row, 2)))
		if _, err := db.Exec(t.Context(), "SET SESSION AUTHORIZATION "+auditor); err != nil {
			t.Fatal(err)
		}
		trail := sqlstore.Trail(db)
		newest, err1 := trail.Newest(t.Context(), audit.Filter{}, 10)
		next, err2 := trail.Next(t.Context(), audit.Filter{AccountID: "x", SubjectKey: "x"}, audit.Position{}, 10)
		_, err3 := trail.Find(t.Context(), newest[0].ID)
		_, err4 := trail.AccountID(t.Context(), "ada@example.com")
		if !errors.Is(err4, account.ErrNotFound) || errors.Join(err1, err2, err3) != nil || len(newest) != 1 || len(next) != 0 {
			t.Errorf("%v, %v, %v", newest, next, errors.Join(err1, err2, err3, err4))
		}
		must("the schema's version", as(auditor, "SELECT version_id FROM goose_db_version"))
		for _, sql := range []string{fmt.Sprintf(row, 3), "DELETE FROM audit_events", "SELECT password_hash FROM accounts", "SELECT id FROM console_sessions", "SELECT id FROM oauth_access_tokens"} {
			if err := as(auditor, sql); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
}
