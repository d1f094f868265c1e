// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// maxPath is the longest path of a socket that is used as it is. The system's own
// limit is 108 bytes on Linux and 104 elsewhere, the closing zero included.
const maxPath = 100

// errUnfit is a socket, or a peer at one, that is not to be trusted.
var errUnfit = errors.New("the control socket is not to be trusted")

// Listener is the socket of a serving process. It gives connections of its own user
// and of root alone.
type Listener struct {
	*net.UnixListener
	path string
	file fs.FileInfo
	log  *slog.Logger
	once sync.Once
}

// Listen makes the socket, in the place of one that a dead process has left. The caller
// holds the lock of the directory: what is there belongs to nobody alive.
//
// The socket is made in a directory that nobody else may enter and moved to its name
// when its mode is right, so that there is no moment in which others could open it.
func Listen(path string, log *slog.Logger) (_ *Listener, err error) {
	nursery, err := os.MkdirTemp(filepath.Dir(path), ".control-*") // 0700
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(nursery) }()
	made := filepath.Join(nursery, "s")
	l, err := listen(made)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the name at which it was made is not where it stays
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if err := os.Chmod(made, 0o600); err != nil {
		return nil, err
	}
	file, err := os.Lstat(made)
	if err != nil {
		return nil, err
	}
	if file.Mode() != fs.ModeSocket|0o600 { // a file system without modes
		return nil, fmt.Errorf("%w: %s has mode %v", errUnfit, path, file.Mode())
	}
	if err := os.Rename(made, path); err != nil {
		return nil, err
	}
	return &Listener{UnixListener: l, path: path, file: file, log: log}, nil
}

func listen(path string) (*net.UnixListener, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	return net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
}

// Accept waits for the next connection of somebody who may ask.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peer(c)
		if err == nil && welcome(uid, os.Geteuid()) {
			return &conn{UnixConn: c, uid: uid}, nil
		}
		// The mode should have kept them out: somebody has changed it.
		l.log.Warn("a stranger at the control socket was refused", slog.Int("uid", uid), slog.Any("error", err))
		_ = c.Close()
	}
}

// Close ends the listening and takes the socket away, unless another one has taken its
// name.
func (l *Listener) Close() error {
	err := l.UnixListener.Close()
	l.once.Do(func() {
		if now, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(now, l.file) {
			err = errors.Join(err, os.Remove(l.path))
		}
	})
	return err
}

// conn is a connection and who is at its other end.
type conn struct {
	*net.UnixConn
	uid int
}

// anybody is the uid of a peer on a system that does not tell.
const anybody = -1

// welcome reports whether a user may ask a process of another one. Root may: it can
// open every file anyway.
func welcome(uid, of int) bool { return uid == of || uid == 0 || uid == anybody }

// dial opens the socket of a directory, after a look at whose it is: a command tells it
// passwords.
func dial(ctx context.Context, path string) (net.Conn, error) {
	file, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if file.Mode().Type() != fs.ModeSocket || file.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s is no socket of its owner alone (%v)", errUnfit, path, file.Mode())
	}
	owner := file.Sys().(*syscall.Stat_t).Uid
	if !trusted(int(owner), path) {
		return nil, fmt.Errorf("%w: %s belongs to user %d", errUnfit, path, owner)
	}
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", short)
	if err != nil {
		return nil, err
	}
	uid, err := peer(c.(*net.UnixConn))
	if err != nil || uid != anybody && !trusted(uid, path) {
		return nil, errors.Join(fmt.Errorf("%w: a process of user %d listens on %s", errUnfit, uid, path), err, c.Close())
	}
	return c, nil
}

// trusted reports whether a user's process may be told what we have to say: our own,
// root's, and, when we are root, that of the owner of the directory.
func trusted(uid int, path string) bool {
	us := os.Geteuid()
	if uid == us || uid == 0 {
		return true
	}
	dir, err := os.Stat(filepath.Dir(path))
	return us == 0 && err == nil && int(dir.Sys().(*syscall.Stat_t).Uid) == uid
}

// shorten gives a path of the same file that is short enough for a socket: by way of
// the open directory where the system shows it, else of a link. It is good until done.
func shorten(path string) (short string, done func(), err error) {
	if len(path) <= maxPath {
		return path, func() {}, nil
	}
	dir, name := filepath.Split(path)
	f, err := os.Open(dir) //nolint:gosec // the operator names the directory
	if err != nil {
		return "", nil, err
	}
	short = filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd())), name)
	if _, err := os.Stat(filepath.Dir(short)); err == nil {
		return short, func() { _ = f.Close() }, nil
	}
	_ = f.Close()
	return link(dir, name)
}

// link is shorten by a link in the directory for temporary files.
func link(dir, name string) (short string, done func(), err error) {
	for _, temp := range []string{os.TempDir(), "/tmp"} {
		place, err := os.MkdirTemp(temp, "control-*") // 0700
		if err != nil {
			continue
		}
		done := func() { _ = os.RemoveAll(place) } // the link, never what it leads to
		short := filepath.Join(place, "d", name)
		if len(short) > maxPath || os.Symlink(dir, filepath.Join(place, "d")) != nil {
			done()
			continue
		}
		return short, done, nil
	}
	return "", nil, fmt.Errorf("the path %s is too long for a socket, and there is no directory for a shorter way to it", filepath.Join(dir, name))
}
