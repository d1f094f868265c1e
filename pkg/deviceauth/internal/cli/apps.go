// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

// modes are those that an app may have; the first five can be run.
var modes = []string{"chat", "agent-chat", "advanced-chat", "completion", "workflow", "agent", "channel", "rag-pipeline"}

func (c *command) apps() *cobra.Command {
	return group(&cobra.Command{
		Use: "apps", Short: "The apps you may run, and what they take",
		Example: "  difyauth apps list\n  difyauth apps describe \"Support bot\"\n  difyauth run \"Support bot\" \"How do I reset my password?\"",
	}, c.appsList(), c.appsDescribe())
}

func (c *command) appsList() *cobra.Command {
	var f api.AppFilter
	var everywhere bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the apps that you may run, last changed first", Args: noArgs,
		Long: `list shows the apps of the current workspace, a page at a time, or with
--all-workspaces every app of every workspace of yours. Who is signed in through a
company's identity provider belongs to no workspace and sees what is open to them.`,
		Example: `  difyauth apps list
  difyauth apps list --mode workflow --tag billing
  difyauth apps list --all-workspaces --name support
  difyauth apps list --page 2 --limit 20
  difyauth apps list -A -o json | jq -r '.data[] | [.id, .name] | @tsv'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.Mode != "" && !slices.Contains(modes, f.Mode):
				return usagef("--mode is one of %s", strings.Join(modes, ", "))
			case f.Page < 1 || f.Limit < 1 || f.Limit > 200:
				return usagef("--page begins at 1, and --limit goes from 1 to 200")
			case everywhere && (f.Workspace != "" || cmd.Flags().Changed("page")):
				return usagef("--all-workspaces lists everything: without --workspace and --page")
			}
			a, entry, err := c.open()
			if err != nil {
				return err
			}
			if external(entry) && (f.Tag != "" || f.Workspace != "") {
				return usagef("who is signed in through an identity provider belongs to no workspace: list without --workspace and --tag")
			}
			p, err := c.page(cmd.Context(), a, entry, f, everywhere)
			if err != nil {
				return err
			}
			return c.print(p, "%s", appTable(p, everywhere || external(entry)))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Workspace, "workspace", "", "workspace, by id or name (default the current one)")
	flags.BoolVarP(&everywhere, "all-workspaces", "A", false, "the apps of all your workspaces, all pages")
	flags.StringVar(&f.Mode, "mode", "", "only those of a mode: "+strings.Join(modes, ", "))
	flags.StringVar(&f.Name, "name", "", "only those with this in their name")
	flags.StringVar(&f.Tag, "tag", "", "only those with this tag")
	flags.IntVar(&f.Page, "page", 1, "which page")
	flags.IntVar(&f.Limit, "limit", 50, "apps on a page, at most 200")
	return cmd
}

// page reads what a list shows.
func (c *command) page(ctx context.Context, a *api.API, e credentials.Entry, f api.AppFilter, everywhere bool) (api.Page[api.App], error) {
	if f.Permitted = external(e); !everywhere {
		if !f.Permitted {
			id, err := c.workspaceID(ctx, a, f.Workspace)
			if err != nil {
				return api.Page[api.App]{}, err
			}
			f.Workspace = id
		}
		return a.Apps(ctx, f)
	}
	all, err := c.everywhere(ctx, a, f)
	return api.Page[api.App]{Page: 1, Limit: len(all), Total: len(all), Data: all}, err
}

// everywhere lists the apps of every workspace that can be worked in.
func (c *command) everywhere(ctx context.Context, a *api.API, f api.AppFilter) ([]api.App, error) {
	if f.Permitted {
		return a.AllApps(ctx, f)
	}
	list, err := a.Workspaces(ctx)
	if err != nil {
		return nil, err
	}
	all := []api.App{}
	for _, w := range list {
		if w.Status != normal {
			continue
		}
		f.Workspace = w.ID
		some, err := a.AllApps(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func appTable(p api.Page[api.App], where bool) string {
	if len(p.Data) == 0 && p.Page > 1 {
		return fmt.Sprintf("Page %d is behind the last one.\n", p.Page)
	}
	if len(p.Data) == 0 {
		return "No app of that kind is open to you.\n"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	column, cell := "", func(api.App) string { return "" }
	if where {
		column, cell = "\tWORKSPACE", func(v api.App) string { return "\t" + plain(orElse(v.WorkspaceName, "")) }
	}
	fmt.Fprintf(w, "APP\tMODE\tTAGS%s\tCHANGED (UTC)\tID\n", column)
	for _, v := range p.Data {
		fmt.Fprintf(w, "%s\t%s\t%s%s\t%s\t%s\n", brief(v.Name, 60), plain(v.Mode), tags(v.Tags), cell(v), minute(orElse(v.UpdatedAt, "")), plain(v.ID))
	}
	_ = w.Flush()
	if p.HasMore {
		fmt.Fprintf(&b, "%d of %d; --page %d shows more\n", len(p.Data), p.Total, p.Page+1)
	}
	return b.String()
}

func tags(list []api.Tag) string {
	names := make([]string, len(list))
	for i, t := range list {
		names[i] = plain(t.Name)
	}
	return strings.Join(names, ", ")
}

// appID finds an app by its id, or by its name where only one has it. workspace, an id or
// a name, says where to look; empty means everywhere.
func (c *command) appID(ctx context.Context, a *api.API, e credentials.Entry, named, workspace string) (string, error) {
	if isID(strings.ToLower(named)) {
		return strings.ToLower(named), nil
	}
	f := api.AppFilter{Name: named, Permitted: external(e)}
	var list []api.App
	var err error
	if workspace != "" && !f.Permitted {
		if f.Workspace, err = c.workspaceID(ctx, a, workspace); err == nil {
			list, err = a.AllApps(ctx, f)
		}
	} else {
		list, err = c.everywhere(ctx, a, f)
	}
	if err != nil {
		return "", err
	}
	var ids []string
	for _, v := range list {
		if v.Name == named {
			ids = append(ids, plain(v.ID))
		}
	}
	switch {
	case len(ids) == 0:
		return "", told{code: "app_not_found", text: fmt.Sprintf("no app that you may run is called %q: difyauth apps list --all-workspaces shows them", brief(named, 80))}
	case len(ids) > 1:
		return "", told{code: "ambiguous", text: fmt.Sprintf("%d apps are called %q: name one by its id (%s)", len(ids), brief(named, 80), strings.Join(ids[:min(len(ids), 3)], ", "))}
	}
	return ids[0], nil
}
