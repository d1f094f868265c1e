// SPDX-License-Identifier: Apache-2.0

package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of the directory that every service has. The name of its database is each
// service's own.
const (
	SecretKeyFile  = "secret.key"
	SealingKeyFile = "sealing.key"
	// PreviousKeyFile is the former secret key, while it is still accepted.
	PreviousKeyFile = "secret.key.previous"
	ControlFile     = "control.sock"
	lockFile        = "lock"
)

// Dir is an existing data directory.
type Dir struct{ service, path string }

// Open makes the directory with mode 0700 when it is missing. service is the name of the
// program, such as core, for what is told to people.
func Open(service, path string) (*Dir, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	if err := os.MkdirAll(absolute, 0o700); err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	return &Dir{service: service, path: absolute}, nil
}

// Path gives the address of one of its files.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// Has reports whether a file exists.
func (d *Dir) Has(name string) bool {
	_, err := os.Stat(d.Path(name))
	return err == nil
}

// Once gives the content of a file, and makes the file with mode 0600 when it is
// missing. Of two processes that make it at once one wins and both get its content.
// A file that others may read is refused: what it holds is no secret any more.
func (d *Dir) Once(name string, content func() []byte) ([]byte, error) {
	path := d.Path(name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := d.create(path, content()); err != nil {
			return nil, err
		}
	}
	return ReadPrivate(path)
}

// Replace puts a file with mode 0600 in the place of another in one step: after a crash
// there is the one or the other, whole.
func (d *Dir) Replace(name string, content []byte) error {
	tmp, err := os.CreateTemp(d.path, ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	if err := os.Rename(tmp.Name(), d.Path(name)); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return d.Sync()
}

// Sync makes the names in the directory last.
func (d *Dir) Sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// create writes beside the name and links the whole file to it, so that nobody ever
// reads half of it; a link to a name that is taken fails.
func (d *Dir) create(path string, content []byte) error {
	tmp, err := os.CreateTemp(d.path, ".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// ReadPrivate reads a file that nobody but its owner may read.
func ReadPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): type chmod 600 %s", path, mode, path)
	}
	return os.ReadFile(path) //nolint:gosec // the operator names the directory
}
