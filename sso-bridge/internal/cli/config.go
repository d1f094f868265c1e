// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
)

func (c *cli) config() *cobra.Command {
	check := c.out.On(&cobra.Command{
		Use: "check", Short: "Judge the settings and the files they name, and list every problem", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.settings(cmd)
			if err != nil {
				return err
			}
			if _, err := s.Certificate(time.Now, telemetry.NewLogger(io.Discard, 0, "json")); err != nil {
				return err
			}
			text := "The configuration holds.\n"
			for _, w := range s.Warnings {
				text += "warning: " + w + "\n"
			}
			return c.out.Print(map[string]any{"ok": true, "warnings": append([]string{}, s.Warnings...)}, "%s", text)
		},
	})
	show := c.out.On(&cobra.Command{
		Use: "print", Short: "Print every setting as KEY=value; secrets are redacted", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.settings(cmd)
			if err != nil {
				return err
			}
			if c.out.JSON() {
				values := map[string]string{}
				for _, f := range config.Fields(&s.Config) {
					values[f.Key] = f.Value
				}
				return c.out.Print(values, "")
			}
			return config.Print(c.Stdout, &s.Config)
		},
	})
	return command.Group(&cobra.Command{Use: "config", Short: "Judge or print the settings"}, check, show)
}

func (c *cli) migrate() *cobra.Command {
	up := c.migration("up", "Apply what is pending", true, func(ctx context.Context, m *schema.Migrator) error {
		applied, err := m.Up(ctx)
		if err != nil {
			return err
		}
		return c.out.Print(map[string]any{"applied": append([]int64{}, applied...)}, "%d applied.\n", len(applied))
	})
	down := c.migration("down", "Take the newest migration back; what its tables hold is deleted", true, func(ctx context.Context, m *schema.Migrator) error {
		version, err := m.Down(ctx)
		if err != nil {
			return err
		}
		if version == 0 {
			return c.out.Print(map[string]any{"version": nil}, "Nothing to take back.\n")
		}
		return c.out.Print(map[string]any{"version": version}, "Version %d taken back.\n", version)
	})
	status := c.migration("status", "Compare the database with this program; exit 1 when they do not fit", false, func(ctx context.Context, m *schema.Migrator) error {
		s, err := m.Status(ctx)
		if err != nil {
			return err
		}
		if err := c.out.Print(map[string]int64{"database": s.Current, "program": s.Target, "pending": int64(s.Pending)},
			"database %d, program %d, pending %d\n", s.Current, s.Target, s.Pending); err != nil {
			return err
		}
		return s.Check()
	})
	return command.Group(&cobra.Command{Use: "migrate", Short: "Bring the database schema up to date, back, or compare it",
		Long: `On the embedded database "sso-bridge serve" applies what is pending by itself; up and
down refuse while a server is running on it. On Postgres nothing else does: call up
before the servers of a new version start. The address is MIGRATE_DATABASE_URL, or
DATABASE_URL; no other setting is needed. In core's database the tables have the prefix
sso_ and versions of their own.`}, up, down, status)
}

// migration is a command on the schema; those that change it keep servers out.
func (c *cli) migration(use, short string, changes bool, run func(context.Context, *schema.Migrator) error) *cobra.Command {
	return c.out.On(&cobra.Command{Use: use, Short: short, Args: command.NoArgs, RunE: func(cmd *cobra.Command, _ []string) (err error) {
		s, err := c.databaseSettings(cmd)
		if err != nil {
			return err
		}
		if changes {
			release, err := app.LockData(cmd.Context(), s, "migrate "+use, 0)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, release()) }()
		}
		db, err := app.OpenOwned(cmd.Context(), s)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		m, err := app.Migrator(db)
		if err != nil {
			return err
		}
		return run(cmd.Context(), m)
	}})
}
