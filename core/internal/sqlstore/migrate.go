// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"fmt"
	"io/fs"

	"github.com/dify-sso/dify-sso/migrations"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// NewMigrator prepares core's migrations for a database.
func NewMigrator(db sqldb.DB) (*schema.Migrator, error) {
	files, err := fs.Sub(migrations.Core, "core")
	if err != nil {
		return nil, fmt.Errorf("sqlstore: migrations: %w", err)
	}
	return schema.New(db, schema.Options{Files: files, Table: "goose_db_version", Command: "core migrate up"})
}
