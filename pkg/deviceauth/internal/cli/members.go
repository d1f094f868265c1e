// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
)

func (c *command) members() *cobra.Command {
	var in string
	cmd := group(&cobra.Command{
		Use: "members", Short: "Who belongs to a workspace, and inviting, changing and removing them",
		Long: `members speaks about the current workspace, or the one that --workspace names. A
member is named by e-mail or by id. Inviting, changing and removing need the role
owner or admin.`,
		Example: `  difyauth members list
  difyauth members invite bob@example.com --role admin
  difyauth members set-role bob@example.com normal
  difyauth members remove bob@example.com --workspace Looms`,
	}, c.membersList(&in), c.membersInvite(&in), c.membersSetRole(&in), c.membersRemove(&in))
	cmd.PersistentFlags().StringVar(&in, "workspace", "", "workspace, by id or name (default the current one)")
	return cmd
}

// inWorkspace opens the API and finds the workspace.
func (c *command) inWorkspace(ctx context.Context, named string) (*api.API, string, error) {
	a, _, err := c.open()
	if err != nil {
		return nil, "", err
	}
	id, err := c.workspaceID(ctx, a, named)
	return a, id, err
}

func (c *command) membersList(in *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the members, those who joined first on top", Args: noArgs,
		Example: "  difyauth members list\n  difyauth members list -o json | jq -r '.[] | select(.status == \"pending\") | .email'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, workspace, err := c.inWorkspace(cmd.Context(), *in)
			if err != nil {
				return err
			}
			list, err := a.Members(cmd.Context(), workspace)
			if err != nil {
				return err
			}
			var b strings.Builder
			w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tE-MAIL\tROLE\tSTATUS\tID")
			for _, m := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", plain(m.Name), plain(m.Email), plain(m.Role), plain(m.Status), plain(m.ID))
			}
			_ = w.Flush()
			return c.print(list, "%s", b.String())
		},
	}
}

// role judges what may be given; the owner's is not.
func role(s string) error {
	if s != "normal" && s != "admin" {
		return usagef("a role is normal or admin")
	}
	return nil
}

func (c *command) membersInvite(in *string) *cobra.Command {
	as := "normal"
	cmd := &cobra.Command{
		Use: "invite <e-mail>", Short: "Invite somebody and print the link for them, once",
		Long: `invite prints a link for the person that you invite. The server sends no mail: pass
the link on yourself. It is shown this once, lets in whoever opens it as that person,
and holds for 72 hours; another invitation of the same person ends it.`,
		Example: "  difyauth members invite bob@example.com\n  difyauth members invite bob@example.com --role admin -o json | jq -r .invite_url",
		Args:    exactly(1, "invite takes one e-mail address"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := role(as); err != nil {
				return err
			}
			a, workspace, err := c.inWorkspace(cmd.Context(), *in)
			if err != nil {
				return err
			}
			v, err := a.Invite(cmd.Context(), workspace, args[0], as)
			if err != nil {
				return err
			}
			return c.print(v, "Invited %s as %s. Give them this link, which is shown only now and holds for 72 hours:\n\n    %s\n\n", plain(v.Email), plain(v.Role), plain(v.Link))
		},
	}
	cmd.Flags().StringVar(&as, "role", as, "normal or admin")
	return cmd
}

func (c *command) membersSetRole(in *string) *cobra.Command {
	return &cobra.Command{
		Use: "set-role <e-mail or id> normal|admin", Short: "Give a member another role",
		Example: "  difyauth members set-role bob@example.com admin",
		Args:    exactly(2, "set-role takes a member, by e-mail or id, and a role, normal or admin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := role(args[1]); err != nil {
				return err
			}
			a, workspace, member, err := c.memberOf(cmd.Context(), *in, args[0])
			if err != nil {
				return err
			}
			if err := a.SetRole(cmd.Context(), workspace, member, args[1]); err != nil {
				return err
			}
			return c.print(map[string]any{"result": "success", "id": member, "role": args[1]}, "%s is %s now\n", plain(args[0]), args[1])
		},
	}
}

func (c *command) membersRemove(in *string) *cobra.Command {
	return &cobra.Command{
		Use: "remove <e-mail or id>", Short: "Take a member out of the workspace",
		Long: `remove ends a membership. Somebody who was invited and has not accepted yet is
forgotten with it, unless another workspace invited them too.`,
		Example: "  difyauth members remove bob@example.com",
		Args:    exactly(1, "remove takes one member, by e-mail or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, workspace, member, err := c.memberOf(cmd.Context(), *in, args[0])
			if err != nil {
				return err
			}
			if err := a.Remove(cmd.Context(), workspace, member); err != nil {
				return err
			}
			return c.print(map[string]any{"result": "success", "id": member}, "Removed %s\n", plain(args[0]))
		},
	}
}

// memberOf finds a member by id or e-mail.
func (c *command) memberOf(ctx context.Context, in, named string) (a *api.API, workspace, id string, err error) {
	if a, workspace, err = c.inWorkspace(ctx, in); err != nil {
		return nil, "", "", err
	}
	if isID(strings.ToLower(named)) {
		return a, workspace, strings.ToLower(named), nil
	}
	list, err := a.Members(ctx, workspace)
	if err != nil {
		return nil, "", "", err
	}
	for _, m := range list {
		if strings.EqualFold(m.Email, named) {
			return a, workspace, m.ID, nil
		}
	}
	return nil, "", "", told{code: "member_not_found", text: fmt.Sprintf("%s is no member of the workspace: difyauth members list shows them", plain(named))}
}
