// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/app"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

func (c *command) audit() *cobra.Command {
	return cmdline.Group(&cobra.Command{Use: "audit", Short: "Read, export and prune audit events",
		Long: `Read, export and prune audit events. All three open the database themselves, beside
running servers or without one; list and export need no more than the right to read.

  core audit list --since 24h            what happened
  core audit export --to events.jsonl    all of it, for another system
  core audit prune --older-than 400      delete what is old, from a timer

docs/reference/audit-events.md describes every event.`}, c.auditList(), c.auditExport(), c.auditPrune())
}

func (c *command) auditPrune() *cobra.Command {
	var days int
	cmd := c.out.On(&cobra.Command{
		Use: "prune", Short: "Delete audit events that are older than so many days", Args: cmdline.NoArgs,
		Long: `Delete audit events that are older than --older-than days, or than
AUDIT_RETENTION_DAYS where that is not given; 0 keeps every event. Nothing else
ever deletes one, so call it from a timer. Servers go on meanwhile, and of two
calls at once one is refused.

  core audit prune --older-than 400
  AUDIT_RETENTION_DAYS=400 core audit prune -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.databaseSettings(cmd)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("older-than") {
				days = s.AuditRetentionDays
			}
			if days < 0 || days > app.MaxAuditDays {
				return cmdline.Usage(fmt.Errorf("--older-than must be 0 to %d", app.MaxAuditDays))
			}
			if days == 0 {
				return c.out.Print(map[string]any{"deleted": 0, "older_than_days": 0, "before": nil},
					"Every audit event is kept: AUDIT_RETENTION_DAYS and --older-than are 0. Nothing was deleted.\n")
			}
			before := c.now().Add(-time.Duration(days) * 24 * time.Hour).UTC().Truncate(time.Second)
			deleted, err := app.PruneAudit(cmd.Context(), s, before)
			if err != nil {
				return err
			}
			return c.out.Print(map[string]any{"deleted": deleted, "older_than_days": days, "before": before},
				"%d audit events from before %s deleted.\n", deleted, before.Format(time.RFC3339))
		},
	})
	cmd.Flags().IntVar(&days, "older-than", 0, "age in days; without it AUDIT_RETENTION_DAYS")
	return cmd
}

// now is the clock of the application that the command acts for.
func (c *command) now() time.Time {
	if c.Options.Now != nil {
		return c.Options.Now()
	}
	return time.Now()
}
