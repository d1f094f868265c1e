// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/datadir"
)

// pause is the time between two looks at who has the data directory.
const pause = 50 * time.Millisecond

// Place is an embedded installation, on which a command is done by the process that
// serves it, or, without one, by this process under the lock. All fields are required.
type Place struct {
	Program string
	// Database is the file of its database.
	Database string
	// Patience is how long another holder of the lock is waited for.
	Patience time.Duration
	// Served has the serving process do it. It returns control.ErrNoService when there is
	// none, and nothing was done then.
	Served func(ctx context.Context) error
	Lock   func(ctx context.Context) (release func() error, err error)
	// Direct does it on the stores.
	Direct func(ctx context.Context) error
}

// Do does it, here or there.
func (p Place) Do(ctx context.Context) error {
	for until := time.Now().Add(p.Patience); ; {
		if err := p.Served(ctx); !errors.Is(err, control.ErrNoService) {
			return err
		}
		if err := p.ours(); err != nil {
			return err
		}
		release, err := p.Lock(ctx)
		if err == nil {
			return p.locked(ctx, release)
		}
		var inUse *datadir.InUseError
		if !errors.As(err, &inUse) {
			return err
		}
		if time.Now().After(until) {
			return p.unreachable(inUse)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (p Place) locked(ctx context.Context, release func() error) (err error) {
	defer func() { err = errors.Join(err, release()) }()
	return p.Direct(ctx)
}

// ours refuses to let root write where a server runs as somebody else: it could not open
// afterwards what root has made.
func (p Place) ours() error {
	file, err := os.Stat(p.Database)
	if err != nil {
		return nil //nolint:nilerr // there is nothing yet, or the opening says it better
	}
	uid := int(file.Sys().(*syscall.Stat_t).Uid)
	if os.Geteuid() != 0 || uid == 0 {
		return nil
	}
	return fmt.Errorf("%s belongs to user %s, who could not open what root writes beside it: run this command as them (sudo -u)", p.Database, control.UserName(uid))
}

// unreachable words what is left to do when a holder of the lock stays.
func (p Place) unreachable(e *datadir.InUseError) error {
	if !e.Served() {
		return e
	}
	return fmt.Errorf("a %s (process %d) has %s and cannot be asked: it is starting, ending or has no control socket (its log says why); try again, or stop it first", p.Program, e.PID, e.Path)
}
