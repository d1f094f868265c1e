// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// ownerConns is enough for a command.
const ownerConns = 2

// judgeDatabase checks what a shared database asks for. Its addresses are not repeated.
func (s *Settings) judgeDatabase(alone bool, problems *config.Problems) {
	for key, address := range map[string]secret.Text{"DATABASE_URL": s.DatabaseURL, "MIGRATE_DATABASE_URL": s.MigrateDatabaseURL} {
		if !address.IsZero() && sqldb.CheckPostgres(address.Reveal()) != nil {
			problems.Add(key, "must be an address such as postgres://user:password@host:5432/database?sslmode=verify-full, its parameters known and characters like @ and / of a password as %%40 and %%2F")
		}
	}
	if s.Embedded() {
		if !s.MigrateDatabaseURL.IsZero() {
			problems.Add("MIGRATE_DATABASE_URL", "needs DATABASE_URL")
		}
		return
	}
	if alone {
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
	status, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if embedded && errors.Is(status.Check(), schema.ErrOlder) {
		if _, err := m.Up(ctx); err != nil {
			return err
		}
		if status, err = m.Status(ctx); err != nil {
			return err
		}
	}
	if err := status.Check(); err != nil {
		return fmt.Errorf("%w (it is at version %d, this program at %d)", err, status.Current, status.Target)
	}
	return nil
}
