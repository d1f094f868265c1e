// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

func TestStoresOnSQLite(t *testing.T) {
	storetest.DurableStores(t, func(t *testing.T) (a, b storetest.Durable) {
		path := filepath.Join(t.TempDir(), "core.db")
		a = durable(openSQLite(t, path))
		m, err := sqlstore.NewMigrator(a.DB)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		return a, durable(openSQLite(t, path))
	})
}

// openSQLite opens a file until the test ends.
func openSQLite(t *testing.T, path string) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func durable(db sqldb.DB) storetest.Durable {
	return storetest.Durable{
		DB: db, Tokens: sqlstore.Tokens{DB: db}, Console: sqlstore.Console{DB: db}, Accounts: sqlstore.Accounts{DB: db},
		Workspaces: sqlstore.Workspaces{DB: db}, Installation: sqlstore.Installation{DB: db}, Audit: sqlstore.Audit{DB: db},
	}
}
