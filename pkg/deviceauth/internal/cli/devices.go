// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

func (c *command) devices() *cobra.Command {
	return group(&cobra.Command{
		Use: "devices", Short: "What you are signed in on, and ending it",
		Example: "  difyauth devices list\n  difyauth devices revoke 01939e8a-6c1e-7a0b-9c39-2f6d1f0c8a11\n  difyauth devices revoke --all",
	}, c.devicesList(), c.devicesRevoke())
}

func (c *command) devicesList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the devices that you are signed in on, newest first", Args: noArgs,
		Example: "  difyauth devices list\n  difyauth devices list -o json | jq -r '.[] | select(.last_used_at == null) | .id'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, _, err := c.open()
			if err != nil {
				return err
			}
			list, err := a.Devices(cmd.Context())
			if err != nil {
				return err
			}
			return c.print(list, "%s", table(list))
		},
	}
}

func table(list []api.Device) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  DEVICE\tPROGRAM\tSIGNED IN (UTC)\tLAST USED\tENDS\tID")
	for _, d := range list {
		mark, used := " ", "never"
		if d.Current {
			mark = "*"
		}
		if d.LastUsedAt != nil {
			used = minute(*d.LastUsedAt)
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%s\t%s\t%s\n", mark, plain(d.Label), plain(d.ClientID), minute(d.CreatedAt), used, minute(d.ExpiresAt), plain(d.ID))
	}
	_ = w.Flush()
	return b.String() + "* this device\n"
}

// minute shortens an instant; what is none is shown as it came.
func minute(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return plain(s)
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func (c *command) devicesRevoke() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "revoke <id> | --all", Short: "End the sign-in on one device, or on all but this one",
		Example: "  difyauth devices revoke 01939e8a-6c1e-7a0b-9c39-2f6d1f0c8a11\n  difyauth devices revoke --all",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case all && len(args) > 0:
				return usagef("revoke takes an id or --all, not both")
			case !all && len(args) != 1:
				return usagef("revoke takes one id, as difyauth devices list shows it, or --all")
			case len(args) == 1 && !isID(args[0]):
				return usagef("%q is no id: difyauth devices list shows them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a, entry, err := c.open()
			if err != nil {
				return err
			}
			if all {
				n, err := a.EndOthers(cmd.Context())
				if err != nil {
					return err
				}
				return c.print(map[string]any{"revoked": n}, "Ended on %s, not on this one\n", devices(n))
			}
			if err := c.revokeOne(cmd.Context(), a, entry, args[0]); err != nil {
				return err
			}
			return c.print(map[string]any{"revoked": 1, "id": args[0]}, "Ended\n")
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all but this device")
	return cmd
}

func devices(n int) string {
	if n == 1 {
		return "1 device"
	}
	return fmt.Sprintf("%d devices", n)
}

// revokeOne ends one session. When it is the stored one, the token that is left here is
// dead and forgotten.
func (c *command) revokeOne(ctx context.Context, a *api.API, entry credentials.Entry, id string) error {
	if err := a.End(ctx, id); err != nil {
		return err
	}
	if entry.TokenID != id {
		return nil
	}
	v, err := c.vault()
	if err != nil {
		return err
	}
	inKeyring, inFile := v.Forget(entry, false)
	if inKeyring != nil {
		c.warn("left_in_keyring", "the keyring did not remove the token, which is ended on the server: remove the item %q of difyauth there yourself", entry.Item)
	}
	return inFile
}

// isID keeps out what would be another route: "self" would sign this device out.
func isID(s string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') && r != '-' {
			return false
		}
	}
	return len(s) == 36
}
