// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

func (c *cli) admin() *cobra.Command {
	secretKey := c.out.On(&cobra.Command{
		Use: "rotate-secret-key", Short: "Change SECRET_KEY; logins under way end as they began", Args: command.NoArgs,
		Long: `Change the key under which logins under way are sealed and people are hashed in traces.

Where the bridge keeps the key itself, in DATA_DIR, this draws a new one and puts the
former beside it as secret.key.previous; then restart the bridge, and both are accepted.
The former key goes by itself with the first start a day later.

  sso-bridge admin rotate-secret-key && systemctl restart sso-bridge

Where you give SECRET_KEY yourself, first start every process with the new key and the
former one in SECRET_KEY_PREVIOUS_FILE, then call this once, with the same settings. From
then on no process starts with the former key alone, and after an hour
SECRET_KEY_PREVIOUS_FILE can go.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				done, err := by.RotateSecretKey(ctx)
				if err != nil {
					return err
				}
				switch {
				case done.Changed && done.Restart:
					return c.out.Print(done, "A new secret key is in place. Restart sso-bridge now, if it is running, to use it.\nUntil a day later the former one is accepted too; it is in %s.\n", done.Previous)
				case done.Restart:
					return c.out.Print(done, "Nothing was done: a rotation waits for its restart. Restart sso-bridge first.\n")
				case done.Changed:
					return c.out.Print(done, "The database is under the present SECRET_KEY now. SECRET_KEY_PREVIOUS can go in an hour, when logins under way are over.\n")
				}
				return c.out.Print(done, "Nothing was done: the database is under the present SECRET_KEY already.\nTo change it, start sso-bridge with the new one and the former in SECRET_KEY_PREVIOUS_FILE, then call this again.\n")
			})
		},
	})
	sealingKey := c.out.On(&cobra.Command{
		Use: "rotate-sealing-key", Short: "Seal everything anew with the first sealing key", Args: command.NoArgs,
		Long: `Seal every sealed value of the database anew with the first key of the sealing keys. No
revision and no fingerprint changes by it.

Where the bridge keeps them itself, in DATA_DIR, a new key is drawn first; no restart is
needed. Where you give SEALING_KEY_FILE yourself, add the new key as its last line and
restart every process; move it to the front and restart them again; then call this.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.operate(cmd, func(ctx context.Context, by operator.Operations) error {
				done, err := by.RotateSealingKey(ctx)
				if err != nil {
					return err
				}
				values, sealed := 0, 0
				for _, column := range done.Columns {
					values, sealed = values+column.Values, sealed+column.Sealed
				}
				text := fmt.Sprintf("Of %d sealed values %d sealed anew: all are under %s now.\n", values, sealed, done.Key)
				if len(done.Others) > 0 {
					text += "Nothing in the database needs " + strings.Join(done.Others, ", ") + " any more; copies made before do.\n"
				}
				return c.out.Print(done, "%s", text)
			})
		},
	})
	return command.Group(&cobra.Command{Use: "admin", Short: "Copy the bridge, change its own keys, and write a support bundle"}, c.backup(), c.restore(), secretKey, sealingKey, c.supportBundle())
}

// maxListed is the longest list.
const maxListed = 1000

func (c *cli) audit() *cobra.Command {
	return command.Group(&cobra.Command{Use: "audit", Short: "Read and prune audit events",
		Long: `Read and prune audit events. Both open the database themselves, beside running servers or
without one. docs/reference/sso-bridge-audit-events.md describes every event.`}, c.auditList(), c.auditPrune())
}

// auditLine is an event as it is listed, under the names of the columns.
type auditLine struct {
	ID        string          `json:"id"`
	At        time.Time       `json:"at"`
	Event     string          `json:"event"`
	ActorType string          `json:"actor_type"`
	ActorID   string          `json:"actor_id,omitempty"`
	RequestID string          `json:"request_id"`
	IP        string          `json:"ip,omitempty"`
	UserAgent string          `json:"user_agent,omitempty"`
	Fields    json.RawMessage `json:"fields"`
}

func (c *cli) auditList() *cobra.Command {
	var since, event string
	limit := 50
	cmd := c.out.On(&cobra.Command{
		Use: "list", Short: "List audit events, the newest first", Args: command.NoArgs,
		Long: `List audit events, the newest first. Times are UTC.

  sso-bridge audit list --since 24h --event sso.attempt_failed
  sso-bridge audit list -o json | jq '.data[]'`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			from, err := moment("--since", since, c.now())
			if err != nil {
				return err
			}
			if limit < 1 || limit > maxListed {
				return command.Usage(fmt.Errorf("--limit must be 1 to %d", maxListed))
			}
			s, err := c.databaseSettings(cmd)
			if err != nil {
				return err
			}
			trail, closed, err := app.OpenTrail(cmd.Context(), s)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closed()) }()
			events, err := trail.Newest(cmd.Context(), audit.Filter{Since: from, Name: event}, limit+1)
			if err != nil {
				return fmt.Errorf("the audit trail cannot be read: %w", err)
			}
			lines := []auditLine{}
			for _, e := range events[:min(limit, len(events))] {
				lines = append(lines, auditLine{
					ID: e.ID, At: e.At, Event: e.Name, ActorType: e.Actor.Type, ActorID: e.Actor.ID, RequestID: e.Request.ID, IP: e.Request.IP, UserAgent: e.Request.UserAgent, Fields: e.Fields,
				})
			}
			if c.out.JSON() {
				return c.out.Print(map[string]any{"limit": limit, "has_more": len(events) > limit, "data": lines}, "")
			}
			return c.table([]string{"AT", "EVENT", "ACTOR", "FIELDS"}, len(lines), "No such events.", func(i int) []any {
				return []any{stamp(lines[i].At), lines[i].Event, strings.TrimSpace(lines[i].ActorType + " " + lines[i].ActorID), string(lines[i].Fields)}
			})
		},
	})
	cmd.Flags().StringVar(&since, "since", "", "from this time (2026-01-31T00:00:00Z) or this long ago (36h)")
	cmd.Flags().StringVar(&event, "event", "", "of this name alone, such as sso.attempt_failed")
	cmd.Flags().IntVar(&limit, "limit", limit, "how many events at most")
	return cmd
}

func (c *cli) auditPrune() *cobra.Command {
	var days int
	cmd := c.out.On(&cobra.Command{
		Use: "prune", Short: "Delete audit events that are older than so many days", Args: command.NoArgs,
		Long: `Delete audit events that are older than --older-than days, or than
AUDIT_RETENTION_DAYS where that is not given; 0 keeps every event. Nothing else ever
deletes one, so call it from a timer. Servers go on meanwhile.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.databaseSettings(cmd)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("older-than") {
				days = s.AuditRetentionDays
			}
			if days < 0 || days > app.MaxAuditDays {
				return command.Usage(fmt.Errorf("--older-than must be 0 to %d", app.MaxAuditDays))
			}
			if days == 0 {
				return c.out.Print(map[string]any{"deleted": 0, "older_than_days": 0}, "Every audit event is kept: AUDIT_RETENTION_DAYS and --older-than are 0. Nothing was deleted.\n")
			}
			before := c.now().Add(-time.Duration(days) * 24 * time.Hour).UTC().Truncate(time.Second)
			deleted, err := app.PruneAudit(cmd.Context(), s, before)
			if err != nil {
				return err
			}
			return c.out.Print(map[string]any{"deleted": deleted, "older_than_days": days, "before": before}, "%d audit events from before %s deleted.\n", deleted, before.Format(time.RFC3339))
		},
	})
	cmd.Flags().IntVar(&days, "older-than", 0, "age in days; without it AUDIT_RETENTION_DAYS")
	return cmd
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
	return time.Time{}, command.Usage(fmt.Errorf("%s must be a time such as 2026-01-31T00:00:00Z or a duration such as 36h", flag))
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") }

// table writes a list for people; that it is empty goes to standard error.
func (c *cli) table(head []string, rows int, none string, row func(i int) []any) error {
	if rows == 0 {
		_, err := fmt.Fprintln(c.Stderr, none)
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for i := range rows {
		fmt.Fprintln(w, strings.TrimSuffix(fmt.Sprintf(strings.Repeat("%v\t", len(head)), row(i)...), "\t"))
	}
	return w.Flush()
}
