// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/backup"
)

// Copies are the commands that copy an embedded installation and bring it back.
type Copies struct {
	Kind     backup.Kind
	Out      *Output
	Stdin    io.Reader
	Stdout   io.Writer
	Terminal bool // Stdout is read by a person
	// What is what a copy holds, such as "the installation", and After what comes next where one
	// was brought back; both are parts of sentences.
	What, After string
}

// Backup gives the command; its Use and what is the same for all are filled in. With hands do to
// the operations of who has the installation, and snapshot to it.
func (c Copies) Backup(cmd *cobra.Command, with func(cmd *cobra.Command, do func(ctx context.Context, snapshot func(context.Context) (backup.Snapshot, error)) error) error) *cobra.Command {
	var to string
	cmd.Use, cmd.Args = "backup --to FILE", NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if to == "" {
			return Usage(errors.New("--to is required: a file, or - for standard output"))
		}
		if to == "-" && (c.Terminal || c.Out.JSON()) {
			return Usage(errors.New("--to - writes the copy itself to standard output: send it to a file or a program, without -o json"))
		}
		return with(cmd, func(ctx context.Context, snapshot func(context.Context) (backup.Snapshot, error)) error {
			s, err := snapshot(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(s.Dir) }()
			if to == "-" {
				return c.Kind.Pack(c.Stdout, s)
			}
			made, err := c.Kind.PackInto(to, s)
			if err != nil {
				return fmt.Errorf("--to: %w", err)
			}
			return c.Out.Print(made, "%s holds %s as of %s (%d bytes). Whoever has this file has %s.\n", to, c.What, made.MadeAt.Format(time.RFC3339), made.Size, c.What)
		})
	}
	c.Out.On(cmd).Flags().StringVar(&to, "to", "", "file to write, or - for standard output")
	return cmd
}

// Restore gives the command; its Use and what is the same for all are filled in. Put puts a copy in
// place, and gives the directory that it is in.
func (c Copies) Restore(cmd *cobra.Command, put func(cmd *cobra.Command, from io.Reader) (m backup.Manifest, dir string, err error)) *cobra.Command {
	var from string
	cmd.Use, cmd.Args = "restore --from FILE", NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if from == "" {
			return Usage(errors.New("--from is required: a file, or - for standard input"))
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
		m, dir, err := put(cmd, in)
		if err != nil {
			return err
		}
		return c.Out.Print(m, "%s holds %s as of %s. %s\n", dir, c.What, m.MadeAt.Format(time.RFC3339), c.After)
	}
	c.Out.On(cmd).Flags().StringVar(&from, "from", "", "file to read, or - for standard input")
	return cmd
}
