// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
)

func (c *cli) serve() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Serve until SIGTERM or SIGINT; a second signal ends at once", Args: command.NoArgs,
		Long: `Serve /sso/ on LISTEN, and what core asks, health, readiness and metrics on
INNER_LISTEN, which is never public. On the first start the data directory, its keys
and its database are made; with DATABASE_URL there is no such directory, and
"sso-bridge migrate up" comes first.

SIGHUP reads the key set, the connections file with the files of its secrets, and the
TLS certificate again. What is refused leaves the former in force; the log says why.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			started := time.Now()
			s, err := c.settings(cmd)
			if err != nil {
				return err
			}
			o := c.Options
			o.Version = c.Version
			if o.Log == nil {
				o.Log = s.Logger(c.Stderr)
				telemetry.TakeStandard(o.Log)
			}
			if o.Certificate, err = s.Certificate(time.Now, o.Log); err != nil {
				return err
			}
			for _, w := range s.Warnings {
				o.Log.Warn(w)
			}
			return c.serveApp(cmd.Context(), s, o, started)
		},
	}
}

func (c *cli) serveApp(ctx context.Context, s *app.Settings, o app.Options, started time.Time) (err error) {
	release, err := app.LockData(ctx, s, datadir.Serving, c.Patience)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	a, err := app.New(ctx, s, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := a.Begin(ctx); err != nil {
		return fmt.Errorf("CONNECTIONS_FILE: %w", err)
	}
	l, err := a.Listen()
	if err != nil {
		return err
	}
	signals := c.Signals
	if signals == nil {
		signals = command.UntilSignal
	}
	ctx, stop := signals(ctx)
	defer stop()
	defer command.OnHangup(o.Log, a.Reload)()
	o.Log.Info("serving", slog.String("version", o.Version), slog.String("listen", l.Public.Addr().String()),
		slog.String("inner_listen", l.Inner.Addr().String()), slog.String("public", s.Public.String()), slog.Int64("start_ms", time.Since(started).Milliseconds()))
	c.welcome(s, l.Inner.Addr().String())
	if c.Started != nil {
		c.Started(l.Public.Addr().String(), l.Inner.Addr().String())
	}
	return a.Serve(ctx, l)
}

// welcome tells a person what to do next. A log gets none of it.
func (c *cli) welcome(s *app.Settings, inner string) {
	if !c.Terminal {
		return
	}
	where := s.DataDir
	if !s.Embedded() {
		where = "Postgres"
	}
	fmt.Fprintf(c.Stdout, "\nsso-bridge %s serves %s for %s\n  inner routes, health and metrics on %s, data in %s\n", c.Version, s.Public, s.Core, inner, where)
	fmt.Fprintf(c.Stdout, "\nIdentity providers, in another terminal:\n  sso-bridge connection list\n  sso-bridge connection create --help\n\nCtrl-C stops it.\n\n")
}
