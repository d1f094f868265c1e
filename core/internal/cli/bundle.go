// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/bundle"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

func (c *command) supportBundle() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "support-bundle --to FILE", Short: "Write down what somebody who helps needs to know, and no secret", Args: cmdline.NoArgs,
		Long: `Write one JSON file that can be handed to somebody else: version, settings, whether the
stores answer, the schema, what "core doctor" has found by check and status, and the
names and times of the newest audit events. Settings show a value only where it is a
number, a switch or a duration; no secret, address, name, token or log line is in it.
Read it before you send it: it is short.

  core admin support-bundle --to bundle.json
  core admin support-bundle --to - | jq '.doctor[] | select(.status=="fail")'

Exit codes: 0 written, whatever it says; 1 not written; 2 wrong arguments or settings.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return cmdline.Usage(errors.New("--to is required: a file, or - for standard output"))
			}
			var found []bundle.Finding
			if s, err := c.settings(cmd); err == nil { // else the next line says so
				if found, err = c.briefs(cmd, s); err != nil {
					return err
				}
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				made, err := by.Bundle(ctx)
				if err != nil {
					return err
				}
				made.Doctor = found
				return bundle.Write(c.Stdout, to, made)
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "file to write, or - for standard output")
	return cmd
}

// briefs are the findings of doctor without their words.
func (c *command) briefs(cmd *cobra.Command, s *app.Settings) ([]bundle.Finding, error) {
	report, err := c.examine(cmd, s, nil)
	list := []bundle.Finding{}
	for _, b := range report.Briefs() {
		list = append(list, bundle.Finding{Check: b.Check, Status: string(b.Status)})
	}
	return list, err
}
