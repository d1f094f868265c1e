// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

// nameArgument is what a refusal calls an app that was named by position.
var nameArgument = map[string]string{"app": "the first argument", "name": "the first argument"}

func (c *command) app() *cobra.Command {
	return cmdline.Group(&cobra.Command{Use: "app", Short: "Keep the apps that people run: list, add, change, remove, import, check",
		Long: `Keep the registry of apps. Core does no app's work: an app names the runtime that does,
its address there and its key, and who may run it (docs/operating/apps.md).

  core app list                                         every app of the installation
  core app add "Help desk" --mode chat --runtime-url U --key-file F
  core app check "Help desk"                            call its runtime, and say what is wrong
  core app set "Help desk" --access internal --allow ada@example.com
  core app import apps.yaml --dry-run                   what a file of apps would change
  core app remove "Help desk"

An app is named by its id, or by its exact name where one alone has it. Keys are read from
a file or from standard input, and shown by a fingerprint alone.`},
		c.listApps(), c.showApp(), c.addApp(), c.setApp(), c.removeApp(), c.importApps(), c.checkApp())
}

// ofWorkspace adds --workspace to a command that names an app.
func ofWorkspace(cmd *cobra.Command, r *operator.AppRef) *cobra.Command {
	cmd.Flags().StringVar(&r.Workspace, "workspace", "", "the app of this workspace, by its id or name")
	return cmd
}

func (c *command) listApps() *cobra.Command {
	q := operator.AppQuery{}
	cmd := c.out.On(&cobra.Command{
		Use: "list", Short: "List apps, the last changed first", Args: cmdline.NoArgs,
		Long: `List the apps of every workspace or of one, the last changed first, page by page. Archived
ones are among them.

  core app list --workspace Engines
  core app list --limit 200 -o json | jq -r '.data[] | [.id, .name] | @tsv'

-o json gives {"page","limit","total","has_more","data"}.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.Check(); err != nil {
				return flagged(err, nil)
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				list, err := by.ListApps(ctx, q)
				if err != nil {
					return err
				}
				if c.out.JSON() {
					return c.out.Print(list, "")
				}
				return c.appTable(list)
			})
		},
	})
	flags := cmd.Flags()
	flags.StringVar(&q.Workspace, "workspace", "", "of this workspace alone, by its id or name")
	flags.IntVar(&q.Page, "page", 1, "which page, from 1")
	flags.IntVar(&q.Limit, "limit", tokenRows, fmt.Sprintf("apps on a page, 1 to %d", access.MaxPage))
	return cmd
}

// appTable writes a list for people; what is no row goes to standard error.
func (c *command) appTable(list operator.AppPage) error {
	if len(list.Data) == 0 {
		_, err := fmt.Fprintf(c.Stderr, "No apps here; %d in all.\n", list.Total)
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	row := func(w io.Writer, cells ...any) {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cells...)
	}
	row(w, "ID", "NAME", "MODE", "WORKSPACE", "RUNTIME", "ACCESS", "API", "KEY", "STATUS")
	for _, a := range list.Data {
		row(w, a.ID, a.Name, a.Mode, a.Workspace, a.Runtime, a.Access, onOff(a.APIEnabled), setOr(a.Key), a.Status)
	}
	return c.pageEnd(w, list.HasMore, len(list.Data), list.Total, list.Page)
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func setOr(k operator.AppKey) string {
	switch {
	case !k.Set:
		return "none"
	case k.Fingerprint == "":
		return "set"
	}
	return "set, fingerprint " + k.Fingerprint
}

func (c *command) showApp() *cobra.Command {
	var r operator.AppRef
	return ofWorkspace(c.out.On(&cobra.Command{
		Use: "show APP", Short: "Show an app with who may run it", Args: oneArg,
		Long: `Show an app, named by its id or its exact name. Of its key the fingerprint is shown:
two who see the same one mean the same key.

  core app show "Help desk"
  core app show "Help desk" --workspace Engines -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.App = args[0]
			if err := r.Check(); err != nil {
				return flagged(err, nameArgument)
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				a, err := by.ShowApp(ctx, r)
				if err != nil {
					return err
				}
				if c.out.JSON() {
					return c.out.Print(a, "")
				}
				return c.appText(a)
			})
		},
	}), &r)
}

// appText writes an app for people.
func (c *command) appText(a operator.AppEntry) error {
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { _, _ = fmt.Fprintf(w, "%s\t%v\n", name, value) }
	row("id", a.ID)
	row("name", a.Name)
	row("workspace", a.Workspace+" ("+a.WorkspaceID+")")
	row("mode", a.Mode)
	row("description", strings.ReplaceAll(a.Description, "\n", " "))
	row("tags", strings.Join(a.Tags, ", "))
	row("author", a.Author)
	row("runtime", a.Runtime)
	if a.Runtime != apps.RuntimeEcho {
		row("runtime address", a.URL)
		row("runtime key", setOr(a.Key))
	}
	if string(a.Config) != "null" {
		row("runtime config", fmt.Sprintf("%d bytes of JSON; -o json shows it", len(a.Config)))
	}
	row("offers", offers(a.Features))
	row("API", onOff(a.APIEnabled))
	row("access", a.Access)
	if a.Access == apps.Internal || len(a.Allowed) > 0 {
		emails := make([]string, len(a.Allowed))
		for i, who := range a.Allowed {
			emails[i] = who.Email
		}
		row("allowed", strings.Join(append([]string{"owners and admins"}, emails...), ", "))
	}
	if a.MaxActive == 0 {
		row("runs at once", "as APP_DEFAULT_ACTIVE_REQUESTS says")
	} else {
		row("runs at once", a.MaxActive)
	}
	row("status", a.Status)
	row("changed", stamp(a.UpdatedAt))
	return w.Flush()
}

func offers(f apps.DeclarationsFeatures) string {
	var list []string
	if f.DSL {
		list = append(list, "DSL")
	}
	if f.HumanInput {
		list = append(list, "human input")
	}
	if list == nil {
		return "runs"
	}
	return "runs, " + strings.Join(list, ", ")
}

func (c *command) removeApp() *cobra.Command {
	var r operator.AppRef
	cmd := ofWorkspace(c.out.On(&cobra.Command{
		Use: "remove APP", Short: "Remove an app from the registry", Args: oneArg,
		Long: `Remove an app from the registry, with its key and its list of access. The app at its
runtime stays. To keep it out of sight instead: core app set APP --status archived

  core app remove "Help desk" --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.App = args[0]
			if err := r.Check(); err != nil {
				return flagged(err, nameArgument)
			}
			if err := c.sure("Remove the app " + r.App + "?"); err != nil {
				return err
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				gone, err := by.RemoveApp(ctx, r)
				if err != nil {
					return err
				}
				return c.out.Print(gone, "App %s (%s, in %s) is removed.\n", gone.ID, gone.Name, gone.Workspace)
			})
		},
	}), &r)
	c.yesFlag(cmd)
	return cmd
}

// unfit is an app that cannot be run, as check says it.
type unfit struct{ checked operator.AppChecked }

// Error says it with what to do.
func (u unfit) Error() string {
	return strings.TrimSpace(u.checked.Name + ": " + u.checked.Text + " " + u.checked.Hint)
}

func (c *command) checkApp() *cobra.Command {
	var r operator.AppRef
	return ofWorkspace(c.out.On(&cobra.Command{
		Use: "check APP", Short: "Call an app's runtime and say what is wrong", Args: oneArg,
		Long: `Call the runtime of an app, as a run would, and say what is wrong: an address that is not
called, a name that does not resolve, a connection or TLS that fails, a key that is
refused, an app that is not set up there or has another mode, a runtime that is too slow.
The call is made by the server that is running on DATA_DIR, whose network and settings
those of runs are. Of a fleet it is made from here: run the command where core runs.

  core app check "Help desk"
  core app check "Help desk" -o json | jq -r .problem

Exit code 1 says that the app cannot be run.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.App = args[0]
			if err := r.Check(); err != nil {
				return flagged(err, nameArgument)
			}
			return c.onExisting(cmd, func(ctx context.Context, by operator.Operations) error {
				checked, err := by.CheckApp(ctx, r)
				if err != nil {
					return err
				}
				if !c.out.JSON() {
					for _, w := range checked.Warnings {
						_, _ = fmt.Fprintln(c.Stderr, checked.Name+":", w)
					}
				}
				switch {
				case checked.OK:
					return c.out.Print(checked, "%s: %s\n", checked.Name, checked.Text)
				case c.out.JSON():
					if err := json.NewEncoder(c.Stdout).Encode(checked); err != nil {
						return err
					}
				}
				return unfit{checked}
			})
		},
	}), &r)
}
