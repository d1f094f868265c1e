// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/dify-sso/dify-sso/migrations"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// SchemaStatus compares the database with the migrations in this binary.
type SchemaStatus struct {
	Current int64 // version of the database, 0 when empty
	Target  int64 // version this binary needs
	Pending int   // migrations not applied
}

// The ways in which a schema does not fit this binary.
var (
	ErrSchemaOlder = errors.New("the database schema is older than this program: run \"core migrate up\"")
	ErrSchemaNewer = errors.New("the database schema is newer than this program: start the version that wrote it, or a later one")
)

// Check returns ErrSchemaOlder or ErrSchemaNewer when the schema does not fit.
func (s SchemaStatus) Check() error {
	switch {
	case s.Current > s.Target:
		return ErrSchemaNewer
	case s.Pending > 0:
		return ErrSchemaOlder
	}
	return nil
}

// Migrator applies the embedded migrations.
type Migrator struct {
	provider *goose.Provider
	target   int64
}

// NewMigrator prepares the migrations of the database's engine.
func NewMigrator(db sqldb.DB) (*Migrator, error) {
	conn, ok := sqldb.Standard(db)
	if !ok {
		return nil, fmt.Errorf("sqlstore: no migrations for engine %s", db.Dialect())
	}
	files, err := fs.Sub(migrations.Core, "core/"+string(db.Dialect()))
	if err != nil {
		return nil, fmt.Errorf("sqlstore: migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, conn, files)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: migrations: %w", err)
	}
	sources := provider.ListSources()
	return &Migrator{provider: provider, target: sources[len(sources)-1].Version}, nil
}

// Up applies what is pending and gives the versions applied.
func (m *Migrator) Up(ctx context.Context) ([]int64, error) {
	results, err := m.provider.Up(ctx)
	applied := make([]int64, 0, len(results))
	for _, r := range results {
		applied = append(applied, r.Source.Version)
	}
	if err != nil {
		return applied, fmt.Errorf("sqlstore: migrate up: %w", err)
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
		return 0, fmt.Errorf("sqlstore: migrate down: %w", err)
	}
	return r.Source.Version, nil
}

// Status compares without changing anything but goose's own table.
func (m *Migrator) Status(ctx context.Context) (SchemaStatus, error) {
	current, err := m.provider.GetDBVersion(ctx)
	if err != nil {
		return SchemaStatus{}, fmt.Errorf("sqlstore: schema version: %w", err)
	}
	s := SchemaStatus{Current: current, Target: m.target}
	for _, source := range m.provider.ListSources() {
		if source.Version > current {
			s.Pending++
		}
	}
	return s, nil
}
