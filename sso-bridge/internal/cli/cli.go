// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	commands "github.com/dify-sso/dify-sso/sso-bridge/internal/control"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// Env is what a command finds around it.
type Env struct {
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Environ  []string
	Terminal bool // stdout is read by a person
	Version  string
	// Started is called once serve answers; nil is fine. Tests learn the ports by it.
	Started func(public, inner string)
	// Patience is how long a command waits for another process that has the data
	// directory; zero means ten seconds.
	Patience time.Duration
	// Signals ends serve; nil means SIGINT and SIGTERM of this process.
	Signals func(ctx context.Context) (context.Context, context.CancelFunc)
	// Options of every app that is built; tests wrap stores.
	Options app.Options
}

// System is the environment of this process.
func System(version string) Env {
	return Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Terminal: isatty.IsTerminal(os.Stdout.Fd()),
		Version: strings.TrimPrefix(version, "v"), Signals: command.UntilSignal,
	}
}

// Run runs one command and gives its exit code.
func Run(args []string, env Env) int {
	if env.Patience == 0 {
		env.Patience = 10 * time.Second
	}
	c := &cli{Env: env, out: &command.Output{To: env.Stdout}}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	return command.Report(env.Stderr, app.Program, root.ExecuteContext(context.Background()))
}

type cli struct {
	Env
	out   *command.Output
	flags *command.Flags
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   app.Program,
		Short: "Company single sign-on: SAML 2.0, OpenID Connect and OAuth 2.0 for core",
		Long: `sso-bridge signs people in at their company's identity provider and hands core a
signed message that says who they are. It is the sidecar of core's Enterprise Edition.

Settings come from sso-bridge.yaml, the environment and flags; the last wins. Every
setting that "sso-bridge config print" lists is all three: DATA_DIR, data_dir and
--data-dir; secrets have no flag but are also read from the file that SECRET_KEY_FILE
and the like name. Four have no default: SSO_BRIDGE_PUBLIC_URL, CONSOLE_API_URL,
CORE_INNER_URL and KEYSET_FILE, which "core keyset new" makes.

  sso-bridge serve                    serve, on the embedded database
  sso-bridge connection create --help  connect an identity provider
  sso-bridge connection test ID       try it, before anybody depends on it
  sso-bridge attempts show REFERENCE  why a sign-in was refused
  sso-bridge doctor                   what is wrong, or will be
  sso-bridge config check             every problem of the settings at once

Exit codes: 0 done, 1 failed, 2 wrong arguments or settings.`,
		SilenceUsage: true, SilenceErrors: true, Version: c.Version,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetVersionTemplate(app.Program + " {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return command.Usage(err) })
	defaults := app.Defaults()
	c.flags = command.SettingFlags(root, &defaults, []string{"LISTEN", "SSO_BRIDGE_PUBLIC_URL", "CONSOLE_API_URL", "DATA_DIR", "LOG_FORMAT"})
	return command.Group(root, c.serve(), c.config(), c.migrate(), c.connection(), c.attempts(), c.admin(), c.audit(), c.doctor(), c.healthcheck(), c.version())
}

func (c *cli) sources(cmd *cobra.Command) app.Sources {
	return app.Sources{File: c.flags.File, Environ: c.Environ, Flags: c.flags.Given(cmd)}
}

// settings reads them from all sources.
func (c *cli) settings(cmd *cobra.Command) (*app.Settings, error) { return app.Load(c.sources(cmd)) }

// databaseSettings is settings for a command that touches the database alone.
func (c *cli) databaseSettings(cmd *cobra.Command) (*app.Settings, error) {
	sources := c.sources(cmd)
	sources.DatabaseAlone = true
	return app.Load(sources)
}

// now is the clock of the application that the command acts for.
func (c *cli) now() time.Time {
	if c.Options.Now != nil {
		return c.Options.Now()
	}
	return time.Now()
}

func (c *cli) version() *cobra.Command {
	return c.out.On(&cobra.Command{Use: "version", Short: "Print the version", Args: command.NoArgs, RunE: func(*cobra.Command, []string) error {
		return c.out.Print(map[string]string{"version": c.Version}, app.Program+" %s\n", c.Version)
	}})
}

// act is what a command does with the operations, whoever they are done by.
type act func(ctx context.Context, by operator.Operations) error

// operate has a command done: on an embedded installation by the process that serves it,
// or, without one, by this process under the lock; with Postgres and Redis by this
// process, from wherever it is.
func (c *cli) operate(cmd *cobra.Command, fn act) error {
	s, err := c.settings(cmd)
	if err != nil {
		return err
	}
	direct := func(ctx context.Context) error { return c.direct(ctx, s, fn) }
	if !s.Embedded() {
		return direct(cmd.Context())
	}
	if _, err := os.Stat(s.Database()); errors.Is(err, os.ErrNotExist) && !creates(cmd) {
		return fmt.Errorf("there is no installation in %s, so nothing was done: name the right one with --data-dir or DATA_DIR", s.DataDir)
	}
	return command.Place{
		Program: app.Program, Database: s.Database(), Patience: c.Patience, Direct: direct,
		Served: func(ctx context.Context) error {
			service, err := commands.Connect(ctx, s.ControlSocket(), c.Version)
			if err != nil {
				return err
			}
			return fn(ctx, service)
		},
		Lock: func(ctx context.Context) (func() error, error) {
			return app.LockData(ctx, s, strings.TrimPrefix(cmd.CommandPath(), app.Program+" "), 0)
		},
	}.Do(cmd.Context())
}

// creates tells the command that may begin an installation.
func creates(cmd *cobra.Command) bool { return cmd.Name() == "create" }

// direct runs fn on the stores and closes them.
func (c *cli) direct(ctx context.Context, s *app.Settings, fn act) (err error) {
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
