// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
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

// NewWorld opens fresh, empty stores that are gone with the test.
func NewWorld(t *testing.T) *World {
	t.Helper()
	w := &World{Durable: NewSQLite(t), Grants: memstore.NewGrants(10_000), Bearers: memstore.NewBearers(10_000), Clock: &Clock{at: start}}
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
	m, err := sqlstore.NewMigrator(a.DB)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context()); err != nil {
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

// OnSQL gives the durable stores on a database.
func OnSQL(db sqldb.DB) Durable {
	return Durable{
		DB: db, Tokens: sqlstore.Tokens{DB: db}, Access: sqlstore.Access{DB: db}, Console: sqlstore.Console{DB: db}, Accounts: sqlstore.Accounts{DB: db},
		Workspaces: sqlstore.Workspaces{DB: db}, Installation: sqlstore.Installation{DB: db}, Audit: sqlstore.Audit{DB: db},
		Leases: sqlstore.Leases{DB: db}, Prune: sqlstore.Prune{DB: db}, AuditPrune: sqlstore.AuditPrune{DB: db},
	}
}
