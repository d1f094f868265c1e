// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestReport(t *testing.T) {
	var problems config.Problems
	problems.Add("LISTEN", "must be host:port")
	refusal := fault.New(fault.Conflict, "taken", "It is taken.").Hinted("Choose another.").Detailed(fault.Detail{Loc: []any{"oidc", "scopes", 1}, Msg: "no"})
	for name, tc := range map[string]struct {
		err  error
		code int
		says string
	}{
		"nothing":      {nil, command.ExitOK, ""},
		"settings":     {fmt.Errorf("read: %w", problems), command.ExitUsage, "svc: the configuration does not hold:\n  LISTEN: must be host:port\n"},
		"usage":        {command.Usage(errors.New("what?")), command.ExitUsage, "svc: what?\nType \"svc --help\" for the commands.\n"},
		"a refusal":    {refusal, command.ExitFailure, "svc: It is taken. Choose another.\n  oidc.scopes.1: no\n"},
		"another":      {errors.New("disk full"), command.ExitFailure, "svc: disk full\n"},
		"usage within": {errors.Join(command.Usage(errors.New("a")), errors.New("b")), command.ExitUsage, "svc: a\nb\nType \"svc --help\" for the commands.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if code := command.Report(&out, "svc", tc.err); code != tc.code || out.String() != tc.says {
				t.Errorf("%d %q", code, out.String())
			}
		})
	}
}

// settings are some of a service.
type settings struct {
	Listen    string      `env:"LISTEN" doc:"address"`
	Rarely    int         `env:"RARELY_SET" doc:"number"`
	SecretKey secret.Text `env:"SECRET_KEY" doc:"key"`
}

func TestFlags(t *testing.T) {
	var given map[string]string
	root := &cobra.Command{Use: "svc", SilenceErrors: true, SilenceUsage: true}
	flags := command.SettingFlags(root, &settings{Listen: ":1", Rarely: 7}, []string{"LISTEN"})
	output := &command.Output{To: &bytes.Buffer{}}
	do := output.On(&cobra.Command{Use: "do", Args: command.Args("WHAT"), RunE: func(cmd *cobra.Command, _ []string) error {
		given = flags.Given(cmd)
		return nil
	}})
	bare := &cobra.Command{Use: "bare", Args: command.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
	command.Group(root, do, bare)
	call := func(args ...string) error {
		given = nil
		root.SetArgs(args)
		return root.ExecuteContext(t.Context())
	}
	if err := call("do", "it", "--listen", ":2", "--config", "x.yaml", "-o", "json"); err != nil {
		t.Fatal(err)
	}
	if len(given) != 1 || given["LISTEN"] != ":2" || flags.File != "x.yaml" || !output.JSON() {
		t.Errorf("%v, %s", given, flags.File)
	}
	for name, flag := range map[string]string{"a secret is on no command line": "secret-key", "a setting that is none": "nothing"} {
		if root.PersistentFlags().Lookup(flag) != nil {
			t.Error(name)
		}
	}
	if root.PersistentFlags().Lookup("listen").Hidden || !root.PersistentFlags().Lookup("rarely-set").Hidden {
		t.Error("help lists what is usual alone")
	}
	for name, args := range map[string][]string{
		"an argument is missing": {"do"}, "one too many": {"do", "a", "b"}, "none is taken": {"bare", "a"}, "no such command": {"undo"}, "a form that is none": {"do", "it", "-o", "xml"},
	} {
		if err := call(args...); command.Report(&bytes.Buffer{}, "svc", err) != command.ExitUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOutput(t *testing.T) {
	for format, want := range map[string]string{"text": "one is 1\n", "json": `{"one":1}` + "\n"} {
		var to bytes.Buffer
		o := &command.Output{To: &to}
		cmd := o.On(&cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error {
			return o.Print(map[string]int{"one": 1}, "one is %d\n", 1)
		}})
		cmd.SetArgs([]string{"-o", format})
		if err := cmd.ExecuteContext(t.Context()); err != nil || to.String() != want {
			t.Errorf("%s: %q, %v", format, to.String(), err)
		}
	}
}

func TestAHangupIsServedAgainAfterAPanic(t *testing.T) {
	calls := make(chan int)
	n := 0
	stop := command.OnHangup(slog.New(slog.DiscardHandler), func() {
		n++
		calls <- n
		if n == 1 {
			panic("a defect")
		}
	})
	defer stop()
	for want := 1; want <= 2; want++ {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-calls:
			if got != want {
				t.Errorf("call %d", got)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("not called")
		}
	}
}

func TestPlace(t *testing.T) {
	inUse := &datadir.InUseError{}
	for name, tc := range map[string]struct {
		served error
		lock   error
		does   string
		fails  bool
	}{
		"a service does it":              {nil, nil, "served", false},
		"a service refuses":              {fault.ErrInternal, nil, "", true},
		"no service":                     {control.ErrNoService, nil, "direct", false},
		"no service and no lock":         {control.ErrNoService, errors.New("read-only"), "", true},
		"somebody keeps the lock for us": {control.ErrNoService, inUse, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var does string
			released := 0
			err := command.Place{
				Program: "svc", Database: t.TempDir() + "/none.db", Patience: -time.Second,
				Served: func(context.Context) error {
					if tc.served == nil {
						does = "served"
					}
					return tc.served
				},
				Lock: func(context.Context) (func() error, error) {
					return func() error { released++; return nil }, tc.lock
				},
				Direct: func(context.Context) error { does = "direct"; return nil },
			}.Do(t.Context())
			if does != tc.does || (err != nil) != tc.fails || released != map[string]int{"direct": 1}[does] {
				t.Errorf("%q, %v, %d", does, err, released)
			}
		})
	}
}
