// SPDX-License-Identifier: Apache-2.0

package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Serving is what a server says it does when it takes the lock. A command says its own
// words, such as "admin setup-code".
const Serving = "serve"

// lockPause is the time between two tries of Wait.
const lockPause = 50 * time.Millisecond

// InUseError says which process has the directory.
type InUseError struct {
	Service string // the program's name, such as core
	Path    string
	PID     int    // 0 when it could not be read
	Does    string // Serving, the words of a command, or empty when it could not be read
}

// Served reports whether the holder is a server, which stays; a command soon ends.
func (e *InUseError) Served() bool { return e.Does == Serving }

// Error implements error.
func (e *InUseError) Error() string {
	who := "another " + e.Service
	if e.PID > 0 {
		who = fmt.Sprintf("another %s (process %d)", e.Service, e.PID)
	}
	if e.Served() {
		return fmt.Sprintf("%s is serving %s: stop it first, or give this one a DATA_DIR of its own", who, e.Path)
	}
	if e.Does == "" {
		return fmt.Sprintf("%s is at work in %s: try again when it has ended", who, e.Path)
	}
	return fmt.Sprintf("%s is at work in %s with \"%s %s\": try again when it has ended", who, e.Path, e.Service, e.Does)
}

// Lock keeps others out until release is called or the process ends; the system drops
// it with the process, so a crash leaves nothing to clean up. What the holder does is
// shown to those who come meanwhile. It returns InUseError.
func (d *Dir) Lock(does string) (release func() error, err error) {
	f, err := os.OpenFile(d.Path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(d.holder(f), f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+" "+does+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// What it says must not outlive its truth: the next holder is known by its own words.
	return func() error { return errors.Join(f.Truncate(0), f.Close()) }, nil
}

// Wait is Lock for who can wait: a command that has the lock soon gives it back. A
// server does not, and is InUseError at once.
func (d *Dir) Wait(ctx context.Context, does string, patience time.Duration) (release func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		release, err := d.Lock(does)
		var inUse *InUseError
		if err == nil || !errors.As(err, &inUse) || inUse.Served() {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(lockPause):
		}
	}
}

// holder reads what the process with the lock has written of itself. A file that says
// no more than a number was written by a server of an older version; an empty one by
// nobody yet.
func (d *Dir) holder(f io.Reader) *InUseError {
	e := &InUseError{Service: d.service, Path: d.path}
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil || len(text) == 0 {
		return e
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, does, _ := strings.Cut(line, " ")
	e.PID, _ = strconv.Atoi(pid)
	if e.Does = does; does == "" {
		e.Does = Serving
	}
	return e
}
