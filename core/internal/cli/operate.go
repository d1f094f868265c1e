// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	commands "github.com/dify-sso/dify-sso/core/internal/control"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/audit"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

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
	return cmdline.Place{
		Program: app.Program, Database: s.Database(), Patience: c.Patience,
		Served: func(ctx context.Context) error {
			service, err := commands.Connect(ctx, s.ControlSocket(), c.Version)
			if err != nil {
				return err
			}
			return fn(ctx, service)
		},
		Lock:   func(ctx context.Context) (func() error, error) { return app.LockData(ctx, s, doing(cmd), 0) },
		Direct: func(ctx context.Context) error { return c.direct(ctx, s, fn) },
	}.Do(ctx)
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

// doing are the words by which others know this command while it has the lock.
func doing(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
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
