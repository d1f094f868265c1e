// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

func (c *command) supportBundle() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "support-bundle --to FILE", Short: "Write down what somebody who helps needs to know, and no secret", Args: cmdline.NoArgs,
		Long: `Write one JSON file that can be handed to somebody else: version, settings, whether the
stores answer, the schema, and the names and times of the newest audit events. Settings
show a value only where it is a number, a switch or a duration; no secret, address,
name, token or log line is in it. Read it before you send it: it is short.

  core admin support-bundle --to bundle.json
  core admin support-bundle --to -`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return cmdline.Usage(errors.New("--to is required: a file, or - for standard output"))
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				bundle, err := by.Bundle(ctx)
				if err != nil {
					return err
				}
				content, err := json.MarshalIndent(bundle, "", "  ")
				if err != nil {
					return err
				}
				content = append(content, '\n')
				if to == "-" {
					_, err := c.Stdout.Write(content)
					return err
				}
				if err := os.WriteFile(to, content, 0o600); err != nil {
					return fmt.Errorf("--to: %w", err)
				}
				_, err = fmt.Fprintf(c.Stdout, "%s is written. Read it before you send it.\n", to)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "file to write, or - for standard output")
	return cmd
}
