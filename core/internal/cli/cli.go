// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Env is what a command finds around it.
type Env struct {
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Environ  []string
	Terminal bool // stdout is read by a person
	Asks     bool // stdin is written by one
	Watched  bool // stderr is read by a person
	Version  string
	// Client is how a person here calls the command-line client; empty means difyauth.
	Client string
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
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
		Terminal: isatty.IsTerminal(os.Stdout.Fd()), Asks: isatty.IsTerminal(os.Stdin.Fd()),
		Watched: isatty.IsTerminal(os.Stderr.Fd()), Version: strings.TrimPrefix(version, "v"), Signals: cmdline.UntilSignal, Client: client(),
	}
}

// client finds difyauth on the path or, in a fresh checkout, beside this program.
func client() string {
	const name = "difyauth"
	if _, err := exec.LookPath(name); err == nil {
		return name
	}
	self, err := os.Executable()
	if err != nil {
		return name
	}
	beside := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(beside); err != nil {
		return name
	}
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, beside); err == nil && !strings.HasPrefix(relative, "..") {
			return relative
		}
	}
	return beside
}

// Run runs one command and gives its exit code.
func Run(args []string, env Env) int {
	if env.Patience == 0 {
		env.Patience = 10 * time.Second
	}
	c := &command{Env: env, out: &cmdline.Output{To: env.Stdout}}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	return cmdline.Report(env.Stderr, app.Program, root.ExecuteContext(context.Background()))
}

type command struct {
	Env
	out   *cmdline.Output
	yes   bool
	flags *cmdline.Flags
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "core",
		Short: "Sign-in for command-line tools: the OAuth 2.0 device authorization grant",
		Long: `core signs command-line tools in through a browser (RFC 8628) and keeps what
they are signed in on.

Settings come from core.yaml, the environment and flags; the last wins. Every
setting that "core config print" lists is all three: DATA_DIR, data_dir and
--data-dir; secrets have no flag but are also read from the file that SECRET_KEY_FILE
and the like name. Without any, everything is kept in ./data and served on
http://127.0.0.1:5001.

  core serve                 serve, on the embedded database
  core admin setup-code      let the first owner in by a browser
  core admin create-owner    or create them here
  core admin --help          accounts, sessions, revocation
  core app --help            the apps that people run: add, import, check
  core audit --help          what happened: read, export, prune
  core keyset --help         secrets shared with sso-bridge: make, rotate
  core secrets init          the secrets of an installation on Postgres, for Kubernetes or as files
  core doctor                what is wrong, or will be
  core probe ADDRESS         sign a client in and out, to see whether that works
  core config print          every setting with its value

Exit codes: 0 done, 1 failed, 2 wrong arguments or settings.`,
		SilenceUsage: true, SilenceErrors: true, Version: c.Version,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetVersionTemplate("core {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cmdline.Usage(err) })
	defaults := app.Defaults()
	c.flags = cmdline.SettingFlags(root, &defaults, usual)
	cmdline.Group(root)
	root.AddCommand(c.serve(), c.config(), c.migrate(), c.admin(), c.app(), c.audit(), c.keyset(), c.secrets(), c.doctor(), c.healthcheck(), c.probe(), c.version())
	return root
}

// usual are the settings whose flags the help lists; "core config print" has them all.
var usual = []string{"LISTEN", "CONSOLE_API_URL", "DATA_DIR", "LOG_FORMAT"}

// settings reads them from all sources.
func (c *command) settings(cmd *cobra.Command) (*app.Settings, error) {
	return app.Load(c.sources(cmd))
}

// databaseSettings is settings for a command that touches the database alone.
func (c *command) databaseSettings(cmd *cobra.Command) (*app.Settings, error) {
	sources := c.sources(cmd)
	sources.DatabaseAlone = true
	return app.Load(sources)
}

func (c *command) sources(cmd *cobra.Command) app.Sources {
	return app.Sources{File: c.flags.File, Environ: c.Environ, Flags: c.flags.Given(cmd)}
}

func (c *command) version() *cobra.Command {
	return c.out.On(&cobra.Command{Use: "version", Short: "Print the version", Args: cmdline.NoArgs, RunE: func(*cobra.Command, []string) error {
		return c.out.Print(map[string]string{"version": c.Version}, "core %s\n", c.Version)
	}})
}

// reveal reads a password for a command: a file's first line, or standard input's.
func (c *command) reveal(path string) (secret.Text, error) {
	in := c.Stdin
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the operator names the file
		if err != nil {
			return secret.Text{}, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return secret.Text{}, err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	return secret.New(strings.TrimSuffix(line, "\r")), nil
}
