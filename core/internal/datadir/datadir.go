// SPDX-License-Identifier: Apache-2.0

package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The files of the directory.
const (
	DatabaseFile   = "core.db"
	SecretKeyFile  = "secret.key"
	SealingKeyFile = "sealing.key"
	lockFile       = "lock"
)

// Dir is an existing data directory.
type Dir struct{ path string }

// Open makes the directory with mode 0700 when it is missing.
func Open(path string) (*Dir, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	if err := os.MkdirAll(absolute, 0o700); err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	return &Dir{path: absolute}, nil
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

// InUseError says which process serves the directory.
type InUseError struct {
	Path string
	PID  int // 0 when it could not be read
}

// Error implements error.
func (e *InUseError) Error() string {
	who := "another core"
	if e.PID > 0 {
		who = fmt.Sprintf("another core (process %d)", e.PID)
	}
	return fmt.Sprintf("%s is serving %s: stop it first, or give this one a DATA_DIR of its own", who, e.Path)
}

// Lock keeps other servers out until release is called or the process ends; the
// system drops it with the process, so a crash leaves nothing to clean up. It
// returns InUseError.
func (d *Dir) Lock() (release func() error, err error) {
	f, err := os.OpenFile(d.Path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := &InUseError{Path: d.path}
		if text, readErr := io.ReadAll(io.LimitReader(f, 32)); readErr == nil {
			holder.PID, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return nil, errors.Join(holder, f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
