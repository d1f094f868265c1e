// SPDX-License-Identifier: Apache-2.0

package app

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// Manifest is the first file of a copy and says what follows.
type Manifest struct {
	Format  int          `json:"format"`
	Version string       `json:"version"` // of the program that made it
	MadeAt  time.Time    `json:"made_at"`
	Schema  int64        `json:"schema"`
	Files   []CopiedFile `json:"files"`
}

// CopiedFile is one file of a copy.
type CopiedFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

const (
	manifestFile   = "manifest.json"
	manifestFormat = 1
	maxManifest    = 64 << 10
	maxKeyFile     = 64 << 10
	restorePrefix  = ".restore-"
)

// ErrNotABackup: what was given was not made by "core admin backup", or is damaged.
var ErrNotABackup = errors.New("this is no copy of \"core admin backup\", or it is damaged; nothing was put in place")

// Pack writes a snapshot as one tar, its manifest first.
func Pack(w io.Writer, s operator.Snapshot) error {
	m := Manifest{Format: manifestFormat, Version: s.Version, MadeAt: s.MadeAt, Schema: s.Schema}
	for _, name := range s.Files {
		size, sum, err := digestOf(filepath.Join(s.Dir, name))
		if err != nil {
			return err
		}
		m.Files = append(m.Files, CopiedFile{Name: name, Size: size, SHA256: sum})
	}
	head, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	put := func(name string, size int64, from io.Reader) error {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: m.MadeAt, Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err := io.Copy(out, from)
		return err
	}
	if err := put(manifestFile, int64(len(head)), bytes.NewReader(head)); err != nil {
		return err
	}
	for _, file := range m.Files {
		f, err := os.Open(filepath.Join(s.Dir, file.Name))
		if err != nil {
			return err
		}
		if err := errors.Join(put(file.Name, file.Size, f), f.Close()); err != nil {
			return err
		}
	}
	return out.Close()
}

func digestOf(path string) (size int64, sum string, err error) {
	f, err := os.Open(path) //nolint:gosec // of a snapshot
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// Restore puts a copy into the data directory, whose lock the caller holds. It reads and
// judges everything aside first; then the keys take their places, and last the database,
// so that there is never a database without its keys. It returns ErrNotABackup,
// installation.ErrKeyChanged, schema.ErrNewer.
func Restore(ctx context.Context, s *Settings, from io.Reader) (m Manifest, err error) {
	dir, err := datadir.Open(Program, s.DataDir)
	if err != nil {
		return m, err
	}
	if err := vacant(dir); err != nil {
		return m, err
	}
	place, err := os.MkdirTemp(dir.Path(""), restorePrefix+"*") // 0700
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(place)) }()
	if m, err = unpack(from, place); err != nil {
		return m, err
	}
	for _, name := range keyFiles { // those that are there already are part of what is judged
		if err := sameOrMissing(dir, place, name); err != nil {
			return m, err
		}
	}
	if err := judgeCopy(ctx, s, place); err != nil {
		return m, err
	}
	for _, file := range m.Files {
		if err := os.Rename(filepath.Join(place, file.Name), dir.Path(file.Name)); err != nil {
			return m, err
		}
		if err := dir.Sync(); err != nil {
			return m, err
		}
	}
	return m, nil
}

// vacant refuses a directory that holds anything but the lock, keys, or what an earlier
// call has left.
func vacant(dir *datadir.Dir) error {
	entries, err := os.ReadDir(dir.Path(""))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == "lock", name != DatabaseFile && IsInstallationFile(name):
		case strings.HasPrefix(name, restorePrefix):
			if err := os.RemoveAll(dir.Path(name)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is not empty (%s is in it), and nothing was done: name an empty directory with --data-dir, or move this one away", dir.Path(""), name)
		}
	}
	return nil
}

// sameOrMissing refuses to replace a key by another one, and takes over one that the copy
// does not have.
func sameOrMissing(dir *datadir.Dir, place, name string) error {
	if !dir.Has(name) {
		return nil
	}
	there, err := datadir.ReadPrivate(dir.Path(name))
	if err != nil {
		return err
	}
	copied, err := os.ReadFile(filepath.Join(place, name)) //nolint:gosec // one of ours
	if os.IsNotExist(err) {
		return os.WriteFile(filepath.Join(place, name), there, 0o600)
	}
	if err == nil && !bytes.Equal(there, copied) {
		err = fmt.Errorf("%s is another key than that of the copy, and nothing was done: move it away", dir.Path(name))
	}
	return err
}

// unpack reads a copy to its end.
func unpack(from io.Reader, place string) (m Manifest, err error) {
	in := tar.NewReader(from)
	head, err := in.Next()
	if err != nil || head.Name != manifestFile || head.Size > maxManifest {
		return m, ErrNotABackup
	}
	if err := json.NewDecoder(in).Decode(&m); err != nil {
		return m, ErrNotABackup
	}
	if m.Format != manifestFormat {
		return m, fmt.Errorf("the copy was made by core %s in a form that this version does not know: use that version", m.Version)
	}
	for i, file := range m.Files {
		last := i == len(m.Files)-1
		if !IsInstallationFile(file.Name) || last != (file.Name == DatabaseFile) || !last && file.Size > maxKeyFile {
			return m, ErrNotABackup
		}
		head, err := in.Next()
		if err != nil || head.Name != file.Name || head.Size != file.Size || head.Typeflag != tar.TypeReg {
			return m, ErrNotABackup
		}
		if err := unpackFile(in, filepath.Join(place, file.Name), file); err != nil {
			return m, err
		}
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) || len(m.Files) == 0 {
		return m, ErrNotABackup
	}
	return m, nil
}

func unpackFile(in io.Reader, path string, file CopiedFile) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the name is one of ours
	if err != nil {
		return ErrNotABackup // the same name twice
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), in)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.Join(ErrNotABackup, f.Close())
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if n != file.Size || hex.EncodeToString(h.Sum(nil)) != file.SHA256 {
		return ErrNotABackup
	}
	return nil
}

// judgeCopy opens a copy aside, as a start would, and changes nothing that lasts.
func judgeCopy(ctx context.Context, s *Settings, place string) (err error) {
	path := filepath.Join(place, DatabaseFile)
	if err := sqldb.CheckSQLite(ctx, path); err != nil {
		return errors.Join(ErrNotABackup, err)
	}
	dir, err := datadir.Open(Program, place)
	if err != nil {
		return err
	}
	k, err := loadKeys(s, dir)
	if err != nil {
		return err
	}
	db, err := sqldb.OpenSQLite(ctx, path)
	if err != nil {
		return err
	}
	// Closed before the file moves: what SQLite keeps beside it is gone then.
	defer func() { err = errors.Join(err, db.Close()) }()
	migrator, err := sqlstore.NewMigrator(db)
	if err != nil {
		return err
	}
	status, err := migrator.Status(ctx)
	if err != nil {
		return err
	}
	// An older schema is brought up to date at the next start, as ever.
	if fit := status.Check(); fit != nil && !errors.Is(fit, schema.ErrOlder) {
		return fmt.Errorf("%w (the copy is at version %d, this program at %d)", fit, status.Current, status.Target)
	}
	recorder, err := audit.NewRecorder(sqlstore.Audit(db), telemetry.NewLogger(io.Discard, 0, "json"))
	if err != nil {
		return err
	}
	in, err := installation.New(installation.Deps{
		Store: sqlstore.Installation{DB: db}, Passwords: account.NewPasswords(s.PasswordMinLength), Recorder: recorder, Now: time.Now,
		Sealing: k.sealing, CanaryKey: k.canary, CanaryKeyPrevious: k.former.canary,
	})
	if err != nil {
		return err
	}
	return in.Verify(ctx)
}
