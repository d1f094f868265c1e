// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

func (c *cli) attempts() *cobra.Command {
	return command.Group(&cobra.Command{Use: "attempts", Short: "Why a sign-in was refused: traces of logins",
		Long: `Traces of logins, good or bad. A person who was refused has a reference on the page:

  sso-bridge attempts show 7K2QD-9XM4P

No trace holds an e-mail, a name, a token or the value of a claim.`}, c.attemptsList(), c.attemptsShow())
}

func (c *cli) attemptsList() *cobra.Command {
	q := operator.AttemptQuery{Limit: 50}
	var since string
	cmd := c.out.On(&cobra.Command{
		Use: "list", Short: "List logins, the newest first", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := moment("--since", since, c.now())
			if err != nil {
				return err
			}
			if !from.IsZero() {
				q.Since = &from
			}
			if q.Limit < 1 || q.Limit > maxListed {
				return command.Usage(fmt.Errorf("--limit must be 1 to %d", maxListed))
			}
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				list, err := by.Attempts(ctx, q)
				if err != nil {
					return err
				}
				if c.out.JSON() {
					return c.out.Print(list, "")
				}
				return c.table([]string{"AT", "REFERENCE", "CONNECTION", "INTENT", "STATE", "CODE"}, len(list.Data), "No such logins.", func(i int) []any {
					a := list.Data[i]
					return []any{stamp(a.CreatedAt), a.Reference, dash(a.Connection), dash(a.Intent), a.State, dash(a.Code)}
				})
			})
		},
	})
	cmd.Flags().StringVar(&q.Connection, "connection", "", "through this connection alone")
	cmd.Flags().StringVar(&q.Code, "code", "", "refused for this cause alone, such as oidc_audience_mismatch")
	cmd.Flags().StringVar(&since, "since", "", "from this time (2026-01-31T00:00:00Z) or this long ago (36h)")
	cmd.Flags().IntVar(&q.Limit, "limit", q.Limit, "how many at most")
	return cmd
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (c *cli) attemptsShow() *cobra.Command {
	return c.out.On(&cobra.Command{Use: "show REFERENCE", Short: "Show the trace of one login, its cause and how it is mended", Args: command.Args("REFERENCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				report, err := by.Attempt(ctx, operator.Ref{ID: args[0]})
				if err != nil {
					return err
				}
				trace, err := traceText(report)
				if err != nil {
					return err
				}
				text := fmt.Sprintf("%s: %s\n", report.Reference, report.State)
				if report.Code != "" {
					text = fmt.Sprintf("%s: %s, %s (the person read %s)\n", report.Reference, report.State, report.Code, report.PublicCode)
				}
				if report.Cause != "" {
					text += "Cause: " + report.Cause + "\nMend:  " + report.Mend + "\n"
				}
				return c.out.Print(report, "%s\n%s", text, trace)
			})
		}})
}
