// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/datadir"
)

// ErrNotABackup: what was given was not made by "admin backup", or is damaged.
var ErrNotABackup = errors.New("this is no copy of \"admin backup\", or it is damaged; nothing was put in place")

// restorePrefix begins the name of a directory that a copy is judged in.
const restorePrefix = ".restore-"

// Restore puts a copy into the data directory, whose lock the caller holds. It reads everything
// aside first and has judge look at the directory that it is in; then the keys take their places,
// and last the database, so that there is never a database without its keys. It returns
// ErrNotABackup and what judge returns.
func (k Kind) Restore(dir *datadir.Dir, from io.Reader, judge func(place string) error) (m Manifest, err error) {
	if err := k.vacant(dir); err != nil {
		return m, err
	}
	place, err := os.MkdirTemp(dir.Path(""), restorePrefix+"*") // 0700
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(place)) }()
	if m, err = k.unpack(from, place); err != nil {
		return m, err
	}
	for _, name := range k.Keys { // those that are there already are part of what is judged
		if err := sameOrMissing(dir, place, name); err != nil {
			return m, err
		}
	}
	if err := judge(place); err != nil {
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

// vacant refuses a directory that holds anything but the lock, keys, or what an earlier call has
// left.
func (k Kind) vacant(dir *datadir.Dir) error {
	entries, err := os.ReadDir(dir.Path(""))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == "lock", name != k.Database && k.Holds(name):
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

// sameOrMissing refuses to replace a key by another one, and takes over one that the copy does
// not have.
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
func (k Kind) unpack(from io.Reader, place string) (m Manifest, err error) {
	in := tar.NewReader(from)
	head, err := in.Next()
	if err != nil || head.Name != manifestFile || head.Size > maxManifest {
		return m, ErrNotABackup
	}
	if err := json.NewDecoder(in).Decode(&m); err != nil {
		return m, ErrNotABackup
	}
	if m.Format != manifestFormat {
		return m, fmt.Errorf("the copy was made by %q (version %q) in a form that this version does not know: use that version", m.named(), m.Version)
	}
	if m.named() != k.Program {
		return m, fmt.Errorf("this is a copy of %q, not of %s, and nothing was put in place", m.named(), k.Program)
	}
	for i, file := range m.Files {
		last := i == len(m.Files)-1
		if !k.Holds(file.Name) || last != (file.Name == k.Database) || !last && file.Size > maxKeyFile {
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
