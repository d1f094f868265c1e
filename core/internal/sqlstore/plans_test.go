// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// wide says of a step of SQLite's plan that it reads as many rows as the installation
// has: a whole table or index, or the part of one that every row is in.
var wide = regexp.MustCompile(`^SCAN (\w+)|INDEX \w+ \(subject_issuer=\?\)$`)

// small tables have a row, or some, for the whole installation. u are the values that a
// statement brings along, changed the rows that it has found, over those that it has chosen
// for its batch, whose choosing is a step of the plan too.
var small = []string{"installation", "leases", "u", "changed", "over"}

// rare statements belong to an operator's act that nobody waits for in a row.
var rare = []string{
	`SELECT count(*) FROM accounts WHERE deployment_admin = $1 AND status = 'active' AND id <> $2`, // is it the last one that is banned?
	// A list of accounts, all or of a status: it counts what it lists.
	`SELECT count(*) FROM accounts WHERE ($1 = '' OR status = $1)`,
	`SELECT id, email, name, password_hash, status, deployment_admin, interface_language, timezone,
	last_login_at, last_login_ip, created_at, updated_at FROM accounts WHERE ($1 = '' OR status = $1) ORDER BY id DESC LIMIT $2 OFFSET $3`,
	`SELECT id FROM workspaces WHERE (name = $1 OR $1 = '') AND status = 'normal' ORDER BY id LIMIT 2`, // which one a file of apps means
}

// rareEnds are what rare statements end with: those that list the apps of all workspaces.
var rareEnds = []string{
	` FROM apps p JOIN workspaces w ON w.id = p.workspace_id LEFT JOIN accounts c ON c.id = p.created_by`,
	` FROM apps p JOIN workspaces w ON w.id = p.workspace_id LEFT JOIN accounts c ON c.id = p.created_by ORDER BY p.updated_at DESC, p.id LIMIT $1 OFFSET $2`,
}

// listed is the index of the apps that people without an account may run: whoever reads
// all of it lists them.
const listed = "USING INDEX idx_apps_external"

func isRare(sql string) bool {
	return slices.Contains(rare, sql) || slices.ContainsFunc(rareEnds, func(end string) bool { return strings.HasSuffix(sql, end) })
}

// No statement of the stores may cost more for everybody because there are many
// others. Postgres has statistics and decides for itself; what SQLite finds an index
// for, it finds one for too.
func TestNoStatementReadsAWholeTable(t *testing.T) {
	statements := &recorder{seen: map[string]bool{}}
	t.Run("what the stores send", func(t *testing.T) {
		storetest.DurableStores(t, func(t *testing.T) (a, b storetest.Durable) {
			a, b = storetest.NewSQLitePair(t)
			return quiet(a.DB, statements), quiet(b.DB, statements)
		})
	})
	if len(statements.seen) < 40 {
		t.Fatalf("%d statements were sent", len(statements.seen))
	}
	db := storetest.NewSQLite(t).DB
	for sql := range statements.seen {
		if isRare(sql) {
			continue
		}
		for _, step := range plan(t, db, sql) {
			m := wide.FindStringSubmatch(step)
			if m != nil && !strings.Contains(step, "CONSTANT ROW") && !strings.Contains(step, listed) && !slices.Contains(small, m[1]) {
				t.Errorf("%s\n%s", step, sql)
			}
		}
	}
}

// quiet records what the stores send and not what the suites do beside them.
func quiet(db sqldb.DB, to *recorder) storetest.Durable {
	d := storetest.OnSQL(recording{db, to})
	d.DB = db
	return d
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// plan gives the steps of SQLite's plan for a statement.
func plan(t *testing.T, db sqldb.DB, sql string) (steps []string) {
	t.Helper()
	most := 0
	for _, m := range placeholder.FindAllStringSubmatch(sql, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	rows, err := db.Query(t.Context(), "EXPLAIN QUERY PLAN "+sql, make([]any, most)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, strings.TrimSpace(step))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
