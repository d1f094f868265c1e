// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

// completionTimeout bounds what a person who pressed Tab waits for the server.
const completionTimeout = 2 * time.Second

func (c *command) completion() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Print what makes a shell complete difyauth's commands, servers, devices and apps",
		Long: `completion prints a script for a shell. With it Tab completes commands and flags,
after --host the servers that you are signed in on, after devices revoke your devices,
after run your apps, and after workspaces use and members what belongs there.`,
		Example: `  bash        source <(difyauth completion bash)
  zsh         difyauth completion zsh >"${fpath[1]}/_difyauth"
  fish        difyauth completion fish >~/.config/fish/completions/difyauth.fish
  powershell  difyauth completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("completion takes one shell: bash, zsh, fish or powershell")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(c.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(c.Stdout)
			case "fish":
				return root.GenFishCompletion(c.Stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(c.Stdout)
			}
			return usagef("%q is none of the shells bash, zsh, fish, powershell", args[0])
		},
	}
}

// complete adds what only a look at the files or the server can tell. Whatever goes wrong
// there, a person who pressed Tab is told nothing.
func (c *command) complete(root *cobra.Command) {
	fixed := func(list ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
	}
	_ = root.RegisterFlagCompletionFunc("host", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return c.hosts(), cobra.ShellCompDirectiveNoFileComp
	})
	_ = root.RegisterFlagCompletionFunc("output", fixed("text", "json"))
	if cmd, _, err := root.Find([]string{"login"}); err == nil {
		_ = cmd.RegisterFlagCompletionFunc("store", fixed(credentials.Auto, credentials.InKeyring, credentials.InFile))
		_ = cmd.RegisterFlagCompletionFunc("label", fixed())
	}
	for name, ask := range map[string]func(context.Context, *api.API, credentials.Entry) []string{
		"devices revoke": deviceIDs, "workspaces use": workspaceIDs, "apps describe": c.appNames, "run": c.appNames, "resume": c.appNames,
		"members set-role": c.memberNames, "members remove": c.memberNames,
	} {
		cmd, _, err := root.Find(split(name))
		if err != nil {
			continue
		}
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			switch {
			case len(args) == 0:
				return c.offer(cmd.Context(), ask), cobra.ShellCompDirectiveNoFileComp
			case len(args) == 1 && name == "members set-role":
				return []string{"normal", "admin"}, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if cmd.Flag("workspace") != nil {
			_ = cmd.RegisterFlagCompletionFunc("workspace", c.offering(workspaceIDs))
		}
	}
	if cmd, _, err := root.Find([]string{"apps", "list"}); err == nil {
		_ = cmd.RegisterFlagCompletionFunc("mode", fixed(modes...))
		_ = cmd.RegisterFlagCompletionFunc("workspace", c.offering(workspaceIDs))
	}
	if cmd, _, err := root.Find([]string{"members", "invite"}); err == nil {
		_ = cmd.RegisterFlagCompletionFunc("role", fixed("normal", "admin"))
	}
}

func (c *command) hosts() (hosts []string) {
	v, err := c.vault()
	if err != nil {
		return nil
	}
	file, err := v.Load()
	if err != nil {
		return nil
	}
	for _, e := range file.Entries {
		hosts = append(hosts, e.Host+"\t"+plain(e.Email))
	}
	return hosts
}

// offer asks the server for what an argument may be.
func (c *command) offer(ctx context.Context, ask func(context.Context, *api.API, credentials.Entry) []string) []string {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	c.quiet = true
	a, entry, err := c.open()
	if err != nil {
		return nil
	}
	a.Waiting = nil
	return ask(ctx, a, entry)
}

func (c *command) offering(ask func(context.Context, *api.API, credentials.Entry) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return c.offer(cmd.Context(), ask), cobra.ShellCompDirectiveNoFileComp
	}
}

func deviceIDs(ctx context.Context, a *api.API, _ credentials.Entry) (ids []string) {
	list, _ := a.Devices(ctx)
	for _, d := range list {
		if isID(d.ID) {
			ids = append(ids, d.ID+"\t"+plain(d.Label))
		}
	}
	return ids
}

func workspaceIDs(ctx context.Context, a *api.API, _ credentials.Entry) (ids []string) {
	list, _ := a.Workspaces(ctx)
	for _, v := range list {
		if isID(v.ID) {
			ids = append(ids, v.ID+"\t"+plain(v.Name))
		}
	}
	return ids
}

func (c *command) memberNames(ctx context.Context, a *api.API, _ credentials.Entry) (names []string) {
	id, err := c.workspaceID(ctx, a, "")
	if err != nil {
		return nil
	}
	list, _ := a.Members(ctx, id)
	for _, m := range list {
		if bareWord.MatchString(m.Email) {
			names = append(names, m.Email+"\t"+plain(m.Name))
		}
	}
	return names
}

// appNames offers a name where it is one word and one app's, else the id.
func (c *command) appNames(ctx context.Context, a *api.API, e credentials.Entry) (names []string) {
	list, err := c.everywhere(ctx, a, api.AppFilter{Permitted: external(e)})
	if err != nil {
		return nil
	}
	count := map[string]int{}
	for _, v := range list {
		count[v.Name]++
	}
	for _, v := range list {
		switch {
		case bareWord.MatchString(v.Name) && count[v.Name] == 1 && !isID(v.Name):
			names = append(names, v.Name+"\t"+plain(v.Mode)+" "+plain(v.ID))
		case isID(v.ID):
			names = append(names, v.ID+"\t"+brief(v.Name, 60))
		}
	}
	return names
}
