// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/settings"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// ownerConns is enough for a command.
const ownerConns = 2

// judgeDatabase checks what a shared database asks for. Its addresses are not repeated.
func (s *Settings) judgeDatabase(alone bool, problems *config.Problems) {
	settings.Postgres(problems, s.DatabaseURL, s.MigrateDatabaseURL)
	if s.Embedded() || alone {
		return
	}
	if s.SecretKey.IsZero() {
		problems.Add("SECRET_KEY", "is required with DATABASE_URL: every process needs the same one")
	}
	if s.SealingKeyFile == "" {
		problems.Add("SEALING_KEY_FILE", "is required with DATABASE_URL: every process needs the same one")
	}
}

// Program is the service's name as its messages say it, and DatabaseFile what its
// embedded database is called in DATA_DIR.
const (
	Program      = "core"
	DatabaseFile = "core.db"
)

// openData opens the data directory; nil where there is none.
func openData(s *Settings) (*datadir.Dir, error) {
	if !s.Embedded() {
		return nil, nil //nolint:nilnil // a fleet has none
	}
	return datadir.Open(Program, s.DataDir)
}

// OpenDatabase opens the database of the settings without looking at its schema. On an
// embedded one the keys are made first: a database never exists without them.
func OpenDatabase(ctx context.Context, s *Settings) (sqldb.DB, error) {
	if !s.Embedded() {
		return openPostgres(ctx, "DATABASE_URL", s.DatabaseURL, s.DatabaseMaxConns)
	}
	dir, err := openData(s)
	if err != nil {
		return nil, err
	}
	if _, err := loadKeys(s, dir); err != nil {
		return nil, err
	}
	return sqldb.OpenSQLite(ctx, dir.Path(DatabaseFile))
}

// OpenOwned is OpenDatabase under the role that may change the schema and delete audit
// events, which the role of the servers need not be (docs/operating/audit-role.md).
func OpenOwned(ctx context.Context, s *Settings) (sqldb.DB, error) {
	switch {
	case s.Embedded():
		return OpenDatabase(ctx, s)
	case s.MigrateDatabaseURL.IsZero():
		return openPostgres(ctx, "DATABASE_URL", s.DatabaseURL, ownerConns)
	default:
		return openPostgres(ctx, "MIGRATE_DATABASE_URL", s.MigrateDatabaseURL, ownerConns)
	}
}

func openPostgres(ctx context.Context, key string, address secret.Text, most int) (sqldb.DB, error) {
	db, err := sqldb.OpenPostgres(ctx, address.Reveal(), sqldb.PostgresOptions{MaxConns: most})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return db, nil
}

// fitSchema refuses a schema that does not fit this program. One that is older is
// brought up to date where the database belongs to this one process; a shared one is an
// operator's to migrate.
func fitSchema(ctx context.Context, db sqldb.DB, embedded bool) error {
	m, err := sqlstore.NewMigrator(db)
	if err != nil {
		return err
	}
	return m.Fit(ctx, embedded)
}
