// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

// backedUp is the answer of backup, restored that of restore.
type backedUp struct {
	File    string    `json:"file"`
	Size    int64     `json:"bytes"`
	Schema  int64     `json:"schema"`
	Version string    `json:"version"`
	MadeAt  time.Time `json:"made_at"`
	Files   []string  `json:"files"`
}

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
use pg_dump (docs/operating/fleet.md).`,
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
					return app.Pack(c.Stdout, s)
				}
				size, err := packInto(to, s)
				if err != nil {
					return err
				}
				return c.out.Print(backedUp{File: to, Size: size, Schema: s.Schema, Version: s.Version, MadeAt: s.MadeAt, Files: s.Files},
					"%s holds the installation as of %s (%d bytes). Whoever has this file has the installation.\n", to, s.MadeAt.Format(time.RFC3339), size)
			})
		},
	})
	cmd.Flags().StringVar(&to, "to", "", "file to write, or - for standard output")
	return cmd
}

// packInto makes the file in one step: there is never half a copy under its name.
func packInto(path string, s operator.Snapshot) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".core-backup-*") // 0600
	if err != nil {
		return 0, fmt.Errorf("--to: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = app.Pack(f, s)
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return size, os.Rename(f.Name(), path)
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
				return operator.ErrNotEmbedded
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
