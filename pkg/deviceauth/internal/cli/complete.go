// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

// completionTimeout bounds what a person who pressed Tab waits for the server.
const completionTimeout = 2 * time.Second

func (c *command) completion() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Print what makes a shell complete difyauth's commands, servers and devices",
		Long: `completion prints a script for a shell. With it Tab completes commands and flags,
after --host the servers that you are signed in on, and after devices revoke your
devices.`,
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
	words := func(list ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
	}
	_ = root.RegisterFlagCompletionFunc("host", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return c.hosts(), cobra.ShellCompDirectiveNoFileComp
	})
	_ = root.RegisterFlagCompletionFunc("output", words("text", "json"))
	for _, name := range []string{"login", "devices revoke"} {
		cmd, _, err := root.Find(split(name))
		if err != nil {
			continue
		}
		switch name {
		case "login":
			_ = cmd.RegisterFlagCompletionFunc("store", words(credentials.Auto, credentials.InKeyring, credentials.InFile))
			_ = cmd.RegisterFlagCompletionFunc("label", words())
		default:
			cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
				if len(args) > 0 {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return c.deviceIDs(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
			}
		}
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

func (c *command) deviceIDs(ctx context.Context) (ids []string) {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	c.quiet = true
	a, _, err := c.open()
	if err != nil {
		return nil
	}
	list, err := a.Devices(ctx)
	if err != nil {
		return nil
	}
	for _, d := range list {
		if isID(d.ID) {
			ids = append(ids, d.ID+"\t"+plain(d.Label))
		}
	}
	return ids
}
