// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// connectionMetadata shows what is known of a provider by what it publishes, with what changes it below.
func (c *cli) connectionMetadata() *cobra.Command {
	var seen string
	show := c.metadataAct(&cobra.Command{
		Use: "metadata ID", Short: "What a provider says of itself: show, refresh, accept, reject",
		Long: `Show what is known of a SAML provider: its entity id, addresses and certificates, when they
were read and when they are read again; and what waits for a decision.

Metadata that has an address is read again once a day, or as often as it asks for but never
more than once an hour. What only adds to it, such as a further certificate, is taken at
once and is on record. What takes something away or leads somewhere else waits for you,
and meanwhile what was read before serves:

  sso-bridge connection metadata ID           what is different?
  sso-bridge connection metadata accept ID    it is what the provider's people have told you
  sso-bridge connection metadata reject ID    it is not; what serves goes on

Where the metadata was pasted, give the new one with "connection update".

Of an OpenID provider it is the discovery document, with its endpoints. Sign-ins read it,
once an hour at most. What stays on its host is taken; an endpoint on another host, to
which codes and the client's secret would be sent, waits for you.`,
	}, operator.Operations.Metadata, nil)
	accept := c.metadataAct(&cobra.Command{
		Use: "accept ID", Short: "Let the metadata that waits serve",
		Long: `Let the metadata that waits serve, from the next sign-in on. Ask the provider's people
first, by another way than the metadata: whoever can change it could name a key of theirs.
With --seen no other document is accepted than the one that you have looked at.`,
	}, func(by operator.Operations, ctx context.Context, r operator.MetadataRef) (operator.Metadata, error) { //nolint:revive // as a method expression
		r.Seen = seen
		return by.AcceptMetadata(ctx, r)
	}, nil)
	accept.Flags().StringVar(&seen, "seen", "", "how the digest begins of the document that you have looked at; without it whichever waits")
	show.AddCommand(accept,
		c.metadataAct(&cobra.Command{
			Use: "refresh ID", Short: "Read the provider's metadata now, and take or hold what is new",
			Long: `Read the provider's metadata now instead of when it is due. What only adds is taken; what
takes something away is held and shown.`,
		}, operator.Operations.RefreshMetadata, func(m operator.Metadata) string { return "Asking " + m.Source }),
		c.metadataAct(&cobra.Command{
			Use: "reject ID", Short: "Put the metadata that waits away; what serves goes on",
			Long: `Put the metadata that waits away. What serves goes on. The same document is not held again,
unless you ask for it with refresh; another one is.`,
		}, operator.Operations.RejectMetadata, nil))
	return show
}

// metadataAct is a command that does something with the metadata and shows it. slow says
// what is waited for, where that may take long.
func (c *cli) metadataAct(cmd *cobra.Command, do func(operator.Operations, context.Context, operator.MetadataRef) (operator.Metadata, error), slow func(operator.Metadata) string) *cobra.Command { //nolint:revive // a method expression has its receiver first
	r := operator.MetadataRef{}
	cmd.Args = command.Args("ID")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r.ID = args[0]
		return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
			done := func() {}
			if slow != nil {
				before, err := by.Metadata(ctx, r)
				if err != nil {
					return err
				}
				done = c.waiting(slow(before))
			}
			m, err := do(by, ctx, r)
			done()
			if err != nil {
				return err
			}
			return c.out.Print(m, "%s", metadataText(m))
		})
	}
	cmd.Flags().BoolVar(&r.Head, "head", false, "of the newest revision, where another one serves")
	return c.out.On(cmd)
}

// waitingAfter is how long a command is silent before it tells a person what it waits for.
const waitingAfter = 2 * time.Second

// waiting tells a person, who sees nothing happen for a while, what is waited for, until
// done.
func (c *cli) waiting(what string) (done func()) {
	if !c.Terminal || c.out.JSON() {
		return func() {}
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		start, after := time.Now(), time.NewTicker(waitingAfter)
		defer after.Stop()
		for {
			select {
			case <-stop:
				return
			case now := <-after.C:
				fmt.Fprintf(c.Stderr, "%s, %d s so far …\n", what, int(now.Sub(start).Seconds()))
			}
		}
	}()
	return func() { close(stop); <-ended }
}

func metadataText(m operator.Metadata) string {
	var b strings.Builder
	b.WriteString(providerText(m))
	if m.Pending != nil {
		fmt.Fprintf(&b, "\nWaits for your decision, read %s:\n", maybe(m.Pending.FetchedAt))
		for _, change := range m.Changes {
			fmt.Fprintf(&b, "  %s\n", printable(inWords(change)))
		}
		fmt.Fprintf(&b, "Next: sso-bridge connection metadata accept %[1]s --seen %[2]s, or reject %[1]s\n", m.Connection, short(m.Pending.Digest))
	}
	return b.String()
}

// providerText says what serves.
func providerText(m operator.Metadata) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	if m.Source == "" {
		line("source", "pasted or typed, part of revision %.12s", m.Revision)
	} else {
		line("source", "%s", m.Source)
	}
	f := m.Current
	if f == nil {
		line("provider", "not read yet: it is with the first sign-in or test, or now by: sso-bridge connection metadata refresh %s", m.Connection)
	} else {
		if f.EntityID != "" {
			line("entity id", "%s", f.EntityID)
		}
		if f.Endpoints != nil {
			line("issuer", "%s", f.Issuer)
			for _, n := range f.Endpoints.Named() {
				if n[1] != "" {
					line(endpoints[n[0]], "%s", n[1])
				}
			}
		}
		if f.Redirect != "" {
			line("sign-in", "%s (redirect)", f.Redirect)
		}
		if f.Post != "" {
			line("sign-in", "%s (POST)", f.Post)
		}
		for _, cert := range f.Certificates {
			end := "-"
			if cert.NotAfter != nil {
				end = day(*cert.NotAfter)
			}
			line("certificate", "%s ends %s", cert.Fingerprint, end)
		}
		if f.Digest != "" {
			line("document", "%s, read %s", short(f.Digest), maybe(f.FetchedAt))
		}
		if f.DecidedBy != "" {
			line("accepted by", "%s", f.DecidedBy)
		}
	}
	switch {
	case m.CheckedAt == nil:
	case m.DueAt == nil:
		line("answered", "%s, asked again with a sign-in an hour later", maybe(m.CheckedAt))
	default:
		line("answered", "%s, asked again %s", maybe(m.CheckedAt), maybe(m.DueAt))
	}
	if m.Failure != "" {
		line("last try", "failed: %s", m.Failure)
	}
	return b.String()
}

// whats are the words for what can differ between two documents.
var whats = map[string]string{"certificate": "signing certificate", "entity_id": "entity id", "redirect": "sign-in address (redirect)", "post": "sign-in address (POST)"}

// endpoints are the names under which those of an OpenID provider stand.
var endpoints = map[string]string{"authorization_endpoint": "sign-in", "token_endpoint": "token", "jwks_uri": "keys", "userinfo_endpoint": "userinfo"}

// inWords says one difference as a sentence.
func inWords(change operator.Difference) string {
	what := change.What
	if words, ok := whats[what]; ok {
		what = words
	}
	var text string
	switch change.Kind {
	case "added":
		text = fmt.Sprintf("a %s is added: %s", what, change.To)
	case "removed":
		text = fmt.Sprintf("the %s is removed: %s", what, change.From)
	default:
		text = fmt.Sprintf("the %s changes from %s to %s", what, change.From, change.To)
	}
	if change.Destructive {
		text += "  (this is why it waits)"
	}
	return text
}
