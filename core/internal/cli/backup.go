// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/backup"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

func (c *command) backup() *cobra.Command {
	var to string
	cmd := c.out.On(&cobra.Command{
		Use: "backup --to FILE", Short: "Copy everything that is kept in DATA_DIR, beside a running server", Args: cmdline.NoArgs,
		Long: `Copy the database, as it is at one moment, and the keys that lie beside it into one
file of mode 0600. The server goes on meanwhile. The file is the whole installation:
keep it as you keep its keys. --to - writes to standard output, for a program that
encrypts. While it is made DATA_DIR needs room for a second database.

  core admin backup --to /var/backups/core-$(date +%F).tar
  core admin backup --to - | age -r age1... > core.tar.age

Keys that you give yourself (SECRET_KEY, SEALING_KEY_FILE) are not in it. With Postgres
use pg_dump (docs/operating/backup.md).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return cmdline.Usage(errors.New("--to is required: a file, or - for standard output"))
			}
			if to == "-" && (c.Terminal || c.out.JSON()) {
				return cmdline.Usage(errors.New("--to - writes the copy itself to standard output: send it to a file or a program, without -o json"))
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				s, err := by.Snapshot(ctx)
				if err != nil {
					return err
				}
				defer func() { _ = os.RemoveAll(s.Dir) }()
				if to == "-" {
					return app.Copies.Pack(c.Stdout, s)
				}
				made, err := app.Copies.PackInto(to, s)
				if err != nil {
					return fmt.Errorf("--to: %w", err)
				}
				return c.out.Print(made, "%s holds the installation as of %s (%d bytes). Whoever has this file has the installation.\n", to, made.MadeAt.Format(time.RFC3339), made.Size)
			})
		},
	})
	cmd.Flags().StringVar(&to, "to", "", "file to write, or - for standard output")
	return cmd
}

func (c *command) restore() *cobra.Command {
	var from string
	cmd := c.out.On(&cobra.Command{
		Use: "restore --from FILE", Short: "Bring a copy of \"core admin backup\" back, into an empty DATA_DIR", Args: cmdline.NoArgs,
		Long: `Bring back what "core admin backup" has copied. DATA_DIR must be empty or missing; keys
that you have put there may stay. Nothing is put in place before the copy was read to
its end and its keys were found to fit its database.

  core admin restore --from core.tar --data-dir /var/lib/dify-sso
  age -d core.tar.age | core admin restore --from -

What was ended after the copy was made is alive again: end it again before core serves.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if from == "" {
				return cmdline.Usage(errors.New("--from is required: a file, or - for standard input"))
			}
			s, err := c.settings(cmd)
			if err != nil {
				return err
			}
			if !s.Embedded() {
				return backup.ErrNotEmbedded
			}
			in := c.Stdin
			if from != "-" {
				f, err := os.Open(from) //nolint:gosec // the operator names the file
				if err != nil {
					return fmt.Errorf("--from: %w", err)
				}
				defer func() { _ = f.Close() }()
				in = f
			}
			release, err := app.LockData(cmd.Context(), s, doing(cmd), 0)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, release()) }()
			m, err := app.Restore(cmd.Context(), s, in)
			if err != nil {
				return err
			}
			return c.out.Print(m, "%s holds the installation as of %s. What was ended after that is alive again: end it now, then start core.\n", s.DataDir, m.MadeAt.Format(time.RFC3339))
		},
	})
	cmd.Flags().StringVar(&from, "from", "", "file to read, or - for standard input")
	return cmd
}
