// SPDX-License-Identifier: Apache-2.0

package keyset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ownMode is the mode of a file that Create makes.
const ownMode = 0o600

// Create writes a file where there is none, for its owner alone. It returns an error
// that is fs.ErrExist where there is one: what that one has signed would be refused.
func Create(path string, f File) error {
	return write(filepath.Dir(path), f, ownMode, nil, func(tmp string) error { return os.Link(tmp, path) })
}

// Replace writes a file in the place of another, whole: whoever reads it meanwhile has
// the former one or this one. Owner, group and mode stay, a mode that is too open is
// tightened; where the owner cannot be kept nothing is written, for the services could
// not read the file any more.
func Replace(path string, f File) error {
	path, err := filepath.EvalSymlinks(path) // a link stays one
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return write(filepath.Dir(path), f, info.Mode().Perm()&privateModes, info, func(tmp string) error { return os.Rename(tmp, path) })
}

func write(dir string, f File, mode fs.FileMode, like fs.FileInfo, place func(tmp string) error) (err error) {
	content, err := f.Encode()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".keyset-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.Remove(tmp.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) && err == nil {
			err = gone
		}
	}()
	_, err = tmp.Write(content)
	if err == nil {
		err = keepOwner(tmp, like)
	}
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := place(tmp.Name()); err != nil {
		return err
	}
	d, err := os.Open(dir) //nolint:gosec // where the operator's file is
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func keepOwner(tmp *os.File, like fs.FileInfo) error {
	if like == nil {
		return nil
	}
	was, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if err := tmp.Chown(int(was.Uid), int(was.Gid)); err != nil {
		return fmt.Errorf("the file belongs to another user: call this as that one, or as root: %w", err)
	}
	return nil
}
