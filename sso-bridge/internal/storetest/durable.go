// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
)

// Durable is one handle on a durable store. DB is the database beneath, for what no
// interface makes or shows.
type Durable struct {
	DB           sqldb.DB
	Connections  connection.Store
	Attempts     login.Attempts
	SPKeys       spkeys.Store
	Installation installation.Store
	Audit        audit.Sink
	Leases       jobs.Leases
	IdPSource    idpsource.Store
}

// OpenDurable gives two handles, as two processes would have them, on one fresh
// database whose schema is up to date.
type OpenDurable func(t *testing.T) (a, b Durable)

// Start is the time at which tests begin.
var Start = time.Date(2026, 11, 27, 12, 0, 0, 123456000, time.UTC)

// OnSQL gives the durable stores on a database.
func OnSQL(db sqldb.DB) Durable {
	return Durable{
		DB: db, Connections: sqlstore.NewConnections(db), Attempts: sqlstore.Attempts{DB: db}, SPKeys: sqlstore.SPKeys{DB: db},
		Installation: sqlstore.Installation{DB: db}, Audit: sqlstore.Audit(db), Leases: sqlstore.Leases(db), IdPSource: sqlstore.IdPSource{DB: db},
	}
}

// DurableStores runs every suite of a durable store.
func DurableStores(t *testing.T, open OpenDurable) {
	for _, suite := range []struct {
		of  string
		run func(*testing.T, OpenDurable)
	}{
		{"installation", Installation},
		{"connections", Connections},
		{"revisions", Revisions},
		{"domains and issuers", DomainsAndIssuers},
		{"outbox", Outbox},
		{"attempts", Attempts},
		{"service provider keys", SPKeys},
		{"metadata", IdPSource},
	} {
		t.Run(suite.of, func(t *testing.T) {
			t.Parallel() // a server of Postgres takes its time for each database
			suite.run(t, open)
		})
	}
}

// NewSQLite opens a fresh database whose schema is up to date.
func NewSQLite(t *testing.T) Durable {
	t.Helper()
	return openSQLite(t, freshSQLite(t))
}

// NewSQLitePair opens one fresh database twice, as two processes would.
func NewSQLitePair(t *testing.T) (a, b Durable) {
	t.Helper()
	path := freshSQLite(t)
	return openSQLite(t, path), openSQLite(t, path)
}

func freshSQLite(t *testing.T) (path string) {
	t.Helper()
	file, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "bridge.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// migrated is the file of a database whose schema is up to date. It is made once: the
// migrations take longer than most tests that stand on them.
var migrated = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "bridge")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, ctx := filepath.Join(dir, "bridge.db"), context.Background() // other tests stand on it too
	db, err := sqldb.OpenSQLite(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(migrate(ctx, db), db.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path) // closing has brought the log into it
})

func openSQLite(t *testing.T, path string) Durable {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return OnSQL(db)
}

// NewPostgresPair opens one fresh database twice, as two processes would, or skips the
// test where there is no Postgres.
func NewPostgresPair(t *testing.T) (a, b Durable) {
	t.Helper()
	address := testserver.PostgresLike(t, "bridge", func(address string) error {
		ctx := context.Background() // other tests stand on it too
		db, err := sqldb.OpenPostgres(ctx, address, sqldb.PostgresOptions{MaxConns: 1})
		if err != nil {
			return err
		}
		return errors.Join(migrate(ctx, db), db.Close())
	})
	return openPostgres(t, address), openPostgres(t, address)
}

func openPostgres(t *testing.T, address string) Durable {
	t.Helper()
	// No connection is made that the test does not use.
	db, err := sqldb.OpenPostgres(t.Context(), address+"&pool_min_conns=0", sqldb.PostgresOptions{MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return OnSQL(db)
}

func migrate(ctx context.Context, db sqldb.DB) error {
	m, err := sqlstore.NewMigrator(db)
	if err != nil {
		return err
	}
	_, err = m.Up(ctx)
	return err
}

// Events gives the names of what is in the audit table, in the order of ids, with what
// their fields say.
func (d Durable) Events(t *testing.T) (names []string, fields map[string]string) {
	t.Helper()
	rows, err := d.DB.Query(t.Context(), `SELECT event, fields FROM sso_audit_events ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	fields = map[string]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			t.Fatal(err)
		}
		names, fields[name] = append(names, name), text
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names, fields
}

// AtOnce calls do so many times at once and gives the answers in order.
func AtOnce[T any](n int, do func(i int) T) []T {
	out := make([]T, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { out[i] = do(i) })
	}
	wg.Wait()
	return out
}

// Same compares two values of any kind.
func Same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// After gives a time at microseconds after the start of tests.
func After(d time.Duration) time.Time { return Start.Add(d) }

func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// something is an event of no consequence.
type something struct {
	Text string `json:"text"`
}

func (something) EventName() string { return "test.something" }

func event(text string) audit.Event {
	return audit.New(context.Background(), Start, audit.Account("actor"), something{text})
}
