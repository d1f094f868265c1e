// SPDX-License-Identifier: Apache-2.0

// Package cli is the command difyauth: what it says, what it keeps and how it exits. The
// sign-in itself is package deviceauth.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/browser"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/keyring"
)

// Env is what the command finds around it.
type Env struct {
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Environ  []string
	Screen   bool // stdout is read by a person
	Trace    bool // stderr is
	Keyboard bool // stdin is typed by one
	// Width gives the columns of the screen, 0 when they are not known; nil means not.
	Width   func() int
	Version string
	// Transport carries the requests; nil means the network.
	Transport http.RoundTripper
	// Keyring keeps tokens; nil means that there is none.
	Keyring keyring.Keyring
	// OpenBrowser shows an address to the person.
	OpenBrowser func(uri string) error
	Hostname    func() (string, error)
	// Signals gives a context that Ctrl-C ends; nil means one that nothing ends.
	Signals func(context.Context) (context.Context, context.CancelFunc)
}

// System is the environment of this process. An empty version means that of the build.
func System(version string) Env {
	if version == "" {
		version = "unknown"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			version = strings.Trim(info.Main.Version, "()")
		}
	}
	return Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
		Screen: term.IsTerminal(descriptor(os.Stdout)), Trace: term.IsTerminal(descriptor(os.Stderr)),
		Keyboard: term.IsTerminal(descriptor(os.Stdin)), Keyring: keyring.System(),
		Width: func() int {
			columns, _, err := term.GetSize(descriptor(os.Stdout))
			if err != nil {
				return 0
			}
			return columns
		},
		Version: strings.TrimPrefix(version, "v"), OpenBrowser: browser.Open, Hostname: os.Hostname, Signals: untilSignal,
	}
}

func descriptor(f *os.File) int { return int(f.Fd()) }

// errTerminated is the cause of a context that SIGTERM ended.
var errTerminated = errors.New("terminated")

// untilSignal ends the context at the first signal; a second one ends the process as if
// nobody listened.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			if s == syscall.SIGTERM {
				cancel(errTerminated)
			}
			cancel(nil)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

type command struct {
	Env
	host     string // --host
	insecure bool
	output   string
	keep     string // --store
	quiet    bool   // a shell asks: stderr is the line being typed
	at       string // the server that is spoken to, once it is known
}

// Run runs one command and gives its exit code.
func Run(args []string, env Env) int {
	c := &command{Env: env, output: wanted(args)}
	ctx, stop := context.Background(), context.CancelFunc(func() {})
	if env.Signals != nil {
		ctx, stop = env.Signals(ctx)
	}
	defer stop()
	root := c.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		stopped := interrupted{terminated: errors.Is(context.Cause(ctx), errTerminated)}
		errors.As(err, &stopped.left)
		err = stopped
	}
	f := c.explain(err)
	c.complain("error", f)
	return f.exit
}

// wanted finds -o before the flags are parsed: a mistake in them is told in that form
// too.
func wanted(args []string) string {
	for i, a := range args {
		switch {
		case a == "--":
			return "text"
		case a == "-ojson", a == "-o=json", a == "--output=json", (a == "-o" || a == "--output") && i+1 < len(args) && args[i+1] == "json":
			return "json"
		}
	}
	return "text"
}

// complain writes an error or a warning to stderr.
func (c *command) complain(kind string, f failure) {
	if c.quiet {
		return
	}
	if c.output == "json" {
		_ = json.NewEncoder(c.Stderr).Encode(map[string]failure{kind: f})
		return
	}
	if kind != "error" {
		kind = "difyauth: " + kind
	} else {
		kind = "difyauth"
	}
	fmt.Fprintf(c.Stderr, "%s: %s\n", kind, f.Message)
}

func (c *command) warn(code, format string, args ...any) {
	c.complain("warning", failure{Code: code, Message: fmt.Sprintf(format, args...)})
}

// print writes v as JSON under -o json, else the text.
func (c *command) print(v any, format string, args ...any) error {
	if c.output == "json" {
		return json.NewEncoder(c.Stdout).Encode(v)
	}
	_, err := fmt.Fprintf(c.Stdout, format, args...)
	return err
}

// env reads a variable.
func (c *command) env(name string) string {
	value := ""
	for _, v := range c.Environ {
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			value = rest // the last one counts, as in os/exec
		}
	}
	return value
}

const rootHelp = `difyauth signs this machine in on a dify-sso server, runs the apps that it keeps, and
hands the token to scripts.

  difyauth login --host https://sso.example.com
  difyauth status
  difyauth apps list
  difyauth run "Support bot" "How do I reset my password?"
  curl -H @<(printf 'Authorization: Bearer %s' "$(difyauth token)") \
    https://sso.example.com/openapi/v1/account
  difyauth devices list
  difyauth logout

Without --host a command speaks to DIFYAUTH_HOST, else to the server of the last
sign-in. With -o json it answers in JSON, an error as one line on stderr:
{"error":{"code":"not_signed_in","message":"…"}}.

The token is kept in the keyring of the session (Secret Service, macOS keychain,
Windows credential manager), or, where none answers within 3 seconds, in
credentials.json, which only you can read.

Environment:
  DIFYAUTH_HOST        server to speak to
  DIFYAUTH_TOKEN       token to use in place of the stored one, and never stored; it
                       needs a named server
  DIFYAUTH_STORE       where a token is kept: keyring, file or auto (the default)
  DIFYAUTH_CONFIG_DIR  folder of credentials.json (mode 0700, the file 0600); else the
                       folder difyauth in the user's configuration folder
  HTTPS_PROXY, NO_PROXY  the proxy to go through, and the hosts to reach without it
  NO_COLOR             no bold text and no colour

Exit codes:
  0    done
  1    failed
  2    wrong arguments
  3    run and resume: the run waits for a person
  4    not signed in; the sign-in was refused, or has run out
  5    status alone: the server does not accept the token
  6    status alone: the server cannot be reached
  7    the server has had too many requests: wait and try again
  8    run and resume: the run failed, or was stopped
  9    run and resume: the run was broken off with an error
  10   run and resume: the answer ended in the middle
  130  stopped by Ctrl-C`

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use: "difyauth", Short: "Sign this machine in on a dify-sso server, and run its apps", Long: rootHelp,
		SilenceUsage: true, SilenceErrors: true, Version: c.Version,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // ours has our errors
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if c.output != "text" && c.output != "json" {
				c.output = "text"
				return usagef("-o takes text or json")
			}
			return nil
		},
	}
	root.SetVersionTemplate("difyauth {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&c.host, "host", "", "server to speak to, such as https://sso.example.com")
	flags.BoolVar(&c.insecure, "insecure", false, "allow an http:// server that is not this machine: whoever sees the network then has the token")
	flags.StringVarP(&c.output, "output", "o", c.output, "text or json")
	group(root)
	root.AddCommand(c.login(), c.status(), c.token(), c.whoami(), c.devices(), c.logout(),
		c.workspaces(), c.members(), c.apps(), c.run(), c.resume(), c.completion(), c.man(), c.version())
	c.complete(root)
	return root
}

// noArgs refuses arguments as a usage error.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}

// group is a command that only has others under it.
func group(cmd *cobra.Command, under ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(under...)
	cmd.Args = cobra.ArbitraryArgs // judged below, as a usage error
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("%s has no command %q", cmd.CommandPath(), args[0])
		}
		return cmd.Help()
	}
	return cmd
}

func (c *command) version() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: noArgs, RunE: func(*cobra.Command, []string) error {
		return c.print(map[string]string{"version": c.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}, "difyauth %s\n", c.Version)
	}}
}
