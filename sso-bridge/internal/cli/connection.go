// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

func (c *cli) connection() *cobra.Command {
	return command.Group(&cobra.Command{Use: "connection", Short: "Connect identity providers: create, test, enable, disable",
		Long: `Connect identity providers. A connection begins as a draft, is tested by a real sign-in and
then enabled; an edit makes a new revision and touches no login until it is enabled
itself.

  sso-bridge connection create --preset okta-oidc --id okta --name Okta \
    --issuer https://corp.okta.com --client-id 0oa1 --client-secret-file ./secret
  sso-bridge connection show okta      what to copy into the provider's console
  sso-bridge connection test okta      a link to sign in by, once
  sso-bridge connection enable okta
  sso-bridge connection metadata corp  what a provider says of itself, and what waits
  sso-bridge connection keys corp      the keys that sign requests to it

On an embedded data directory the running bridge does it; without one this command opens
the stores itself.`},
		c.connectionWrite(true), c.connectionWrite(false), c.connectionList(), c.connectionShow(), c.connectionTest(), c.connectionEnable(),
		c.connectionEnd("disable", "Refuse logins through a connection, and end what was signed in to through it"),
		c.connectionEnd("delete", "Take a disabled connection away for good; its id and issuer stay taken"),
		c.connectionRevisions(), c.connectionRestore(), c.connectionKeys(), c.connectionMetadata())
}

// connectionWrite is create and update.
func (c *cli) connectionWrite(create bool) *cobra.Command {
	var d declared
	var match, reason string
	var force bool
	cmd := &cobra.Command{
		Use: "create", Short: "Make a connection, a draft", Args: command.NoArgs,
		Long: `Make a connection out of a file, or out of flags; flags win over the file. The file is
YAML with the members of one entry of the connections file, and may name files for its
secrets, which are read here and kept sealed. "-" is standard input.

  sso-bridge connection create --file okta.yaml
  sso-bridge connection create --preset github --id github --name GitHub \
    --client-id Ov23liabcdef0123 --client-secret-file ./secret --intents device_flow
  sso-bridge connection create --preset entra-saml --id corp --name Corp --domains corp.example \
    --metadata-url 'https://login.microsoftonline.com/…/federationmetadata.xml?appid=…'

Presets: ` + presetNames() + `.`,
	}
	if !create {
		cmd.Use, cmd.Short, cmd.Args = "update ID", "Give a connection another content, a new revision", command.Args("ID")
		cmd.Long = `Give a connection another content, whole, out of a file or flags as with create. Secrets
that are left out are kept as long as they go to the same provider and client. The new
revision is the head; what serves goes on until the head is tested and enabled.`
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text, err := d.text(c.Stdin)
		if err != nil {
			return err
		}
		change := operator.Change{Connection: text, Match: match, Force: force, Reason: reason}
		return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
			if create {
				made, err := by.CreateConnection(ctx, change)
				if err != nil {
					return err
				}
				return c.out.Print(made, "Connection %s is a draft.\n%s\nNext: sso-bridge connection test %s\n", made.ID, copies(made), made.ID)
			}
			change.ID = args[0]
			if change.Match == "" {
				before, err := by.Connection(ctx, operator.Ref{ID: change.ID})
				if err != nil {
					return err
				}
				change.Match = before.Head.Revision
			}
			now, err := by.UpdateConnection(ctx, change)
			if err != nil {
				return err
			}
			if now.Head.Revision == change.Match {
				return c.out.Print(now, "The content is the same: no new revision.\n")
			}
			return c.out.Print(now, "The head of %s is revision %d, %.12s.\nNext: sso-bridge connection test %s\n", now.ID, now.Head.Seq, now.Head.Revision, now.ID)
		})
	}
	d.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "take over the issuer of a deleted connection; needs --reason")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit trail")
	if !create {
		cmd.Flags().StringVar(&match, "match", "", "refuse unless this is still the head; without it the present head")
	}
	return c.out.On(cmd)
}

func presetNames() string {
	var names []string
	for _, p := range connection.Presets() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// copies says what goes into the provider's console and what comes from there.
func copies(v operator.Connection) string {
	var b strings.Builder
	b.WriteString("\nCopy into the provider's console:\n")
	theirs := v.ToThem
	if len(theirs) == 0 {
		theirs = []operator.Copied{{Field: "redirect URI", Value: v.RedirectURI}}
	}
	width := 0
	for _, f := range slices.Concat(theirs, v.ToUs) {
		width = max(width, len(f.Field))
	}
	for _, f := range theirs {
		fmt.Fprintf(&b, "  %-*s   %s\n", width, f.Field, f.Value)
	}
	if len(v.ToUs) > 0 {
		b.WriteString("Copy from there:\n")
	}
	for _, f := range v.ToUs {
		fmt.Fprintf(&b, "  %-*s   into %s\n", width, f.Field, f.Value)
	}
	for _, note := range v.Notes {
		fmt.Fprintf(&b, "Note: %s\n", note)
	}
	for _, warning := range v.Warnings {
		fmt.Fprintf(&b, "Warning: %s\n", printable(warning))
	}
	return b.String()
}

// samlText says what is particular to a connection that speaks SAML 2.0.
func samlText(v *operator.SAML) string {
	if v == nil {
		return ""
	}
	text := fmt.Sprintf("\nWe are\n%-12s%s\n%-12s%s\n%-12s%s\n", "entity id", v.EntityID, "consumer", v.ConsumerURL, "metadata", v.MetadataURL)
	for _, k := range v.Keys {
		if !k.Over() {
			text += fmt.Sprintf("%-12s%s %s, ends %s\n", "signing key", short(k.Fingerprint), k.State, day(k.NotAfter))
		}
	}
	return text + "\nThe provider is\n" + metadataText(v.Provider)
}

func (c *cli) connectionList() *cobra.Command {
	return c.out.On(&cobra.Command{Use: "list", Short: "List the connections", Args: command.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
			list, err := by.Connections(ctx)
			if err != nil {
				return err
			}
			if c.out.JSON() {
				return c.out.Print(list, "")
			}
			defer c.warnings(list)
			return c.table([]string{"ID", "NAME", "PROTOCOL", "STATE", "FOR", "MANAGED BY", "SERVING", "HEAD"}, len(list.Data), "No connections yet: sso-bridge connection create --help", func(i int) []any {
				v, serving := list.Data[i], "-"
				if v.Serving != nil {
					serving = v.Serving.Revision[:12]
				}
				return []any{v.ID, v.Name, v.Protocol, v.State, intents(v.Intents), v.ManagedBy, serving, v.Head.Revision[:12]}
			})
		})
	}})
}

// warnings are said below a list, on standard error: a script that cuts columns goes on.
func (c *cli) warnings(list operator.Connections) {
	for _, v := range list.Data {
		for _, warning := range v.Warnings {
			fmt.Fprintf(c.Stderr, "Warning: %s: %s\n", v.ID, printable(warning))
		}
	}
}

func intents(list []connection.Intent) string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = string(one)
	}
	return strings.Join(texts, ",")
}

func (c *cli) connectionShow() *cobra.Command {
	return c.out.On(&cobra.Command{Use: "show ID", Short: "Show a connection and what to copy where", Args: command.Args("ID"), RunE: func(cmd *cobra.Command, args []string) error {
		return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
			v, err := by.Connection(ctx, operator.Ref{ID: args[0]})
			if err != nil {
				return err
			}
			text := fmt.Sprintf("%s (%s): %s, %s, preset %s, for %s, managed by %s\nhead      revision %d, %s\n", v.ID, v.Name, v.State, v.Protocol, v.Preset, intents(v.Intents), v.ManagedBy, v.Head.Seq, v.Head.Revision)
			if v.Serving != nil {
				text += fmt.Sprintf("serving   revision %d, %s\n", v.Serving.Seq, v.Serving.Revision)
			}
			for _, issuer := range v.Issuers {
				text += "issuer    " + issuer + "\n"
			}
			return c.out.Print(v, "%s%s%s", text, samlText(v.SAML), copies(v))
		})
	}})
}

func (c *cli) connectionTest() *cobra.Command {
	o := operator.Test{}
	cmd := c.out.On(&cobra.Command{Use: "test ID", Short: "Give a link by which one person tries a connection, in any state", Args: command.Args("ID"),
		Long: `Give a link that is good once and for 15 minutes. Open it in a browser and sign in at the
provider: the page then shows every check and every claim. Nobody is signed in and nothing
is linked. A test that passes marks the revision as tested; with --next-key, the key that
comes next as one that the provider has.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ID = args[0]
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				t, err := by.TestConnection(ctx, o)
				if err != nil {
					return err
				}
				return c.out.Print(t, "Open this once, by %s UTC:\n  %s\nAfterwards: sso-bridge attempts show %s\n", stamp(t.ExpiresAt), t.URL, t.Reference)
			})
		}})
	cmd.Flags().StringVar(&o.Revision, "revision", "", "hash of the revision; without it the head")
	cmd.Flags().BoolVar(&o.NextKey, "next-key", false, "sign the request with the staged key (SAML); a pass shows that the provider has it")
	cmd.Flags().BoolVar(&o.ExpectRefusal, "expect-refusal", false, "the test passes when the rules of admission refuse the tester")
	return cmd
}

func (c *cli) connectionEnable() *cobra.Command {
	o := operator.Enable{}
	cmd := c.out.On(&cobra.Command{Use: "enable ID", Short: "Let logins use the head of a connection, once a test has passed", Args: command.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ID = args[0]
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				v, err := by.EnableConnection(ctx, o)
				if err != nil {
					return err
				}
				return c.out.Print(v, "Connection %s serves revision %d, %.12s.\n", v.ID, v.Serving.Seq, v.Serving.Revision)
			})
		}})
	cmd.Flags().StringVar(&o.Revision, "revision", "", "refuse unless this is the head")
	cmd.Flags().BoolVar(&o.Force, "force", false, "enable without a test; needs --reason")
	cmd.Flags().StringVar(&o.Reason, "reason", "", "why, for the audit trail")
	return cmd
}

// connectionEnd is disable and delete.
func (c *cli) connectionEnd(verb, short string) *cobra.Command {
	o := operator.End{}
	cmd := c.out.On(&cobra.Command{Use: verb + " ID", Short: short, Args: command.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ID = args[0]
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				end := by.DisableConnection
				if verb == "delete" {
					end = by.DeleteConnection
				}
				done, err := end(ctx, o)
				if err != nil {
					return err
				}
				text := fmt.Sprintf("Done: %d tokens and %d console sessions ended.\n", done.Tokens, done.Sessions)
				switch {
				case o.KeepTokens:
					text = "Done; tokens and sessions were kept.\n"
				case done.Pending:
					text = "Done. Core does not answer: its tokens and sessions end as soon as it does.\n"
				}
				return c.out.Print(done, "%s", text)
			})
		}})
	cmd.Flags().StringVar(&o.Reason, "reason", "", "why, for the audit trail")
	cmd.Flags().BoolVar(&o.KeepTokens, "keep-tokens", false, "let what was signed in to go on")
	return cmd
}

func (c *cli) connectionRevisions() *cobra.Command {
	return c.out.On(&cobra.Command{Use: "revisions ID", Short: "List every content that a connection has had", Args: command.Args("ID"), RunE: func(cmd *cobra.Command, args []string) error {
		return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
			list, err := by.Revisions(ctx, operator.Ref{ID: args[0]})
			if err != nil {
				return err
			}
			if c.out.JSON() {
				return c.out.Print(list, "")
			}
			return c.table([]string{"SEQ", "HASH", "CREATED", "BY", "TESTED", "FORCED"}, len(list.Data), "No revisions.", func(i int) []any {
				r, tested, forced := list.Data[i], "-", "-"
				if r.TestedAt != nil {
					tested = stamp(*r.TestedAt)
				}
				if r.ForcedReason != "" {
					forced = r.ForcedReason
				}
				return []any{r.Seq, r.Revision, stamp(r.CreatedAt), r.CreatedBy, tested, forced}
			})
		})
	}})
}

func (c *cli) connectionRestore() *cobra.Command {
	o := operator.Restore{}
	cmd := c.out.On(&cobra.Command{Use: "restore ID HASH", Short: "Make a former content the head again, with its test", Args: command.Args("ID", "HASH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ID, o.Revision = args[0], args[1]
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				v, err := by.RestoreRevision(ctx, o)
				if err != nil {
					return err
				}
				return c.out.Print(v, "The head of %s is revision %d again. Next: sso-bridge connection enable %s\n", v.ID, v.Head.Seq, v.ID)
			})
		}})
	cmd.Flags().StringVar(&o.Reason, "reason", "", "why, for the audit trail")
	return cmd
}
