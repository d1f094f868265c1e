// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

func (c *command) token() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "token", Short: "Print the token alone, for a script", Args: noArgs,
		Long: `token prints the token of the sign-in, or DIFYAUTH_TOKEN, and nothing else. It
exits with 4 when there is none or its time is over. The server is asked only
with --check, which counts against the limits of the token.`,
		Example: `  curl -H @<(printf 'Authorization: Bearer %s' "$(difyauth token)") \
    https://sso.example.com/openapi/v1/account
  difyauth token --check >/dev/null || difyauth login`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			entry, err := c.session()
			if err != nil {
				return err
			}
			if check {
				a, _, err := c.open()
				if err != nil {
					return err
				}
				if _, err := a.Identity(cmd.Context()); err != nil {
					return err
				}
			}
			return c.print(map[string]any{"token": entry.Token.Reveal(), "host": orNil(entry.Host), "expires_at": stamp(entry.ExpiresAt)}, "%s\n", entry.Token.Reveal())
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "ask the server whether it accepts the token")
	return cmd
}

func (c *command) whoami() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Ask the server who is signed in", Args: noArgs,
		Example: "  difyauth whoami\n  difyauth whoami -o json | jq -r .default_workspace_id",
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, entry, err := c.open()
			if err != nil {
				return err
			}
			who, err := a.Identity(cmd.Context())
			if err != nil {
				return err
			}
			return c.print(struct {
				Host string `json:"host"`
				api.Identity
				TokenID   any `json:"token_id"`
				ExpiresAt any `json:"expires_at"`
			}{entry.Host, who, orNil(entry.TokenID), stamp(entry.ExpiresAt)}, "%s", identityText(entry, who))
		},
	}
}

func identityText(entry credentials.Entry, who api.Identity) string {
	var b strings.Builder
	b.WriteString(plain(who.Email))
	if who.Account != nil && who.Account.Name != "" {
		fmt.Fprintf(&b, " (%s)", plain(who.Account.Name))
	}
	if who.Account == nil && who.Issuer != nil {
		fmt.Fprintf(&b, " of %s", plain(*who.Issuer))
	}
	fmt.Fprintf(&b, " on %s\n", entry.Host)
	for i, w := range who.Workspaces {
		if i == 0 {
			b.WriteString("Workspaces:\n")
		}
		fmt.Fprintf(&b, "  %s, %s", plain(w.Name), plain(w.Role))
		if who.Default != nil && *who.Default == w.ID {
			b.WriteString(" (default)")
		}
		b.WriteString("\n")
	}
	if !entry.ExpiresAt.IsZero() {
		fmt.Fprintf(&b, "Signed in until %s\n", entry.ExpiresAt.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return b.String()
}

func (c *command) logout() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "End the sign-in on the server and forget it here", Args: noArgs,
		Long: `logout ends the sign-in on the server, then removes its token from the keyring and
from the file. When the server cannot be told, a warning says so and the token is
removed all the same.`,
		Example: "  difyauth logout\n  difyauth logout --host https://sso.example.com",
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := c.vault()
			if err != nil {
				return err
			}
			file, err := v.Load()
			var exposed *credentials.Exposed
			if errors.As(err, &exposed) { // all the more reason to end it
				c.warn("credentials_exposed", "%s was open to others on this machine (mode %04o)", exposed.Path, exposed.Mode)
				file, err = v.LoadExposed()
			}
			if err != nil {
				return err
			}
			entry, err := c.pick(file)
			var absent notSignedIn
			if err != nil && (!errors.As(err, &absent) || !absent.ended) {
				return err
			}
			if c.env("DIFYAUTH_TOKEN") != "" {
				c.warn("token_in_environment", "DIFYAUTH_TOKEN is still set, and its token still lives: end it where it was made, or with difyauth devices revoke")
			}
			v.Mode = credentials.InFile // what is about to go need not move first
			entry, _, locked := v.Open(entry)
			return c.forget(cmd.Context(), v, entry, locked, exposed != nil)
		},
	}
}

// forget ends the session first: what stays behind when the file cannot be changed is
// then worth nothing.
func (c *command) forget(ctx context.Context, v credentials.Vault, entry credentials.Entry, locked error, exposed bool) error {
	ended := locked
	if locked == nil {
		ended = c.end(ctx, entry)
	}
	state := "is ended on the server"
	if ended != nil {
		if ctx.Err() != nil {
			return ctx.Err() // Ctrl-C: nothing is forgotten that may still live
		}
		state = "may still live"
		reason := "could not be told (" + short(ended) + ")"
		if locked != nil {
			reason = "could not be told, for the keyring did not give the token (" + plain(errors.Unwrap(locked).Error()) + ")"
		}
		c.warn("not_revoked", "%s %s, so the sign-in may live on there: end it at %s/account/sessions", entry.Host, reason, entry.Host)
	}
	inKeyring, inFile := v.Forget(entry, exposed)
	if inKeyring != nil {
		c.warn("left_in_keyring", "the keyring did not remove the token, which %s: remove the item %q of difyauth there yourself", state, entry.Item)
	}
	if inFile != nil {
		return told{code: "not_forgotten", text: fmt.Sprintf("%s cannot be changed (%v): remove it yourself, its token %s", v.Path(), inFile, state)}
	}
	return c.print(map[string]any{"host": entry.Host, "revoked": ended == nil}, "Signed out of %s\n", entry.Host)
}
