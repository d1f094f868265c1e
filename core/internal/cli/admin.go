// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/settings"
)

func (c *command) admin() *cobra.Command {
	return cmdline.Group(&cobra.Command{Use: "admin", Short: "What an operator does, beside a running server or without one",
		Long: `Each of these asks the server that is running on DATA_DIR, over a socket in it, and
without one does it itself. Run them as the user who runs the server, or as root.

  core admin setup-code                                 let the first owner in by a browser
  core admin create-owner --email E ...                 or create them here
  core admin create-account --email E ...               add an account
  core admin list-accounts --status banned              who is there
  core admin set-status ada@example.com banned          ban an account
  core admin set-password ada@example.com ...           when a password is forgotten
  core admin grant-admin bob@example.com                make a deployment administrator
  core admin tokens list --email ada@example.com        what is signed in, and since when
  core admin tokens revoke SESSION_ID                   end one session
  core admin revoke-subject --email E --reason R        end all access of a person
  core admin backup --to FILE                           copy everything, beside a running server
  core admin restore --from FILE                        bring a copy back, into an empty DATA_DIR
  core admin support-bundle --to FILE                   what somebody who helps needs to know
  core admin rotate-secret-key                          change SECRET_KEY, without signing anybody out
  core admin rotate-sealing-key                         change the key that seals what the database holds

A terminal is asked before anything ends; --yes says so in advance.`},
		c.createOwner(), c.setupCode(), c.createAccount(), c.listAccounts(), c.setStatus(), c.setPassword(), c.grantAdmin(), c.revokeAdmin(), c.tokens(), c.revokeSubject(),
		c.backup(), c.restore(), c.rotateSecretKey(), c.rotateSealingKey(), c.supportBundle())
}

func (c *command) createOwner() *cobra.Command {
	var email, name, workspace, passwordFile string
	cmd := c.out.On(&cobra.Command{
		Use: "create-owner", Short: "Create the first account and its workspace, once", Args: cmdline.NoArgs,
		Long: `Create the first account and its workspace, in place of the set-up page.
The password is the first line of --password-file, or of standard input for "-",
so that it stands neither in the shell's history nor in the process list:

  core admin create-owner --email ada@example.com --name Ada --workspace Engines --password-file -`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if passwordFile == "" {
				return cmdline.Usage(errors.New("--password-file is required: a file, or - for standard input"))
			}
			password, err := c.reveal(passwordFile)
			if err != nil {
				return fmt.Errorf("--password-file: %w", err)
			}
			owner := operator.Owner{Email: email, Name: name, Workspace: workspace, Password: operator.Pass(password)}
			if err := owner.Check(); err != nil {
				return flagged(err, nil)
			}
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				made, err := by.CreateOwner(ctx, owner)
				if err != nil {
					return err
				}
				return c.out.Print(made, "Owner %s created. Sign in at %s\n", made.Email, made.URL)
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
	return c.out.On(&cobra.Command{
		Use: "setup-code", Short: "Draw a new set-up code and void the former", Args: cmdline.NoArgs,
		Long: `Draw a new code for the page /setup and void the former. The code goes to standard
output and nowhere else; of a code that was shown the service keeps a digest.

  core admin setup-code
  core admin setup-code -o json | jq -r .setup_code`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				answer, err := by.SetupCode(ctx)
				if err != nil {
					return err
				}
				code := answer.Code.Reveal()
				text := fmt.Sprintf("Set-up code: %s\nType it at %s\n", code, answer.URL)
				if link, err := url.Parse(answer.URL); err == nil && settings.Loopback(link.Hostname()) {
					link.RawQuery = url.Values{"code": {code}}.Encode()
					text = fmt.Sprintf("Set-up code: %s\nOr open %s\n", code, link)
				}
				return c.out.Print(answer, "%s", text)
			})
		},
	})
}
