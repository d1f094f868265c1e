// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

// auditLine is an event as list and export write it, under the names of the columns.
type auditLine struct {
	ID          string          `json:"id"`
	At          time.Time       `json:"at"`
	Event       string          `json:"event"`
	ActorType   string          `json:"actor_type"`
	ActorID     string          `json:"actor_id,omitempty"`
	SubjectKey  string          `json:"subject_key,omitempty"`
	WorkspaceID string          `json:"workspace_id,omitempty"`
	TokenID     string          `json:"token_id,omitempty"`
	RequestID   string          `json:"request_id"`
	IP          string          `json:"ip,omitempty"`
	UserAgent   string          `json:"user_agent,omitempty"`
	Fields      json.RawMessage `json:"fields"`
}

func lineOf(e audit.Event) auditLine {
	return auditLine{
		ID: e.ID, At: e.At, Event: e.Name, ActorType: e.Actor.Type, ActorID: e.Actor.ID, SubjectKey: e.SubjectKey, WorkspaceID: e.WorkspaceID,
		TokenID: e.TokenID, RequestID: e.Request.ID, IP: e.Request.IP, UserAgent: e.Request.UserAgent, Fields: e.Fields,
	}
}

// auditFilter are the flags that say which events are read.
type auditFilter struct {
	since, event, account, subject, token string
}

func (f *auditFilter) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "from this time (2026-01-31T00:00:00Z) or this long ago (36h)")
	flags.StringVar(&f.event, "event", "", "of this name alone, such as account.signed_in")
	flags.StringVar(&f.account, "account", "", "about or by the account of this e-mail or id")
	flags.StringVar(&f.subject, "subject", "", "about this subject key")
	flags.StringVar(&f.token, "token", "", "about the session of this id")
}

var (
	eventShape   = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)
	subjectShape = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// parse judges the flags; an account that is named by its e-mail is looked up later.
func (f *auditFilter) parse(now time.Time) (out audit.Filter, err error) {
	if out.Since, err = moment("--since", f.since, now); err != nil {
		return out, err
	}
	switch {
	case f.event != "" && !eventShape.MatchString(f.event):
		err = errors.New("--event must be the name of an event, such as account.signed_in; docs/reference/audit-events.md has them all")
	case f.account != "" && f.subject != "":
		err = errors.New("--account and --subject do not go together: give one")
	case f.subject != "" && !subjectShape.MatchString(f.subject):
		err = errors.New("--subject must be a subject key, 64 characters of 0-9 and a-f, as events show it")
	case f.token != "" && !canon.IsID(f.token):
		err = errors.New("--token must be the id of a session, as \"core admin tokens list\" shows it")
	}
	if _, ok := canon.Email(f.account); err == nil && f.account != "" && !ok && !canon.IsID(f.account) {
		err = errors.New("--account must be an account's id or e-mail")
	}
	if err != nil {
		return out, cmdline.Usage(err)
	}
	out.Name, out.SubjectKey, out.TokenID = f.event, f.subject, f.token
	return out, nil
}

// moment reads a time, or how long before now it was. Empty is the zero time.
func moment(flag, given string, now time.Time) (time.Time, error) {
	if given == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, given); err == nil {
		return at.UTC(), nil
	}
	if ago, err := time.ParseDuration(given); err == nil && ago >= 0 {
		return now.Add(-ago).UTC(), nil
	}
	return time.Time{}, cmdline.Usage(fmt.Errorf("%s must be a time such as 2026-01-31T00:00:00Z or a duration such as 36h", flag))
}

// who completes a filter by the account it names.
func (f *auditFilter) who(ctx context.Context, trail sqlstore.AuditTrail, out *audit.Filter) error {
	if f.account == "" {
		return nil
	}
	out.AccountID = f.account // the trail may outlive the account
	if email, ok := canon.Email(f.account); ok {
		id, err := trail.AccountID(ctx, email)
		if errors.Is(err, account.ErrNotFound) {
			return errors.New("no account has this e-mail; one that was deleted is named by its id")
		}
		if err != nil {
			return fmt.Errorf("the account behind this e-mail cannot be read, name it by its id: %w", err)
		}
		out.AccountID = id
	}
	out.SubjectKey = token.AccountKey(out.AccountID)
	return nil
}

// onTrail opens the trail of the settings for one command.
func (c *command) onTrail(cmd *cobra.Command, read func(ctx context.Context, trail sqlstore.AuditTrail) error) (err error) {
	s, err := c.databaseSettings(cmd)
	if err != nil {
		return err
	}
	trail, closed, err := app.OpenTrail(cmd.Context(), s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closed()) }()
	return read(cmd.Context(), trail)
}

// maxListed is the longest list; export has no bound.
const maxListed = 1000

// auditList is the answer of "core audit list -o json". It has no total: counting would
// read all that is not shown.
type auditList struct {
	Limit   int         `json:"limit"`
	HasMore bool        `json:"has_more"`
	Data    []auditLine `json:"data"` // never null
}

func (c *command) auditList() *cobra.Command {
	var f auditFilter
	limit := tokenRows
	cmd := c.out.On(&cobra.Command{
		Use: "list", Short: "List audit events, the newest first", Args: cmdline.NoArgs,
		Long: fmt.Sprintf(`List audit events, the newest first, beside running servers or without one. Times are
UTC. --limit is 1 to %d; for more take "core audit export".

  core audit list --since 24h --event account.sign_in_failed
  core audit list --account ada@example.com --since 2026-01-31T00:00:00Z
  core audit list --token SESSION_ID -o json | jq '.data[]'

--account finds what an account did and what was done about it, --subject the subject
key of anybody. With these two and --token give --since too when the trail is long:
they look through all events of that time. -o json gives {"limit","has_more","data"}.`, maxListed),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.parse(c.now())
			if err != nil {
				return err
			}
			if limit < 1 || limit > maxListed {
				return cmdline.Usage(fmt.Errorf("--limit must be 1 to %d", maxListed))
			}
			return c.onTrail(cmd, func(ctx context.Context, trail sqlstore.AuditTrail) error {
				if err := f.who(ctx, trail, &filter); err != nil {
					return err
				}
				events, err := trail.Newest(ctx, filter, limit+1)
				if err != nil {
					return fmt.Errorf("the audit trail cannot be read: %w", err)
				}
				list := auditList{Limit: limit, HasMore: len(events) > limit, Data: []auditLine{}}
				for _, e := range events[:min(limit, len(events))] {
					list.Data = append(list.Data, lineOf(e))
				}
				if c.out.JSON() {
					return c.out.Print(list, "")
				}
				return c.auditTable(list)
			})
		},
	})
	f.flags(cmd)
	cmd.Flags().IntVar(&limit, "limit", limit, "how many events at most")
	return cmd
}

// auditTable writes a list for people; what is no row goes to standard error. The own
// fields are JSON as it is stored, in which control characters are escaped.
func (c *command) auditTable(list auditList) error {
	if len(list.Data) == 0 {
		_, err := fmt.Fprintln(c.Stderr, "No such events.")
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	row := func(w io.Writer, cells ...any) { _, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", cells...) }
	row(w, "AT", "EVENT", "ACTOR", "ADDRESS", "FIELDS")
	for _, e := range list.Data {
		actor, ip := e.ActorType, e.IP
		if e.ActorID != "" {
			actor += " " + e.ActorID
		}
		if ip == "" {
			ip = "-"
		}
		row(w, stamp(e.At), e.Event, actor, ip, e.Fields)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if list.HasMore {
		_, err := fmt.Fprintf(c.Stderr, "The newest %d; a larger --limit shows more, \"core audit export\" all.\n", len(list.Data))
		return err
	}
	return nil
}
