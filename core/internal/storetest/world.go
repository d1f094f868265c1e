// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// Clock is a clock that moves only when it is told to. It is safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// Now reads the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// World is what the test of a service stands on: the embedded stores, a clock that
// stands still, and a recorder that writes to the same database.
type World struct {
	Durable
	Grants   *memstore.Grants
	Bearers  *memstore.Bearers
	Clock    *Clock
	Recorder *audit.Recorder
}

// NewWorld opens fresh, empty stores that are gone with the test. They are embedded,
// unless TEST_ENGINE=postgres asks for every world to stand on Postgres.
func NewWorld(t *testing.T) *World {
	t.Helper()
	if os.Getenv("TEST_ENGINE") == string(sqldb.Postgres) {
		return NewWorldOn(t, NewPostgres(t))
	}
	return NewWorldOn(t, NewSQLite(t))
}

// Races runs tests in worlds on each engine: the one writer of SQLite hides what
// Postgres does at once.
func Races(t *testing.T, run func(t *testing.T, world func(t *testing.T) *World)) {
	t.Run("SQLite", func(t *testing.T) {
		run(t, func(t *testing.T) *World { t.Helper(); return NewWorldOn(t, NewSQLite(t)) })
	})
	t.Run("Postgres", func(t *testing.T) {
		run(t, func(t *testing.T) *World { t.Helper(); return NewWorldOn(t, NewPostgres(t)) })
	})
}

// NewWorldOn is NewWorld on a durable store that the test has opened.
func NewWorldOn(t *testing.T, d Durable) *World {
	t.Helper()
	w := &World{Durable: d, Grants: memstore.NewGrants(10_000), Bearers: memstore.NewBearers(10_000), Clock: &Clock{at: start}}
	recorder, err := audit.NewRecorder(w.Audit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.Recorder = recorder
	return w
}

// Recorded gives the events of one name, those included that wait for their batch.
func (w *World) Recorded(t *testing.T, name string) []audit.Event {
	t.Helper()
	if err := w.Recorder.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out []audit.Event
	for _, e := range w.Events(t) {
		if e.Name == name {
			out = append(out, e)
		}
	}
	return out
}

// NewSQLite opens a fresh database whose schema is up to date.
func NewSQLite(t *testing.T) Durable {
	t.Helper()
	a, _ := NewSQLitePair(t)
	return a
}

// NewSQLitePair opens one fresh database twice, as two processes would.
func NewSQLitePair(t *testing.T) (a, b Durable) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "core.db")
	a = openSQLite(t, path)
	if err := migrate(t.Context(), a.DB); err != nil {
		t.Fatal(err)
	}
	return a, openSQLite(t, path)
}

func openSQLite(t *testing.T, path string) Durable {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return OnSQL(db)
}

// NewPostgres opens a fresh database whose schema is up to date, or skips the test
// where there is no Postgres.
func NewPostgres(t *testing.T) Durable {
	t.Helper()
	return openPostgres(t, MigratedPostgres(t))
}

// NewPostgresPair opens one fresh database twice, as two processes would.
func NewPostgresPair(t *testing.T) (a, b Durable) {
	t.Helper()
	address := MigratedPostgres(t)
	return openPostgres(t, address), openPostgres(t, address)
}

// MigratedPostgres gives the address of a fresh database whose schema is up to date. The
// migrations run once per process.
func MigratedPostgres(t *testing.T) (address string) {
	t.Helper()
	return testserver.PostgresLike(t, "core", func(address string) error {
		ctx := context.Background() // other tests stand on it too
		db, err := sqldb.OpenPostgres(ctx, address, sqldb.PostgresOptions{MaxConns: 1})
		if err != nil {
			return err
		}
		return errors.Join(migrate(ctx, db), db.Close())
	})
}

// poolOf is small: a server takes a hundred connections, and packages are tested at
// once.
const poolOf = 8

func openPostgres(t *testing.T, address string) Durable {
	t.Helper()
	// No connection is made that the test does not use.
	db, err := sqldb.OpenPostgres(t.Context(), address+"&pool_min_conns=0", sqldb.PostgresOptions{MaxConns: poolOf})
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

// OnSQL gives the durable stores on a database.
func OnSQL(db sqldb.DB) Durable {
	return Durable{
		DB: db, Tokens: sqlstore.Tokens{DB: db}, Access: sqlstore.Access{DB: db}, Console: sqlstore.Console{DB: db}, Accounts: sqlstore.Accounts{DB: db},
		Workspaces: sqlstore.Workspaces{DB: db}, Members: sqlstore.Members{DB: db}, Apps: sqlstore.Apps{DB: db}, Installation: sqlstore.Installation{DB: db}, Audit: sqlstore.Audit(db), AuditTrail: sqlstore.Trail(db),
		Leases: sqlstore.Leases(db), Prune: sqlstore.Prune{DB: db}, Runs: sqlstore.Runs{DB: db}, AuditPrune: sqlstore.AuditPrune{DB: db},
	}
}
