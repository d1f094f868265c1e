// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Durable is one handle on a durable store. DB is the database beneath: suites make
// the rows with it that no interface makes, and look at what no interface shows, in
// the SQL that every engine takes.
type Durable struct {
	DB           sqldb.DB
	Tokens       token.Store
	Access       access.Store
	Console      console.Store
	Accounts     account.Store
	Workspaces   workspace.Store
	Members      workspace.MemberStore
	Apps         apps.RegistryStore
	Installation installation.Store
	Audit        audit.Sink
	AuditTrail   audit.Trail
	Leases       jobs.Leases
	Prune        prune.Store
	Runs         run.Runs
	AuditPrune   prune.AuditStore
}

// OpenDurable gives two handles, as two processes would have them, on one fresh
// database whose schema is up to date.
type OpenDurable func(t *testing.T) (a, b Durable)

// DurableStores runs every suite of a durable store.
func DurableStores(t *testing.T, open OpenDurable) {
	for _, suite := range []struct {
		of  string
		run func(*testing.T, OpenDurable)
	}{
		{"tokens", Tokens},
		{"access", Access},
		{"console sessions", Console},
		{"accounts", Accounts},
		{"workspaces", Workspaces},
		{"members", Members},
		{"apps", Apps},
		{"installation", Installation},
		{"audit", Audit},
		{"audit trail", AuditTrail},
		{"leases", Leases},
		{"prune", Prune},
		{"runs", Runs},
	} {
		t.Run(suite.of, func(t *testing.T) {
			t.Parallel() // a server of Postgres takes its time for each database
			suite.run(t, open)
		})
	}
}

// AddAccount makes an account, for suites and for tests of services alike.
func (d Durable) AddAccount(t *testing.T, a account.Account) account.Account {
	t.Helper()
	d.exec(t, `INSERT INTO accounts
		(id, email, name, password_hash, status, deployment_admin, interface_language, timezone, last_login_at, last_login_ip, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		a.ID, a.Email, a.Name, absent(a.PasswordHash), string(a.Status), a.DeploymentAdmin, absent(a.InterfaceLanguage), absent(a.Timezone),
		a.LastLoginAt, absent(a.LastLoginIP), a.CreatedAt, a.UpdatedAt)
	return a
}

// AddActive makes an account of no consequence.
func (d Durable) AddActive(t *testing.T, email string) account.Account {
	t.Helper()
	return d.AddAccount(t, account.Account{ID: canon.NewID(), Email: email, Name: email, Status: account.Active, CreatedAt: start, UpdatedAt: start})
}

// SetStatus changes an account's status.
func (d Durable) SetStatus(t *testing.T, id string, s account.Status) {
	t.Helper()
	d.exec(t, `UPDATE accounts SET status = $1 WHERE id = $2`, string(s), id)
}

// RemoveAccount deletes an account.
func (d Durable) RemoveAccount(t *testing.T, id string) {
	t.Helper()
	d.exec(t, `DELETE FROM accounts WHERE id = $1`, id)
}

// AddWorkspace makes a workspace.
func (d Durable) AddWorkspace(t *testing.T, w workspace.Workspace) workspace.Workspace {
	t.Helper()
	d.exec(t, `INSERT INTO workspaces (id, name, status, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)`,
		w.ID, w.Name, string(w.Status), w.CreatedAt, w.UpdatedAt)
	return w
}

// AddMember makes an account a member of a workspace.
func (d Durable) AddMember(t *testing.T, workspaceID, accountID string, role workspace.Role, current bool) {
	t.Helper()
	d.exec(t, `INSERT INTO memberships (id, workspace_id, account_id, role, current, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)`,
		canon.NewID(), workspaceID, accountID, string(role), current, start)
}

// Events gives what is in the audit table, in the order of ids.
func (d Durable) Events(t *testing.T) []audit.Event {
	t.Helper()
	rows, err := d.DB.Query(t.Context(), `SELECT id, at, event, actor_type, actor_id, subject_key, workspace_id, token_id, request_id, ip, user_agent, fields
		FROM audit_events ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var events []audit.Event
	for rows.Next() {
		var (
			e      audit.Event
			fields string
			maybe  [6]*string
		)
		if err := rows.Scan(&e.ID, &e.At, &e.Name, &e.Actor.Type, &maybe[0], &maybe[1], &maybe[2], &maybe[3], &e.Request.ID, &maybe[4], &maybe[5], &fields); err != nil {
			t.Fatal(err)
		}
		for i, to := range []*string{&e.Actor.ID, &e.SubjectKey, &e.WorkspaceID, &e.TokenID, &e.Request.IP, &e.Request.UserAgent} {
			if maybe[i] != nil {
				*to = *maybe[i]
			}
		}
		e.Fields = []byte(fields)
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return events
}

// Count gives the number that a statement counts.
func (d Durable) Count(t *testing.T, query string, args ...any) int {
	t.Helper()
	var n int
	if err := d.DB.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// eventNames gives the names of all events in order.
func (d Durable) eventNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, e := range d.Events(t) {
		names = append(names, e.Name)
	}
	return names
}

func (d Durable) epoch(t *testing.T, keys ...string) int64 {
	t.Helper()
	sum, _, err := d.Tokens.Epochs(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func (d Durable) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := d.DB.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// epochKey has the length of one.
const epochKey = "0000000000000000000000000000000000000000000000000000000000000001"

func absent(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func digestOf(s string) secret.Digest { return secret.DigestOf(s) }

// something is an event of no consequence.
type something struct {
	Text string `json:"text"`
}

func (something) EventName() string { return "test.something" }

// event makes one. Ids made in one test are in the order of their making.
func event(text string) audit.Event {
	ctx := audit.WithRequest(context.Background(), audit.Request{ID: "request", IP: "192.0.2.1", UserAgent: "agent"})
	return audit.New(ctx, start, audit.Account("actor"), something{text}).About("subject").Token("token").Workspace("workspace")
}

// same compares two values of any kind.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// after gives a time at microseconds after the suite's start.
func after(d time.Duration) time.Time { return start.Add(d) }

func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
