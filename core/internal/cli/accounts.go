// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

// firstArgument is what a refusal calls an account that was named by position.
var firstArgument = map[string]string{"account": "the first argument"}

// passwordFlag adds --password-file, and gives what reads the password it names.
func (c *command) passwordFlag(cmd *cobra.Command) (read func() (operator.Passed, error)) {
	file := cmd.Flags().String("password-file", "", "file whose first line is the password, or -")
	return func() (operator.Passed, error) {
		if *file == "" {
			return operator.Passed{}, cmdline.Usage(errors.New("--password-file is required: a file, or - for standard input"))
		}
		password, err := c.reveal(*file)
		if err != nil {
			return operator.Passed{}, fmt.Errorf("--password-file: %w", err)
		}
		return operator.Pass(password), nil
	}
}

func (c *command) createAccount() *cobra.Command {
	var p operator.Person
	var read func() (operator.Passed, error)
	cmd := c.out.On(&cobra.Command{
		Use: "create-account --email E --name N --password-file F", Short: "Create an active account", Args: cmdline.NoArgs,
		Long: `Create an account that can sign in at once. It is a member of no workspace; an
invitation makes it one. The password is the first line of --password-file, or of
standard input for "-". An e-mail belongs to one account, whatever its status.

Tokens of people who had the e-mail through an identity provider, without an account,
are revoked: from now on the e-mail is the account's.

  core admin create-account --email bob@example.com --name Bob --password-file bob.txt
  core admin create-account --email bob@example.com --name Bob --password-file - -o json < bob.txt`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if p.Password, err = read(); err != nil {
				return err
			}
			if err := p.Check(); err != nil {
				return flagged(err, nil)
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				made, err := by.CreateAccount(ctx, p)
				if err != nil {
					return err
				}
				text := ""
				if n := made.Receipt.TokensRevoked; n > 0 {
					text = " " + plural(n, "token") + " of people who had this e-mail without an account revoked."
				}
				return c.out.Print(made, "Account %s created for %s.%s\n", made.AccountID, made.Email, text)
			})
		},
	})
	read = c.passwordFlag(cmd)
	cmd.Flags().StringVar(&p.Email, "email", "", "e-mail address to sign in with")
	cmd.Flags().StringVar(&p.Name, "name", "", "the person's name")
	return cmd
}

func (c *command) setPassword() *cobra.Command {
	var p operator.Password
	var read func() (operator.Passed, error)
	cmd := c.out.On(&cobra.Command{
		Use: "set-password EMAIL|ID --password-file F", Short: "Give an account another password", Args: oneArg,
		Long: `Give an account another password, without knowing the old one. Every browser of it is
signed out, and approvals that no device has fetched yet are refused. Devices stay
signed in unless --revoke-tokens is given. The password is the first line of
--password-file, or of standard input for "-".

  core admin set-password ada@example.com --password-file new.txt
  core admin set-password ada@example.com --password-file - --revoke-tokens --yes < new.txt`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if p.Password, err = read(); err != nil {
				return err
			}
			p.Account = args[0]
			if err := p.Check(); err != nil {
				return flagged(err, firstArgument)
			}
			question := "Set the password of " + p.Account + " and sign out its browsers?"
			if p.RevokeTokens {
				question = "Set the password of " + p.Account + " and end all its sessions?"
			}
			if err := c.sure(question); err != nil {
				return err
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				set, err := by.SetPassword(ctx, p)
				if err != nil {
					return err
				}
				text := ""
				if set.Status != "active" {
					text = fmt.Sprintf(" The account is %s and signs in once it is active: core admin set-status %s active", set.Status, set.Email)
				}
				return c.out.Print(set, "The password of %s is set: %s.%s\n", set.Email, counts(set.Receipt), text)
			})
		},
	})
	read = c.passwordFlag(cmd)
	cmd.Flags().BoolVar(&p.RevokeTokens, "revoke-tokens", false, "sign its devices out too")
	c.yesFlag(cmd)
	return cmd
}

func (c *command) grantAdmin() *cobra.Command {
	return c.setAdministrator(&cobra.Command{
		Use: "grant-admin EMAIL|ID", Short: "Make an active account a deployment administrator",
		Long: `Make an active account a deployment administrator. The account that was made by the
set-up is the first one; others are made by this command alone.

  core admin grant-admin bob@example.com`,
	}, true, "is a deployment administrator")
}

func (c *command) revokeAdmin() *cobra.Command {
	return c.setAdministrator(&cobra.Command{
		Use: "revoke-admin EMAIL|ID", Short: "Take the mark of a deployment administrator away",
		Long: `Take the mark of a deployment administrator away from an account. The account stays as
it is otherwise. The last active administrator keeps the mark: grant another one first.

  core admin revoke-admin bob@example.com`,
	}, false, "is no deployment administrator")
}

func (c *command) setAdministrator(cmd *cobra.Command, to bool, is string) *cobra.Command {
	cmd.Args = oneArg
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request := operator.Administrator{Account: args[0], Administrator: to}
		if err := request.Check(); err != nil {
			return flagged(err, firstArgument)
		}
		return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
			done, err := by.SetAdministrator(ctx, request)
			if err != nil {
				return err
			}
			if !done.Changed {
				return c.out.Print(done, "%s %s: nothing to change.\n", done.Email, is)
			}
			return c.out.Print(done, "%s %s now.\n", done.Email, is)
		})
	}
	return c.out.On(cmd)
}

func (c *command) listAccounts() *cobra.Command {
	q := operator.AccountQuery{}
	cmd := c.out.On(&cobra.Command{
		Use: "list-accounts", Short: "List accounts, the newest first", Args: cmdline.NoArgs,
		Long: `List accounts, the newest first, page by page. Times are UTC.

  core admin list-accounts --status banned
  core admin list-accounts --page 2 --limit 200 -o json | jq -r '.data[].email'

-o json gives {"page","limit","total","has_more","data"}.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.Check(); err != nil {
				return flagged(err, nil)
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				list, err := by.ListAccounts(ctx, q)
				if err != nil {
					return err
				}
				if c.out.JSON() {
					return c.out.Print(list, "")
				}
				return c.accountTable(list)
			})
		},
	})
	flags := cmd.Flags()
	flags.StringVar(&q.Email, "email", "", "the account of this e-mail")
	flags.StringVar(&q.Status, "status", "", "pending, active, banned or closed")
	flags.IntVar(&q.Page, "page", 1, "which page, from 1")
	flags.IntVar(&q.Limit, "limit", tokenRows, fmt.Sprintf("accounts on a page, 1 to %d", access.MaxPage))
	return cmd
}

// accountTable writes a list for people; what is no row goes to standard error.
func (c *command) accountTable(list access.AccountPage) error {
	if len(list.Data) == 0 {
		_, err := fmt.Fprintf(c.Stderr, "No accounts here; %d in all.\n", list.Total)
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	row := func(w io.Writer, cells ...any) { _, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cells...) }
	row(w, "ID", "E-MAIL", "NAME", "STATUS", "ADMIN", "LAST SIGN-IN", "CREATED")
	for _, a := range list.Data {
		admin, last := "no", "never"
		if a.DeploymentAdmin {
			admin = "yes"
		}
		if a.LastLoginAt != nil {
			last = stamp(*a.LastLoginAt)
		}
		row(w, a.ID, a.Email, a.Name, a.Status, admin, last, stamp(a.CreatedAt))
	}
	return c.pageEnd(w, list.HasMore, len(list.Data), list.Total, list.Page)
}

// pageEnd ends the table of a page and says where the next one is.
func (c *command) pageEnd(w *tabwriter.Writer, more bool, shown, total, page int) error {
	if err := w.Flush(); err != nil || !more {
		return err
	}
	_, err := fmt.Fprintf(c.Stderr, "%d of %d; --page %d goes on.\n", shown, total, page+1)
	return err
}
