// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// auAt runs a command at a time.
func auAt(t *testing.T, dir string, now time.Time, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Run(args, cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Environ: []string{"DATA_DIR=" + dir}, Version: "1.2.3",
		Options: app.Options{Now: func() time.Time { return now }},
	})
	return result{code: code, out: out.String(), err: errs.String()}
}

// auOpen opens the database of a directory as another process would.
func auOpen(t *testing.T, dir string) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(dir, "core.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// auEvents puts events of some ages in days into the table, beside those that are
// there, and gives what counts all.
func auEvents(t *testing.T, db sqldb.DB, now time.Time, ages ...int) (count func() int) {
	t.Helper()
	for i, age := range ages {
		at := now.Add(-time.Duration(age) * 24 * time.Hour)
		if _, err := db.Exec(t.Context(), `INSERT INTO audit_events (id, at, event, actor_type, request_id, fields) VALUES ($1, $2, $3, 'system', 'r', '{}')`,
			canon.NewID(), at, fmt.Sprint("test.", i)); err != nil {
			t.Fatal(err)
		}
	}
	return func() (n int) {
		t.Helper()
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM audit_events`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

func TestAuditPrune(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if got := auAt(t, dir, now, "audit", "prune", "--older-than", "1"); got.code != 1 || !strings.Contains(got.err, "core migrate up") {
		t.Fatalf("on a database without a schema: %+v", got)
	}
	if got := auAt(t, dir, now, "migrate", "up"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	db := auOpen(t, dir)
	count := auEvents(t, db, now, 0, 1, 29, 30, 31, 400)

	t.Run("LOG-04 by default every event is kept, and the command says so", func(t *testing.T) {
		got := auAt(t, dir, now, "audit", "prune")
		if got.code != 0 || !strings.Contains(got.out, "Every audit event is kept") || count() != 6 {
			t.Fatalf("%+v, %d left", got, count())
		}
		if got := auAt(t, dir, now, "audit", "prune", "-o", "json"); got.out != `{"before":null,"deleted":0,"older_than_days":0}`+"\n" {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("wrong ages are refused", func(t *testing.T) {
		for _, age := range []string{"-1", "36501", "x"} {
			if got := auAt(t, dir, now, "audit", "prune", "--older-than", age); got.code != 2 || count() != 6 {
				t.Errorf("%s: %+v, %d left", age, got, count())
			}
		}
	})
	t.Run("LOG-04 events beyond the age go and no other, those at its edge stay", func(t *testing.T) {
		got := auAt(t, dir, now, "audit", "prune", "--audit-retention-days", "30")
		if got.code != 0 || got.out != "2 audit events from before 2026-01-30T12:00:00Z deleted.\n" || count() != 4 {
			t.Fatalf("%+v, %d left", got, count())
		}
		got = auAt(t, dir, now, "audit", "prune", "--audit-retention-days", "30", "--older-than", "1", "-o", "json")
		var answer struct {
			Deleted int       `json:"deleted"`
			Days    int       `json:"older_than_days"`
			Before  time.Time `json:"before"`
		}
		if err := json.Unmarshal([]byte(got.out), &answer); err != nil || answer.Deleted != 2 || answer.Days != 1 || !answer.Before.Equal(now.Add(-24*time.Hour)) || count() != 2 {
			t.Fatalf("%v: %+v, %d left", err, got, count())
		}
	})
	t.Run("of two at once one is refused", func(t *testing.T) {
		leases := sqlstore.Leases(db)
		if _, ok, err := leases.Take(t.Context(), "prune.audit", "another", time.Now(), time.Minute); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if got := auAt(t, dir, now, "audit", "prune", "--older-than", "1"); got.code != 1 || !strings.Contains(got.err, "another core audit prune") {
			t.Fatalf("%+v", got)
		}
		if err := leases.Release(t.Context(), "prune.audit", "another", time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := auAt(t, dir, now, "audit", "prune", "--older-than", "1"); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestAuditPruneBesideAServer(t *testing.T) {
	t.Run("LOG-04 a running server goes on appending and loses nothing young", func(t *testing.T) {
		dir := t.TempDir()
		s := apitest.Start(t, apitest.In(dir))
		db := auOpen(t, dir)
		ages := make([]int, 1200) // more than one batch
		for i := range ages {
			ages[i] = 100
		}
		count := auEvents(t, db, time.Now(), ages...)
		young := count() - len(ages)
		if young == 0 {
			t.Fatal("setting up left no event")
		}
		got := auAt(t, dir, time.Now(), "audit", "prune", "--older-than", "99")
		if got.code != 0 || !strings.HasPrefix(got.out, "1200 audit events") || count() != young {
			t.Fatalf("%+v, %d left of %d", got, count(), young)
		}
		s.SignedIn(t)
		if n := count(); n <= young {
			t.Errorf("%d events after a sign-in", n)
		}
	})
}
