// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"fmt"
	"io/fs"

	"github.com/dify-sso/dify-sso/migrations"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/sqllease"
)

// The tables whose statements are of pkg. The bridge may share a database with core,
// never a table.
const (
	auditTable    = "sso_audit_events"
	leasesTable   = "sso_leases"
	versionsTable = "sso_goose_db_version"
)

// Audit is the audit stream of the bridge.
func Audit(db sqldb.DB) sqlaudit.Table { return sqlaudit.Table{DB: db, Name: auditTable} }

// Leases are those of the bridge's background jobs.
func Leases(db sqldb.DB) sqllease.Leases { return sqllease.Leases{DB: db, Table: leasesTable} }

// NewMigrator prepares the bridge's migrations for a database.
func NewMigrator(db sqldb.DB) (*schema.Migrator, error) {
	files, err := fs.Sub(migrations.Bridge, "bridge")
	if err != nil {
		return nil, fmt.Errorf("sqlstore: migrations: %w", err)
	}
	return schema.New(db, schema.Options{Files: files, Table: versionsTable, Command: "sso-bridge migrate up"})
}

// null stores an empty string as NULL: columns that may be absent are.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// text reads a column that may be NULL.
type text struct{ to *string }

// Scan implements sql.Scanner.
func (t text) Scan(src any) error {
	switch v := src.(type) {
	case string:
		*t.to = v
	case []byte:
		*t.to = string(v)
	default:
		*t.to = ""
	}
	return nil
}

// collect scans every row with scan and closes rows.
func collect[T any](rows sqldb.Rows, err error, scan func(sqldb.Row) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
