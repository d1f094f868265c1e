// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
)

// ownerConns is enough for a command.
const ownerConns = 2

// openData opens the data directory; nil where there is none.
func openData(s *Settings) (*datadir.Dir, error) {
	if !s.Embedded() {
		return nil, nil //nolint:nilnil // a fleet has none
	}
	return datadir.Open(Program, s.DataDir)
}

// LockData keeps others out of the data directory until release is called. It says to
// them what the holder does, such as datadir.Serving or the words of a command; a command
// that is there already is waited for as long as patience has it. It returns
// datadir.InUseError. A fleet has no such directory and needs no lock.
func LockData(ctx context.Context, s *Settings, does string, patience time.Duration) (release func() error, err error) {
	dir, err := openData(s)
	if err != nil {
		return nil, err
	}
	if dir == nil {
		return func() error { return nil }, nil
	}
	return dir.Wait(ctx, does, patience)
}

func keySource(s *Settings, dir *datadir.Dir) ownkeys.Source {
	return ownkeys.Source{Dir: dir, Database: DatabaseFile, SecretKey: s.SecretKey, SecretKeyPrevious: s.SecretKeyPrevious, SealingKeyFile: s.SealingKeyFile}
}

// loadKeys loads the bridge's own keys and refuses those that a key set holds too.
func loadKeys(s *Settings, dir *datadir.Dir) (*ownkeys.Keys, error) {
	from := keySource(s, dir)
	k, err := from.Load()
	if err != nil {
		return nil, err
	}
	file, err := from.SealingFile()
	if err != nil {
		return nil, err
	}
	var problems config.Problems
	ownkeys.Apart(s.keys, k.Master, k.Previous, file, &problems)
	return k, problems.Err()
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
// events, which the role of the servers need not be.
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

// fitSchema refuses a schema that does not fit this program. One that is older is brought
// up to date where the database belongs to this one process; a shared one is an
// operator's to migrate.
func fitSchema(ctx context.Context, db sqldb.DB, embedded bool) error {
	m, err := sqlstore.NewMigrator(db)
	if err != nil {
		return err
	}
	return m.Fit(ctx, embedded)
}

// Migrator prepares the bridge's migrations for a database.
func Migrator(db sqldb.DB) (*schema.Migrator, error) { return sqlstore.NewMigrator(db) }

// OpenTrail opens the audit trail for reading, beside servers that may be running and
// without asking them. No key is loaded, and nothing is created where no database is.
func OpenTrail(ctx context.Context, s *Settings) (trail sqlaudit.Table, closed func() error, err error) {
	var db sqldb.DB
	if s.Embedded() {
		if _, err := os.Stat(s.Database()); errors.Is(err, os.ErrNotExist) {
			return trail, nil, fmt.Errorf("there is no installation in %s: name the right one with --data-dir or DATA_DIR", s.DataDir)
		}
		db, err = sqldb.OpenSQLite(ctx, s.Database())
	} else {
		db, err = openPostgres(ctx, "DATABASE_URL", s.DatabaseURL, ownerConns)
	}
	if err != nil {
		return trail, nil, err
	}
	if err := fitSchema(ctx, db, false); err != nil {
		return trail, nil, errors.Join(err, db.Close())
	}
	return sqlstore.Audit(db), db.Close, nil
}

// auditLease lets one prune run at a time.
const auditLease = "prune.audit"

// PruneAudit deletes the audit events from before a time, beside servers that may be
// running, and gives their number, those before a failure included. It opens the database
// itself: a serving App has no way to delete an event.
func PruneAudit(ctx context.Context, s *Settings, before time.Time) (deleted int64, err error) {
	db, err := OpenOwned(ctx, s)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := fitSchema(ctx, db, false); err != nil {
		return 0, err
	}
	runner := &jobs.Runner{Leases: sqlstore.Leases(db), Owner: jobs.NewOwner(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	deleted, err = runner.Once(ctx, auditLease, func(ctx context.Context) (int64, error) {
		return jobs.InBatches(ctx, before, sqlstore.AuditPrune{DB: db}.Prune)
	})
	switch {
	case errors.Is(err, jobs.ErrHeld):
		err = errors.New("another sso-bridge audit prune is running, or was killed less than a minute ago")
	case errors.Is(err, jobs.ErrLost):
		err = fmt.Errorf("stopped after %d events: the lease %s could not be renewed; call it again", deleted, auditLease)
	case err != nil:
		err = fmt.Errorf("stopped after %d events: %w", deleted, err)
	}
	return deleted, err
}
