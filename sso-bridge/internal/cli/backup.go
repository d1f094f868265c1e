// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

func (c *cli) backup() *cobra.Command {
	var to string
	cmd := c.out.On(&cobra.Command{
		Use: "backup --to FILE", Short: "Copy everything that is kept in DATA_DIR, beside a running bridge", Args: command.NoArgs,
		Long: `Copy the database, as it is at one moment, and the keys that lie beside it into one
file of mode 0600. The bridge goes on meanwhile; logins under way are not in the copy. The
file is the whole bridge, the signing keys of its SAML connections included: keep it as
you keep its keys. --to - writes to standard output, for a program that encrypts. While it
is made DATA_DIR needs room for a second database.

  sso-bridge admin backup --to /var/backups/sso-bridge-$(date +%F).tar
  sso-bridge admin backup --to - | age -r age1... > sso-bridge.tar.age

The key set (KEYSET_FILE) is not in it, nor are keys that you give yourself (SECRET_KEY,
SEALING_KEY_FILE). With Postgres use pg_dump (docs/operating/backup.md).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return command.Usage(errors.New("--to is required: a file, or - for standard output"))
			}
			if to == "-" && (c.Terminal || c.out.JSON()) {
				return command.Usage(errors.New("--to - writes the copy itself to standard output: send it to a file or a program, without -o json"))
			}
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
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
				return c.out.Print(made, "%s holds the bridge as of %s (%d bytes). Whoever has this file has the bridge.\n", to, made.MadeAt.Format(time.RFC3339), made.Size)
			})
		},
	})
	cmd.Flags().StringVar(&to, "to", "", "file to write, or - for standard output")
	return cmd
}

func (c *cli) restore() *cobra.Command {
	var from string
	cmd := c.out.On(&cobra.Command{
		Use: "restore --from FILE", Short: "Bring a copy of \"sso-bridge admin backup\" back, into an empty DATA_DIR", Args: command.NoArgs,
		Long: `Bring back what "sso-bridge admin backup" has copied. DATA_DIR must be empty or missing;
keys that you have put there may stay. Nothing is put in place before the copy was read to
its end and its keys were found to fit its database.

  sso-bridge admin restore --from sso-bridge.tar --data-dir /var/lib/sso-bridge
  age -d sso-bridge.tar.age | sso-bridge admin restore --from -

A connection that was changed, disabled or deleted after the copy was made is as it was
before: change it again, before the bridge serves where it was disabled or deleted.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if from == "" {
				return command.Usage(errors.New("--from is required: a file, or - for standard input"))
			}
			s, err := c.databaseSettings(cmd)
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
			release, err := app.LockData(cmd.Context(), s, strings.TrimPrefix(cmd.CommandPath(), app.Program+" "), 0)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, release()) }()
			m, err := app.Restore(cmd.Context(), s, in)
			if err != nil {
				return err
			}
			return c.out.Print(m, "%s holds the bridge as of %s. What was changed after that is as it was before: disable again what was disabled, then start the bridge.\n", s.DataDir, m.MadeAt.Format(time.RFC3339))
		},
	})
	cmd.Flags().StringVar(&from, "from", "", "file to read, or - for standard input")
	return cmd
}
