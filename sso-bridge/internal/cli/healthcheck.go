// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/doctor"
)

func (c *cli) healthcheck() *cobra.Command {
	var at string
	cmd := c.out.On(&cobra.Command{
		Use: "healthcheck", Short: "Ask the process that serves here whether it is ready; exit 1 when it is not", Args: command.NoArgs,
		Long: `Ask the second listener of the process that serves on this machine, at INNER_LISTEN or
at --address, whether it is ready: for a container's probe, where there is no shell and
no other client. It looks at nothing itself; "sso-bridge doctor" does.

  sso-bridge healthcheck
  sso-bridge healthcheck --address 127.0.0.1:5004

Exit codes: 0 ready, 1 not ready or nobody answers, 2 wrong arguments or settings.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.databaseSettings(cmd) // neither a key nor the other service is needed
			if err != nil {
				return err
			}
			address, err := doctor.ReadyAddress(s.InnerListen, s.TLSCertFile != "")
			if at != "" {
				if address, err = doctor.ReadyAt(at, s.TLSCertFile != ""); err != nil {
					return command.Usage(fmt.Errorf("--address %w", err))
				}
			}
			if err != nil {
				return err
			}
			r, _, err := doctor.AskReady(cmd.Context(), address)
			if err != nil {
				return fmt.Errorf("not ready: %w", err)
			}
			if why := doctor.Unready(r); why != "" {
				return errors.New("not ready: " + why)
			}
			return c.out.Print(map[string]any{"ready": true, "checks": r.Checks}, "ready\n")
		},
	})
	cmd.Flags().StringVar(&at, "address", "", "the second listener, host:port or an address; without it INNER_LISTEN")
	return cmd
}
