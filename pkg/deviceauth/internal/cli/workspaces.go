// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

// normal is the status of a workspace that can be worked in.
const normal = "normal"

func (c *command) workspaces() *cobra.Command {
	return group(&cobra.Command{
		Use: "workspaces", Short: "The workspaces you belong to, and which one you work in",
		Example: "  difyauth workspaces list\n  difyauth workspaces use Looms\n  difyauth workspaces use 01939e8a-6c1e-7a0b-9c39-2f6d1f0c8a11",
	}, c.workspacesList(), c.workspacesUse())
}

func (c *command) workspacesList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List your workspaces and mark the current one", Args: noArgs,
		Example: "  difyauth workspaces list\n  difyauth workspaces list -o json | jq -r '.[] | select(.current) | .id'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, _, err := c.open()
			if err != nil {
				return err
			}
			list, err := a.Workspaces(cmd.Context())
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return c.print(list, "You belong to no workspace.\n")
			}
			return c.print(list, "%s", workspaceTable(list))
		},
	}
}

func workspaceTable(list []api.Workspace) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  WORKSPACE\tYOUR ROLE\tSTATUS\tID")
	marked := false
	for _, v := range list {
		mark := " "
		if v.Current {
			mark, marked = "*", true
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%s\n", mark, plain(v.Name), plain(v.Role), plain(v.Status), plain(v.ID))
	}
	_ = w.Flush()
	if marked {
		return b.String() + "* the current one\n"
	}
	return b.String() + "None is the current one: difyauth workspaces use chooses it.\n"
}

func (c *command) workspacesUse() *cobra.Command {
	return &cobra.Command{
		Use: "use <id or name>", Aliases: []string{"switch"}, Short: "Work in another workspace, here and in the console",
		Long: `use makes a workspace the current one of your account: the one that apps list and
members speak about, on every device and in the console.`,
		Example: "  difyauth workspaces use Looms\n  difyauth workspaces use 01939e8a-6c1e-7a0b-9c39-2f6d1f0c8a11",
		Args:    exactly(1, "use takes one workspace, by its id or its name: difyauth workspaces list shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, _, err := c.open()
			if err != nil {
				return err
			}
			id, err := c.workspaceID(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			v, err := a.Use(cmd.Context(), id)
			if err != nil {
				return err
			}
			return c.print(v, "Now working in %s as %s\n", plain(v.Name), plain(v.Role))
		},
	}
}

// exactly refuses another number of arguments as a usage error.
func exactly(n int, says string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s", says)
		}
		return nil
	}
}

// workspaceID finds a workspace by its id or its name; by neither it is the current one.
func (c *command) workspaceID(ctx context.Context, a *api.API, named string) (string, error) {
	if isID(strings.ToLower(named)) {
		return strings.ToLower(named), nil
	}
	list, err := a.Workspaces(ctx)
	if err != nil {
		return "", err
	}
	var found, open []api.Workspace
	for _, v := range list {
		if v.Status == normal {
			open = append(open, v)
		}
		if named != "" && v.Name == named || named == "" && v.Current {
			found = append(found, v)
		}
	}
	switch {
	case len(found) == 1:
		return found[0].ID, nil
	case named == "" && len(open) == 1: // there is nothing to choose
		return open[0].ID, nil
	case named == "":
		return "", told{code: "no_current_workspace", text: "none of your workspaces is the current one: choose one with difyauth workspaces use, or name one with --workspace"}
	case len(found) == 0:
		return "", told{code: "workspace_not_found", text: fmt.Sprintf("no workspace of yours is called %q: difyauth workspaces list shows them", plain(named))}
	}
	return "", told{code: "ambiguous", text: fmt.Sprintf("%d of your workspaces are called %q: name one by its id, as difyauth workspaces list shows it", len(found), plain(named))}
}

// external tells whether the holder is known to an identity provider alone, and so
// belongs to no workspace.
func external(e credentials.Entry) bool {
	return e.SubjectType == "external_sso" || strings.HasPrefix(e.Token.Reveal(), "dfoe_")
}
