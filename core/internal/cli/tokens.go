// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

func (c *command) tokens() *cobra.Command {
	return cmdline.Group(&cobra.Command{Use: "tokens", Short: "List or revoke the sessions of command-line tools"}, c.listTokens(), c.revokeToken())
}

// tokenRows is how many sessions the list shows unless it is asked for all.
const tokenRows = 50

func (c *command) listTokens() *cobra.Command {
	var email string
	var all bool
	cmd := c.out.On(&cobra.Command{
		Use: "list", Short: "List live sessions, the newest first", Args: cmdline.NoArgs,
		Long: fmt.Sprintf(`List the live sessions of command-line tools, the newest first: the last %d, or all
with --all. Times are UTC. Tokens are never shown; nothing keeps them.

  core admin tokens list --email ada@example.com
  core admin tokens list --all -o json | jq -r '.data[] | [.id, .device_label] | @tsv'`, tokenRows),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := operator.TokenQuery{Email: email, Page: 1, Limit: tokenRows}
			if all {
				query.Limit = access.MaxPage
			}
			if err := query.Check(); err != nil {
				return flagged(err, nil)
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				list, err := by.ListTokens(ctx, query)
				if err == nil && all {
					list, err = rest(ctx, by, query, list)
				}
				if err != nil {
					return err
				}
				if c.out.JSON() {
					return c.out.Print(list, "")
				}
				return c.tokenTable(list)
			})
		},
	})
	cmd.Flags().StringVar(&email, "email", "", "of this person alone")
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	return cmd
}

// rest adds the pages after the first. A session that slips to the next page while we
// read, because a newer one has begun, is listed once.
func rest(ctx context.Context, by operator.Operations, q operator.TokenQuery, list access.TokenPage) (access.TokenPage, error) {
	seen := map[string]bool{}
	for _, t := range list.Data {
		seen[t.ID] = true
	}
	for more := list.HasMore; more; {
		q.Page++
		page, err := by.ListTokens(ctx, q)
		if err != nil {
			return list, err
		}
		for _, t := range page.Data {
			if !seen[t.ID] {
				seen[t.ID] = true
				list.Data = append(list.Data, t)
			}
		}
		list.Total, more = page.Total, page.HasMore
	}
	list.HasMore, list.Limit = false, len(list.Data)
	return list, nil
}

// tokenTable writes a list for people; what is no row goes to standard error.
func (c *command) tokenTable(list access.TokenPage) error {
	if len(list.Data) == 0 {
		_, err := fmt.Fprintln(c.Stderr, "No live sessions.")
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	row := func(w io.Writer, cells ...any) { _, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", cells...) }
	row(w, "ID", "PERSON", "CLIENT", "DEVICE", "LAST USED", "EXPIRES")
	for _, t := range list.Data {
		person, used := t.Email, "never"
		if t.AccountID == "" {
			person += " at " + t.Issuer
		}
		if t.LastUsedAt != nil {
			used = stamp(*t.LastUsedAt)
		}
		row(w, t.ID, person, t.ClientID, t.Label, used, stamp(t.ExpiresAt))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if list.HasMore {
		_, err := fmt.Fprintf(c.Stderr, "%d of %d; --all lists the others.\n", len(list.Data), list.Total)
		return err
	}
	return nil
}

func (c *command) revokeToken() *cobra.Command {
	cmd := c.out.On(&cobra.Command{
		Use: "revoke SESSION_ID", Short: "Revoke one session", Args: oneArg,
		Long: `Revoke one session, named by its id of "core admin tokens list". It is over at the next
request that is made with its token. Revoking it again is no error.

  core admin tokens revoke 0190d1f4-7c3a-7b1e-9c55-0242ac120002`,
		RunE: func(cmd *cobra.Command, args []string) error {
			request := operator.TokenRef{ID: args[0]}
			if err := request.Check(); err != nil {
				return flagged(err, map[string]string{"id": "SESSION_ID"})
			}
			if err := c.sure("Revoke session " + request.ID + "?"); err != nil {
				return err
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				done, err := by.RevokeToken(ctx, request)
				if err != nil {
					return err
				}
				if done.Before {
					return c.out.Print(done, "Session %s had ended already.\n", done.ID)
				}
				return c.out.Print(done, "Session %s is revoked.\n", done.ID)
			})
		},
	})
	c.yesFlag(cmd)
	return cmd
}

// stamp writes a time for people.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
