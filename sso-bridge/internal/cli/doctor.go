// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	commands "github.com/dify-sso/dify-sso/sso-bridge/internal/control"
	examine "github.com/dify-sso/dify-sso/sso-bridge/internal/doctor"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

func (c *cli) doctor() *cobra.Command {
	var replicas []string
	cmd := c.out.On(&cobra.Command{
		Use: "doctor", Short: "Examine the installation and say what is wrong, or will be", Args: command.NoArgs,
		Long: `Examine settings, stores, schema, keys, clocks, addresses, certificates, core and the
identity providers, from where this command runs, beside a server that serves or without
one. Nothing is changed. Each finding has a sentence and what to do next; -o json is for
scripts, and docs/operating/doctor.md describes every check.

  sso-bridge doctor
  sso-bridge doctor --replica sso-dify-sso-bridge-replicas-inner:5004    each process behind a name
  sso-bridge doctor -o json | jq '.findings[] | select(.status=="fail")'

Exit codes: 0 nothing has failed, 1 something has, 2 the settings do not load.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.settings(cmd)
			if err != nil {
				return c.unloaded(err)
			}
			report, err := c.examine(cmd, s, replicas)
			if err != nil {
				return err
			}
			if c.out.JSON() {
				err = c.out.Print(report, "")
			} else {
				err = doctor.Print(c.Stdout, report)
			}
			if failed := report.Count(doctor.Fail); err == nil && failed > 0 {
				err = fmt.Errorf("checks that failed: %d", failed)
			}
			return err
		},
	})
	cmd.Flags().StringArrayVar(&replicas, "replica", nil, "second listener of a process, host:port or an address; a name with several addresses stands for all of them; repeat for more")
	return cmd
}

// unloaded reports settings that do not load, to a script in the form that it reads.
func (c *cli) unloaded(err error) error {
	if c.out.JSON() {
		if e := c.out.Print(doctor.NewReport(app.Program, c.Version, time.Now(), doctor.SettingProblems(err)), ""); e != nil {
			return e
		}
	}
	if _, listed := errors.AsType[config.Problems](err); listed {
		return err
	}
	return command.Usage(err)
}

// examine runs every check.
func (c *cli) examine(cmd *cobra.Command, s *app.Settings, replicas []string) (doctor.Report, error) {
	e := app.Examination{Settings: s, Version: c.Version, Environ: c.Environ, Replicas: replicas, Now: time.Now}
	if c.Options.Now != nil {
		e.Now = c.Options.Now
	}
	checks, err := e.Checks(cmd.Context())
	if err != nil {
		return doctor.Report{}, command.Usage(fmt.Errorf("--replica %w", err))
	}
	checks = append(checks, doctor.Check{ID: examine.ProviderReachable, Run: func(ctx context.Context) []doctor.Finding { return c.providers(ctx, e) }})
	limits := doctor.Limits{}
	if c.Terminal {
		limits.Waiting = func(ids []string) { fmt.Fprintf(c.Stderr, "waiting for %s\n", strings.Join(ids, ", ")) }
	}
	return doctor.NewReport(app.Program, c.Version, e.Now(), doctor.Run(cmd.Context(), checks, limits)), nil
}

// providers has the connections from the process that serves, or without one, or in a
// fleet, from the stores, and calls every provider from here.
func (c *cli) providers(ctx context.Context, e app.Examination) (found []doctor.Finding) {
	skipped := func(why string) []doctor.Finding {
		return []doctor.Finding{{Check: examine.ProviderReachable, Status: doctor.Skipped, Text: why}}
	}
	if !e.Usable(ctx) {
		return skipped("The connections are not read: see the checks of the database, the schema and the keys.")
	}
	look := func(ctx context.Context, by operator.Operations) error {
		list, err := by.Connections(ctx)
		if err == nil {
			found = e.Connections(ctx, list)
		}
		return err
	}
	place := command.Place{
		Program: app.Program, Database: e.Database(), Patience: c.Patience,
		Served: func(ctx context.Context) error {
			service, err := commands.Connect(ctx, e.ControlSocket(), c.Version)
			if err != nil {
				return err
			}
			return look(ctx, service)
		},
		Lock:   func(ctx context.Context) (func() error, error) { return app.LockData(ctx, e.Settings, "doctor", 0) },
		Direct: func(ctx context.Context) error { return c.direct(ctx, e.Settings, look) },
	}
	do := place.Do
	if !e.Embedded() {
		do = place.Direct
	}
	if err := do(ctx); err != nil && found == nil {
		return skipped("The connections are not read: neither the process that serves nor this one could open them.")
	}
	return found
}
