// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/backup"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

func (c *command) copies() cmdline.Copies {
	return cmdline.Copies{
		Kind: app.Copies, Out: c.out, Stdin: c.Stdin, Stdout: c.Stdout, Terminal: c.Terminal,
		What: "the installation", After: "What was ended after that is alive again: end it now, then start core.",
	}
}

func (c *command) backup() *cobra.Command {
	return c.copies().Backup(&cobra.Command{
		Short: "Copy everything that is kept in DATA_DIR, beside a running server",
		Long: `Copy the database, as it is at one moment, and the keys that lie beside it into one
file of mode 0600. The server goes on meanwhile. The file is the whole installation:
keep it as you keep its keys. --to - writes to standard output, for a program that
encrypts. While it is made DATA_DIR needs room for a second database.

  core admin backup --to /var/backups/core-$(date +%F).tar
  core admin backup --to - | age -r age1... > core.tar.age

Keys that you give yourself (SECRET_KEY, SEALING_KEY_FILE) are not in it. With Postgres
use pg_dump (docs/operating/backup.md).`,
	}, func(cmd *cobra.Command, do func(context.Context, func(context.Context) (backup.Snapshot, error)) error) error {
		return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error { return do(ctx, by.Snapshot) })
	})
}

func (c *command) restore() *cobra.Command {
	return c.copies().Restore(&cobra.Command{
		Short: "Bring a copy of \"core admin backup\" back, into an empty DATA_DIR",
		Long: `Bring back what "core admin backup" has copied. DATA_DIR must be empty or missing; keys
that you have put there may stay. Nothing is put in place before the copy was read to
its end and its keys were found to fit its database.

  core admin restore --from core.tar --data-dir /var/lib/dify-sso
  age -d core.tar.age | core admin restore --from -

What was ended after the copy was made is alive again: end it again before core serves.`,
	}, func(cmd *cobra.Command, from io.Reader) (m backup.Manifest, dir string, err error) {
		s, err := c.settings(cmd)
		if err != nil {
			return m, "", err
		}
		if !s.Embedded() {
			return m, "", backup.ErrNotEmbedded
		}
		release, err := app.LockData(cmd.Context(), s, doing(cmd), 0)
		if err != nil {
			return m, "", err
		}
		defer func() { err = errors.Join(err, release()) }()
		m, err = app.Restore(cmd.Context(), s, from)
		return m, s.DataDir, err
	})
}
