// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	commands "github.com/dify-sso/dify-sso/core/internal/control"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// pause is the time between two looks at who has the data directory.
const pause = 50 * time.Millisecond

// act is what a command does with the operations, whoever they are done by.
type act func(ctx context.Context, by operator.Operations) error

// operate is the one place that chooses who does what a command asks. On an embedded
// installation it is the process that serves it; without one this process locks the
// data directory and opens the stores itself.
func (c *command) operate(cmd *cobra.Command, fn act) error {
	s, err := c.settings(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if !s.Embedded() {
		return c.direct(ctx, s, fn)
	}
	for until := time.Now().Add(c.Patience); ; {
		service, err := commands.Connect(ctx, s.ControlSocket(), c.Version)
		if err == nil {
			return fn(ctx, service)
		}
		if !errors.Is(err, control.ErrNoService) {
			return err
		}
		if err := ours(s); err != nil {
			return err
		}
		release, err := app.LockData(ctx, s, doing(cmd), 0)
		if err == nil {
			return c.locked(ctx, s, release, fn)
		}
		var inUse *datadir.InUseError
		if !errors.As(err, &inUse) {
			return err
		}
		if time.Now().After(until) {
			return unreachable(inUse)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// onExisting is operate for acts that make no sense where nothing is yet: a wrong
// DATA_DIR must not answer "nothing found" out of a database that it has just made.
func (c *command) onExisting(cmd *cobra.Command, fn act) error {
	s, err := c.settings(cmd)
	if err != nil {
		return err
	}
	if s.Embedded() {
		if _, err := os.Stat(s.Database()); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is no installation in %s, so nothing was done: name the right one with --data-dir or DATA_DIR", s.DataDir)
		}
	}
	return c.operate(cmd, fn)
}

// ours refuses to let root write where a server runs as somebody else: it could not open
// afterwards what root has made.
func ours(s *app.Settings) error {
	file, err := os.Stat(s.Database())
	if err != nil {
		return nil //nolint:nilerr // there is nothing yet, or the opening says it better
	}
	uid := int(file.Sys().(*syscall.Stat_t).Uid)
	if os.Geteuid() != 0 || uid == 0 {
		return nil
	}
	return fmt.Errorf("%s belongs to user %s, who could not open what root writes beside it: run this command as them (sudo -u)", s.Database(), control.UserName(uid))
}

// unreachable words what is left to do when a holder of the lock stays.
func unreachable(e *datadir.InUseError) error {
	if !e.Served() {
		return e
	}
	return fmt.Errorf("a core (process %d) has %s and cannot be asked: it is starting, ending or has no control socket (its log says why); try again, or stop it first", e.PID, e.Path)
}

// doing are the words by which others know this command while it has the lock.
func doing(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// locked is direct under a lock.
func (c *command) locked(ctx context.Context, s *app.Settings, release func() error, fn act) (err error) {
	defer func() { err = errors.Join(err, release()) }()
	return c.direct(ctx, s, fn)
}

// direct runs fn on the stores and closes them.
func (c *command) direct(ctx context.Context, s *app.Settings, fn act) (err error) {
	o := c.Options
	o.Version = c.Version
	if o.Log == nil {
		o.Log = telemetry.NewLogger(io.Discard, 0, "json") // the audit table has the event
	}
	a, err := app.New(ctx, s, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	by := audit.Caller{Service: app.Program, User: control.UserName(os.Geteuid()), Version: c.Version}
	ctx, _ = by.Request(ctx)
	return fn(ctx, a.Operator.As(by))
}
