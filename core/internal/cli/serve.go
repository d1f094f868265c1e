// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

func (c *command) serve() *cobra.Command {
	var seedFiles []string
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve until SIGTERM or SIGINT; a second signal ends at once", Args: cmdline.NoArgs,
		Long: `Serve the pages and the API on LISTEN, and health, readiness and metrics on
INNER_LISTEN. On the first start the data directory, its keys and its database
are made; with DATABASE_URL there is no such directory, and "core migrate up" comes
first. While nobody has set the installation up, a terminal shows a link that
does; without a terminal, "core admin setup-code" gives the code.

With TLS_CERT_FILE and TLS_KEY_FILE both listeners serve https. The files are read
again when they change, and on SIGHUP; so is, on SIGHUP alone, the key set that
KEYSET_FILE names (core keyset --help).`,
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
			seeds, err := c.seeds(seedFiles)
			if err != nil {
				return err
			}
			return c.serveApp(cmd.Context(), s, o, started, seeds)
		},
	}
	cmd.Flags().StringArrayVar(&seedFiles, "seed-apps", nil, "for development: a file of apps as \"core app import\" takes it, made once the installation is set up where it has none; repeat for more")
	return cmd
}

func (c *command) serveApp(ctx context.Context, s *app.Settings, o app.Options, started time.Time, seeds []operator.AppWanted) (err error) {
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
	l, err := a.Listen()
	if err != nil {
		return err
	}
	link, err := c.setupLink(ctx, a)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	signals := c.Signals
	if signals == nil {
		signals = cmdline.UntilSignal
	}
	ctx, stop := signals(ctx)
	defer stop()
	defer cmdline.OnHangup(o.Log, a.Reload)()
	o.Log.Info("serving", slog.String("version", o.Version), slog.String("listen", l.Public.Addr().String()),
		slog.String("inner_listen", l.Inner.Addr().String()), slog.String("public", s.Public.String()), slog.Int64("start_ms", time.Since(started).Milliseconds()))
	c.welcome(s, link, l.Inner.Addr())
	if c.Started != nil {
		c.Started(l.Public.Addr().String(), l.Inner.Addr().String())
	}
	if len(seeds) > 0 {
		seeding, end := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { c.seed(seeding, a, seeds, o.Log) })
		defer done.Wait()
		defer end()
	}
	return a.Serve(ctx, l)
}

// setupLink gives the address that sets this installation up, with a code in it where
// a person is there to read it; empty when it is set up. A code is drawn anew at every
// start on a terminal until it was used: the former one is known to nobody any more.
func (c *command) setupLink(ctx context.Context, a *app.App) (string, error) {
	at, err := a.Installation.SetUpAt(ctx)
	if err != nil || at != nil {
		return "", err
	}
	link := a.Settings.Public.JoinPath("/setup")
	if code := a.Settings.SetupToken; !code.IsZero() {
		return link.String(), a.Installation.UseCode(ctx, code)
	}
	if !c.Terminal {
		return link.String(), nil
	}
	code, err := a.Installation.NewCode(ctx)
	if errors.Is(err, installation.ErrAlreadySetUp) {
		return "", nil
	}
	link.RawQuery = url.Values{"code": {code.Reveal()}}.Encode()
	return link.String(), err
}

// welcome tells a person what to do next. A log gets none of it.
func (c *command) welcome(s *app.Settings, link string, inner net.Addr) {
	if !c.Terminal {
		return
	}
	where := s.DataDir
	if !s.Embedded() {
		where = "Postgres"
	}
	scheme := "http"
	if s.TLS() {
		scheme = "https"
	}
	fmt.Fprintf(c.Stdout, "\ncore %s serves %s\n  health and metrics on %s://%s, data in %s\n", c.Version, s.Public, scheme, inner, where)
	next := "Sign"
	if link != "" {
		fmt.Fprintf(c.Stdout, "\nSet it up, once, in a browser:\n  %s\n", link)
		next = "Then sign"
	}
	fmt.Fprintf(c.Stdout, "\n%s a command line in, in another terminal:\n  %s login --host %s\n\nCtrl-C stops it.\n\n", next, c.difyauth(), s.Public)
}
