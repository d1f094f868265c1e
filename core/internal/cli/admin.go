// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/installation"
)

func (c *command) admin() *cobra.Command {
	return group(&cobra.Command{Use: "admin", Short: "What an operator does beside a running server"}, c.createOwner(), c.setupCode())
}

func (c *command) createOwner() *cobra.Command {
	var email, name, workspace, passwordFile string
	cmd := c.outputFlag(&cobra.Command{
		Use: "create-owner", Short: "Create the first account and its workspace, once", Args: noArgs,
		Long: `Create the first account and its workspace, in place of the set-up page.
The password is the first line of --password-file, or of standard input for "-",
so that it stands neither in the shell's history nor in the process list:

  core admin create-owner --email ada@example.com --name Ada --workspace Engines --password-file -`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if passwordFile == "" {
				return usageError{errors.New("--password-file is required: a file, or - for standard input")}
			}
			password, err := c.reveal(passwordFile)
			if err != nil {
				return fmt.Errorf("--password-file: %w", err)
			}
			owner, wrong := installation.ParseOwner(email, name, workspace, password)
			if len(wrong) > 0 {
				for i, field := range wrong {
					wrong[i] = "--" + strings.TrimSuffix(field, "_name")
				}
				return usageError{fmt.Errorf("%s: missing or not valid", strings.Join(wrong, ", "))}
			}
			return c.withApp(cmd, func(a *app.App) error {
				who, err := a.Installation.CreateOwner(cmd.Context(), owner)
				if err != nil {
					return err
				}
				return c.print(map[string]string{"account_id": who.ID, "email": who.Email}, "Owner %s created. Sign in at %s\n", who.Email, a.Settings.Public.JoinPath("/signin"))
			})
		},
	})
	cmd.Flags().StringVar(&email, "email", "", "e-mail address to sign in with")
	cmd.Flags().StringVar(&name, "name", "", "the person's name")
	cmd.Flags().StringVar(&workspace, "workspace", "", "the workspace's name")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file whose first line is the password, or -")
	return cmd
}

func (c *command) setupCode() *cobra.Command {
	return c.outputFlag(&cobra.Command{
		Use: "setup-code", Short: "Draw a new set-up code and void the former", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withApp(cmd, func(a *app.App) error {
				code, err := a.Installation.NewCode(cmd.Context())
				if err != nil {
					return err
				}
				link := a.Settings.Public.JoinPath("/setup")
				page := link.String()
				link.RawQuery = url.Values{"code": {code.Reveal()}}.Encode()
				text := fmt.Sprintf("Set-up code: %s\nType it at %s\n", code.Reveal(), page)
				if a.Settings.Loopback() {
					text = fmt.Sprintf("Set-up code: %s\nOr open %s\n", code.Reveal(), link)
				}
				return c.print(map[string]string{"setup_code": code.Reveal(), "url": page}, "%s", text)
			})
		},
	})
}

// withApp runs fn on the stores and closes them.
func (c *command) withApp(cmd *cobra.Command, fn func(a *app.App) error) (err error) {
	a, err := c.open(cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return fn(a)
}
