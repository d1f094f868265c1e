// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
)

// Copies are the copies of an embedded bridge. The key set is not in them: it is given to both
// services and belongs to whoever has made it.
var Copies = backup.Kind{Program: Program, Database: DatabaseFile, Keys: ownkeys.Files}

// Snapshot implements operator.Keys. The keys are copied under the lock that rotations take, the
// database after them: it opens under the keys of that moment.
func (k keeper) Snapshot(ctx context.Context) (backup.Snapshot, error) {
	a := k.a
	if a.dir == nil {
		return backup.Snapshot{}, backup.ErrNotEmbedded
	}
	a.rotating.Lock()
	defer a.rotating.Unlock()
	s, err := Copies.Take(a.dir, a.opts.Now(), func(to string) error {
		if err := a.recorder.Flush(ctx); err != nil {
			return fmt.Errorf("audit events that wait: %w", err)
		}
		return sqldb.CopySQLite(ctx, a.dir.Path(DatabaseFile), to)
	})
	if err != nil {
		return s, err
	}
	status, err := a.schema.Status(ctx)
	s.Version, s.Schema = a.opts.Version, status.Current
	return s, err
}

// Restore puts a copy into the data directory, whose lock the caller holds. It returns
// backup.ErrNotABackup, installation.ErrKeyChanged, schema.ErrNewer.
func Restore(ctx context.Context, s *Settings, from io.Reader) (m backup.Manifest, err error) {
	dir, err := openData(s)
	if err != nil {
		return m, err
	}
	if dir == nil {
		return m, backup.ErrNotEmbedded
	}
	return Copies.Restore(dir, from, func(place string) error { return judgeCopy(ctx, s, place) })
}

// judgeCopy opens a copy aside, as a start would, and changes nothing that lasts.
func judgeCopy(ctx context.Context, s *Settings, place string) error {
	path := filepath.Join(place, DatabaseFile)
	if err := sqldb.CheckSQLite(ctx, path); err != nil {
		return errors.Join(backup.ErrNotABackup, err)
	}
	dir, err := datadir.Open(Program, place)
	if err != nil {
		return err
	}
	k, err := loadKeys(s, dir)
	if err != nil {
		return err
	}
	canary, former, err := k.Derive(canaryPurpose)
	if err != nil {
		return err
	}
	return schema.TryFile(ctx, path, sqlstore.NewMigrator, func(db sqldb.DB) error {
		recorder, err := audit.NewRecorder(sqlstore.Audit(db), telemetry.NewLogger(io.Discard, 0, "json"))
		if err != nil {
			return err
		}
		in, err := installation.New(installation.Deps{
			Store: sqlstore.Installation{DB: db}, Recorder: recorder, Now: time.Now, Sealing: k.Sealing, CanaryKey: canary, CanaryKeyPrevious: former,
		})
		if err != nil {
			return err
		}
		_, err = in.Verify(ctx)
		return err
	})
}
