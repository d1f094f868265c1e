// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

func (c *command) config() *cobra.Command {
	check := c.out.On(&cobra.Command{
		Use: "check", Short: "Judge the settings and list every problem", Args: cmdline.NoArgs,
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
		Use: "print", Short: "Print every setting as KEY=value; secrets are redacted", Args: cmdline.NoArgs,
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
	return cmdline.Group(&cobra.Command{Use: "config", Short: "Judge or print the settings"}, check, show)
}
