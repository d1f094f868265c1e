// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// connectionKeys is the list of keys, with what changes it below.
func (c *cli) connectionKeys() *cobra.Command {
	list := c.out.On(&cobra.Command{
		Use: "keys ID", Short: "The keys that sign SAML requests: list, stage, promote, retire", Args: command.Args("ID"),
		Long: `List the keys with which a SAML connection signs its requests. The first one is made when
it is first needed and good for 3 years. No key ever changes by itself; you succeed it in
steps, at each of which every sign-in works:

  sso-bridge connection keys stage ID     make the next one, and publish it
  sso-bridge connection keys ID           has the provider fetched our metadata since?
  sso-bridge connection test ID --next-key    or: try it, before anybody depends on it
  sso-bridge connection keys promote ID   let it sign; the former stays published 30 days
  sso-bridge connection keys retire ID KEY    end a staged or a retiring one at once

A provider to which you gave our certificate by hand needs the next one by hand too, before
it is promoted; -o json has it as "certificate".`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				keys, err := by.SigningKeys(ctx, operator.Ref{ID: args[0]})
				if err != nil {
					return err
				}
				return c.keys(keys, "No key yet: it is made with the first sign-in or test, or when our metadata is read.")
			})
		},
	})
	list.AddCommand(c.keysStage(), c.keysPromote(), c.keysRetire())
	return list
}

func (c *cli) keysStage() *cobra.Command {
	return c.out.On(&cobra.Command{Use: "stage ID", Short: "Make the key that comes next; it is published and signs nothing but tests", Args: command.Args("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				keys, err := by.StageKey(ctx, operator.Ref{ID: args[0]})
				if err != nil {
					return err
				}
				return c.keysThen(keys, "Next: let the provider read our metadata, or give it the certificate (connection keys %[1]s -o json has it); then sso-bridge connection test %[1]s --next-key\n", args[0])
			})
		}})
}

func (c *cli) keysPromote() *cobra.Command {
	o := operator.PromoteKey{}
	cmd := c.out.On(&cobra.Command{
		Use: "promote ID", Short: "Let the staged key sign", Args: command.Args("ID"),
		Long: `Let the staged key sign from the next request on. It is refused until something shows that
the provider has the key: our metadata was fetched since it was staged, or a test that was
signed with it has passed. The former key stays published for 30 days.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ID = args[0]
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				keys, err := by.PromoteKey(ctx, o)
				if err != nil {
					return err
				}
				return c.keysThen(keys, "Requests are signed with it from now on. See that a sign-in works: sso-bridge connection test %s\n", args[0])
			})
		},
	})
	cmd.Flags().BoolVar(&o.Force, "force", false, "promote it though nothing shows that the provider has it; needs --reason")
	cmd.Flags().StringVar(&o.Reason, "reason", "", "why, for the audit trail")
	return cmd
}

func (c *cli) keysRetire() *cobra.Command {
	return c.out.On(&cobra.Command{
		Use: "retire ID KEY", Short: "End a staged or a retiring key at once", Args: command.Args("ID", "KEY"),
		Long: `End a key that is staged or retiring at once, instead of after its 30 days: it leaves our
metadata. KEY is its fingerprint as listed, or its id; the first 8 characters are enough.
The current key is not retired: promote another one.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				keys, err := by.RetireKey(ctx, operator.RetireKey{ID: args[0], Key: args[1]})
				if err != nil {
					return err
				}
				return c.keys(keys, "No key.")
			})
		},
	})
}

// keysThen lists keys and says what comes after.
func (c *cli) keysThen(keys operator.SigningKeys, format string, args ...any) error {
	if err := c.keys(keys, ""); err != nil || c.out.JSON() {
		return err
	}
	_, err := fmt.Fprintf(c.Stdout, format, args...)
	return err
}

// keys lists them; those that are over have no more to say than that.
func (c *cli) keys(keys operator.SigningKeys, none string) error {
	if c.out.JSON() {
		return c.out.Print(keys, "")
	}
	return c.table([]string{"STATE", "CERTIFICATE", "ENDS", "STAGED", "METADATA SEEN", "TESTED", "CHANGED"}, len(keys.Data), none, func(i int) []any {
		k := keys.Data[i]
		return []any{k.State, short(k.Fingerprint), day(k.NotAfter), stamp(k.StagedAt), maybe(k.MetadataSeenAt), maybe(k.TestedAt), maybe(k.ChangedAt())}
	})
}

// short is as much of a fingerprint as a person compares; all of it is in -o json.
func short(fingerprint string) string { return fingerprint[:min(len(fingerprint), 16)] }

func day(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// maybe is a time that may be none.
func maybe(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return stamp(*at)
}
