// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Status compares the database with the migrations in this binary.
type Status struct {
	Current int64 // version of the database, 0 when empty
	Target  int64 // version this binary needs
	Pending int   // migrations not applied

	command string // that applies them
}

// The ways in which a schema does not fit this binary.
var (
	ErrOlder = errors.New("the database schema is older than this program")
	ErrNewer = errors.New("the database schema is newer than this program: start the version that wrote it, or a later one")
)

// Check returns ErrOlder or ErrNewer when the schema does not fit.
func (s Status) Check() error {
	switch {
	case s.Current > s.Target:
		return ErrNewer
	case s.Pending > 0:
		return fmt.Errorf("%w: run %q", ErrOlder, s.command)
	}
	return nil
}

// Options are what is a service's own.
type Options struct {
	// Files has a folder for each engine, named as its sqldb.Dialect, with files NNNNN_what.sql
	// in the words of goose.
	Files fs.FS
	// Table keeps the versions that were applied. It is a constant of the program, becomes
	// part of statements, and differs between services that share a database.
	Table string
	// Command is what an operator types to migrate, such as core migrate up.
	Command string
}

// Migrator applies the migrations of a service.
type Migrator struct {
	Options
	db       sqldb.DB
	provider *goose.Provider
	target   int64
}

// New prepares the migrations of the database's engine.
func New(db sqldb.DB, o Options) (*Migrator, error) {
	conn, ok := sqldb.Standard(db)
	if !ok {
		return nil, fmt.Errorf("schema: no migrations for engine %s", db.Dialect())
	}
	files, err := fs.Sub(o.Files, string(db.Dialect()))
	if err != nil {
		return nil, fmt.Errorf("schema: migrations: %w", err)
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithTableName(o.Table)}
	if db.Dialect() == sqldb.Postgres {
		// Of several that migrate at once one applies; the others ask each second, for as
		// long as a large table may take.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
		if err != nil {
			return nil, fmt.Errorf("schema: migrations: %w", err)
		}
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, conn, files, options...)
	if err != nil {
		return nil, fmt.Errorf("schema: migrations: %w", err)
	}
	sources := provider.ListSources()
	return &Migrator{Options: o, db: db, provider: provider, target: sources[len(sources)-1].Version}, nil
}

// Up applies what is pending and gives the versions applied.
func (m *Migrator) Up(ctx context.Context) ([]int64, error) {
	results, err := m.provider.Up(ctx)
	applied := make([]int64, 0, len(results))
	for _, r := range results {
		applied = append(applied, r.Source.Version)
	}
	if err != nil {
		return applied, fmt.Errorf("schema: migrate up: %w", err)
	}
	return applied, nil
}

// Down takes the newest migration back and gives its version; zero when there is
// none. It deletes what that migration's tables hold.
func (m *Migrator) Down(ctx context.Context) (int64, error) {
	r, err := m.provider.Down(ctx)
	if errors.Is(err, goose.ErrNoNextVersion) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("schema: migrate down: %w", err)
	}
	return r.Source.Version, nil
}

// Status compares and changes nothing: a role that only serves may ask, and a database
// that nobody has migrated stays empty.
func (m *Migrator) Status(ctx context.Context) (Status, error) {
	current, err := m.current(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("schema: version: %w", err)
	}
	s := Status{Current: current, Target: m.target, command: m.Command}
	for _, source := range m.provider.ListSources() {
		if source.Version > current {
			s.Pending++
		}
	}
	return s, nil
}

// current gives the newest version in goose's table, which keeps a row for each.
func (m *Migrator) current(ctx context.Context) (version int64, err error) {
	exists := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1`
	if m.db.Dialect() == sqldb.Postgres {
		exists = `SELECT CASE WHEN to_regclass($1) IS NULL THEN 0 ELSE 1 END`
	}
	var n int
	if err := m.db.QueryRow(ctx, exists, m.Table).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	err = m.db.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+m.Table+` WHERE is_applied`).Scan(&version)
	return version, err
}

// Fit refuses a schema that does not fit this binary, with ErrOlder or ErrNewer. With
// own an older one is brought up to date first: the database belongs to this process
// alone.
func (m *Migrator) Fit(ctx context.Context, own bool) error {
	status, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if own && errors.Is(status.Check(), ErrOlder) {
		if _, err := m.Up(ctx); err != nil {
			return err
		}
		if status, err = m.Status(ctx); err != nil {
			return err
		}
	}
	return status.refused(status.Check())
}

// TryFile opens a copied database of SQLite as a start would, but changes nothing that lasts, and
// has fits look at it. It returns ErrNewer and what fits returns. The file may be moved afterwards:
// what SQLite keeps beside it is gone then.
func TryFile(ctx context.Context, path string, migrator func(sqldb.DB) (*Migrator, error), fits func(db sqldb.DB) error) (err error) {
	db, err := sqldb.OpenSQLite(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	m, err := migrator(db)
	if err != nil {
		return err
	}
	if err := m.notNewer(ctx); err != nil {
		return err
	}
	return fits(db)
}

// notNewer refuses a schema that is newer than this binary, with ErrNewer. An older one may be
// put in place: the next start brings it up to date.
func (m *Migrator) notNewer(ctx context.Context) error {
	status, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if err := status.Check(); !errors.Is(err, ErrOlder) {
		return status.refused(err)
	}
	return nil
}

// refused adds both versions to what Check has returned.
func (s Status) refused(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w (it is at version %d, this program at %d)", err, s.Current, s.Target)
}
