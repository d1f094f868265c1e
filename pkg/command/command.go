// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Exit codes.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2 // wrong arguments or settings
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage makes an error a mistake in how the command was called.
func Usage(err error) error { return usageError{err} }

// Report says to a person why a command has failed, and gives its exit code.
func Report(stderr io.Writer, program string, err error) int {
	if err == nil {
		return ExitOK
	}
	var problems config.Problems
	var usage usageError
	var refusal *fault.Error
	switch {
	case errors.As(err, &problems):
		fmt.Fprintf(stderr, "%s: the configuration does not hold:\n", program)
		for _, p := range problems {
			fmt.Fprintf(stderr, "  %s: %s\n", p.Key, p.Text)
		}
		return ExitUsage
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s: %v\nType \"%s --help\" for the commands.\n", program, err, program)
		return ExitUsage
	case errors.As(err, &refusal):
		fmt.Fprintln(stderr, program+":", strings.TrimSpace(refusal.Text()+" "+refusal.Hint()))
		for _, d := range refusal.Details() {
			fmt.Fprintf(stderr, "  %s: %s\n", place(d.Loc), d.Msg)
		}
	default:
		fmt.Fprintln(stderr, program+":", harmless(err.Error()))
	}
	return ExitFailure
}

// harmless takes out what would steer a terminal: an error may repeat what a peer has said.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

func place(loc []any) string {
	parts := make([]string, len(loc))
	for i, l := range loc {
		parts[i] = fmt.Sprint(l)
	}
	return strings.Join(parts, ".")
}

// NoArgs refuses arguments as a usage error.
func NoArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

// Args asks for exactly the arguments that are named.
func Args(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usageError{fmt.Errorf("%s takes %s", cmd.CommandPath(), strings.Join(names, " "))}
		}
		return nil
	}
}

// Group is a command that only has others under it.
func Group(cmd *cobra.Command, under ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(under...)
	cmd.Args = cobra.ArbitraryArgs // judged below, as a usage error
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])}
		}
		return cmd.Help()
	}
	return cmd
}

// Flags are settings as flags of a program.
type Flags struct {
	// File is what --config names.
	File  string
	given map[string]*string // by configuration key
}

// SettingFlags gives every setting of a struct that is no secret a flag: LISTEN is
// --listen. A secret on a command line would be seen by everybody on the machine. Help
// lists those of usual alone.
func SettingFlags(root *cobra.Command, defaults any, usual []string) *Flags {
	f := &Flags{given: map[string]*string{}}
	root.PersistentFlags().StringVar(&f.File, "config", "", "configuration file ("+root.Name()+".yaml where there is one)")
	for _, field := range config.Fields(defaults) {
		if !field.Secret {
			name := flagOf(field.Key)
			f.given[field.Key] = root.PersistentFlags().String(name, field.Value, field.Doc)
			root.PersistentFlags().Lookup(name).Hidden = !slices.Contains(usual, field.Key)
		}
	}
	return f
}

func flagOf(key string) string { return strings.ToLower(strings.ReplaceAll(key, "_", "-")) }

// Given are the settings that a command was called with.
func (f *Flags) Given(cmd *cobra.Command) map[string]string {
	given := map[string]string{}
	for key, value := range f.given {
		if cmd.Flags().Changed(flagOf(key)) {
			given[key] = *value
		}
	}
	return given
}

// Output is -o: how answers are written.
type Output struct {
	To     io.Writer
	format string
}

// JSON reports whether a script reads the answer.
func (o *Output) JSON() bool { return o.format == "json" }

// On adds -o to a command whose answer a script would want.
func (o *Output) On(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&o.format, "output", "o", "text", "text or json")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.format != "text" && o.format != "json" {
			return usageError{errors.New("-o takes text or json")}
		}
		return run(cmd, args)
	}
	return cmd
}

// Print writes v as JSON under -o json, else the text.
func (o *Output) Print(v any, format string, args ...any) error {
	if o.JSON() {
		return json.NewEncoder(o.To).Encode(v)
	}
	_, err := fmt.Fprintf(o.To, format, args...)
	return err
}

// UntilSignal ends its context with SIGTERM or SIGINT and leaves the second to the
// system, which ends the process.
func UntilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// OnHangup calls again at every SIGHUP until stop, and outlives its panics, each of which
// is logged. Without it the signal would end the process, which is not what those who send
// it to a server mean.
func OnHangup(log *slog.Logger, again func()) (stop func()) {
	surviving := func() {
		defer func() {
			if p := recover(); p != nil {
				// The value may hold what was read; its type and the stack do not.
				log.Error("SIGHUP was not served", slog.String("error", fmt.Sprintf("panic of type %T\n%s", p, debug.Stack())))
			}
		}()
		again()
	}
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-hangups:
				surviving()
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(hangups); close(done) }
}
