// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

func (c *cli) copies() command.Copies {
	return command.Copies{
		Kind: app.Copies, Out: c.out, Stdin: c.Stdin, Stdout: c.Stdout, Terminal: c.Terminal,
		What: "the bridge", After: "What was changed after that is as it was before: disable again what was disabled, then start the bridge.",
	}
}

func (c *cli) backup() *cobra.Command {
	return c.copies().Backup(&cobra.Command{
		Short: "Copy everything that is kept in DATA_DIR, beside a running bridge",
		Long: `Copy the database, as it is at one moment, and the keys that lie beside it into one
file of mode 0600. The bridge goes on meanwhile; logins under way are not in the copy. The
file is the whole bridge, the signing keys of its SAML connections included: keep it as
you keep its keys. --to - writes to standard output, for a program that encrypts. While it
is made DATA_DIR needs room for a second database.

  sso-bridge admin backup --to /var/backups/sso-bridge-$(date +%F).tar
  sso-bridge admin backup --to - | age -r age1... > sso-bridge.tar.age

The key set (KEYSET_FILE) is not in it, nor are keys that you give yourself (SECRET_KEY,
SEALING_KEY_FILE). With Postgres use pg_dump (docs/operating/backup.md).`,
	}, func(cmd *cobra.Command, do func(context.Context, func(context.Context) (backup.Snapshot, error)) error) error {
		return c.operate(cmd, func(ctx context.Context, by operator.Operations) error { return do(ctx, by.Snapshot) })
	})
}

func (c *cli) restore() *cobra.Command {
	return c.copies().Restore(&cobra.Command{
		Short: "Bring a copy of \"sso-bridge admin backup\" back, into an empty DATA_DIR",
		Long: `Bring back what "sso-bridge admin backup" has copied. DATA_DIR must be empty or missing;
keys that you have put there may stay. Nothing is put in place before the copy was read to
its end and its keys were found to fit its database.

  sso-bridge admin restore --from sso-bridge.tar --data-dir /var/lib/sso-bridge
  age -d sso-bridge.tar.age | sso-bridge admin restore --from -

A connection that was changed, disabled or deleted after the copy was made is as it was
before: change it again, before the bridge serves where it was disabled or deleted.`,
	}, func(cmd *cobra.Command, from io.Reader) (m backup.Manifest, dir string, err error) {
		s, err := c.databaseSettings(cmd)
		if err != nil {
			return m, "", err
		}
		if !s.Embedded() {
			return m, "", backup.ErrNotEmbedded
		}
		release, err := app.LockData(cmd.Context(), s, strings.TrimPrefix(cmd.CommandPath(), app.Program+" "), 0)
		if err != nil {
			return m, "", err
		}
		defer func() { err = errors.Join(err, release()) }()
		m, err = app.Restore(cmd.Context(), s, from)
		return m, s.DataDir, err
	})
}
