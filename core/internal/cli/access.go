// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

func (c *command) setStatus() *cobra.Command {
	cmd := c.out.On(&cobra.Command{
		Use: "set-status EMAIL|ID active|banned|closed", Short: "Ban, close or readmit an account", Args: twoArgs,
		Long: `Set an account, named by its e-mail or id, to active, banned or closed. One that is
banned or closed loses every token, browser and open approval at once. Tokens that
ended do not come back when it is made active again: the person signs in anew.

  core admin set-status ada@example.com banned
  core admin set-status ada@example.com active`,
		RunE: func(cmd *cobra.Command, args []string) error {
			request := operator.Status{Account: args[0], Status: args[1]}
			if err := request.Check(); err != nil {
				return flagged(err, map[string]string{"account": "the first argument", "status": "the second argument"})
			}
			if request.Status != "active" {
				if err := c.sure("Set " + request.Account + " to " + request.Status + " and end all its sessions?"); err != nil {
					return err
				}
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				done, err := by.SetStatus(ctx, request)
				if err != nil {
					return err
				}
				if !done.Changed {
					return c.out.Print(done, "%s was %s already.\n", done.Email, done.To)
				}
				return c.out.Print(done, "%s is %s now and was %s: %s.\n", done.Email, done.To, done.From, counts(done.Receipt))
			})
		},
	})
	c.yesFlag(cmd)
	return cmd
}

func (c *command) revokeSubject() *cobra.Command {
	var s operator.Subject
	cmd := c.out.On(&cobra.Command{
		Use: "revoke-subject (--account ID | --email E | --issuer I (--subject-id S | --email E)) --reason R", Short: "End all access of a person", Args: cmdline.NoArgs,
		Long: `End every token and browser of a person, and refuse each approval that they gave and
that was not redeemed yet. Their account keeps its status: they can sign in again.

An account is named by --account or, alone, --email. Who signs in through an identity
provider is named by its --issuer with --subject-id or --email; an account that is
linked to that subject id loses its access too. The reason goes into the audit trail.

  core admin revoke-subject --email ada@example.com --reason "laptop lost"
  core admin revoke-subject --issuer https://idp.example.com --subject-id 00u1 --reason INC-17`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.Check(); err != nil {
				return flagged(err, nil)
			}
			if err := c.sure("End all access of " + nameOf(s) + "?"); err != nil {
				return err
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				receipt, err := by.RevokeSubject(ctx, s)
				if err != nil {
					return err
				}
				text := counts(receipt)
				if len(receipt.Accounts) > 0 {
					text += "; account " + strings.Join(receipt.Accounts, ", ")
				}
				return c.out.Print(receipt, "%s. Approvals given until %s are refused. Receipt %s.\n", text, stamp(receipt.RefusedFrom), receipt.ID)
			})
		},
	})
	flags := cmd.Flags()
	flags.StringVar(&s.AccountID, "account", "", "id of an account")
	flags.StringVar(&s.Email, "email", "", "e-mail of an account or, with --issuer, at an identity provider")
	flags.StringVar(&s.Issuer, "issuer", "", "an identity provider's issuer")
	flags.StringVar(&s.SubjectID, "subject-id", "", "the person's id at the issuer")
	flags.StringVar(&s.Reason, "reason", "", "why, for the audit trail")
	c.yesFlag(cmd)
	return cmd
}

// nameOf is how a question names a person.
func nameOf(s operator.Subject) string {
	switch {
	case s.AccountID != "":
		return "account " + s.AccountID
	case s.Issuer == "":
		return s.Email
	default:
		return s.SubjectID + s.Email + " at " + s.Issuer
	}
}

// counts says what a kill has ended.
func counts(r access.Receipt) string {
	return plural(r.TokensRevoked, "token") + " revoked, " + plural(r.ConsoleSessionsEnded, "browser") + " signed out"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
