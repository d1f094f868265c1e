// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/sqltest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

func TestStoresOnSQLite(t *testing.T) { storetest.DurableStores(t, storetest.NewSQLitePair) }

func TestStoresOnPostgres(t *testing.T) { storetest.DurableStores(t, storetest.NewPostgresPair) }

func TestOneSQLTextServesEveryEngine(t *testing.T) { sqltest.Portable(t, 25, ".") }

// A sealed column that nobody registers would keep an old sealing key alive for ever.
func TestEverySealedColumnIsRegistered(t *testing.T) {
	db := storetest.NewSQLite(t).DB
	rows, err := db.Query(t.Context(), `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var found []string
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		if column == "canary" || strings.HasSuffix(column, "_sealed") {
			found = append(found, table+"."+column)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if registered := slices.Sorted(slices.Values(sqlstore.SealedColumns())); !slices.Equal(found, registered) {
		t.Fatalf("the schema has %v, registered are %v", found, registered)
	}
}
