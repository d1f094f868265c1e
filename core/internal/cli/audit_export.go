// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	cmdline "github.com/dify-sso/dify-sso/pkg/command"
)

const (
	// exportPage bounds what is in memory. A page is read whole before it is written, so
	// that a reader that is slow holds no snapshot of the database open.
	exportPage = 500
	// exportSettles is how old an event is before it is exported by default. An event gets
	// its time before its transaction commits; an export up to this very moment could pass
	// over one that is still on its way, and no --after would come back to it.
	exportSettles = "1m"
	// progressAfter is how long an export runs before it tells a person how far it is.
	progressAfter = 2 * time.Second
)

// auditExported is what "core audit export --to FILE" says of itself.
type auditExported struct {
	Exported int    `json:"exported"`
	LastID   string `json:"last_id,omitempty"`
	File     string `json:"file"`
}

func (c *command) auditExport() *cobra.Command {
	var f auditFilter
	var until, after, to string
	cmd := c.out.On(&cobra.Command{
		Use: "export", Short: "Write audit events as JSON lines, the oldest first", Args: cmdline.NoArgs,
		Long: `Write audit events as JSON lines, the oldest first, to standard output or to --to FILE
(made with mode 0600), beside running servers or without one. However long the trail
is, a page at a time is in memory.

  core audit export --since 720h --to events.jsonl
  core audit export --to events.jsonl --after "$(tail -n 1 events.jsonl | jq -r .id)"
  core audit export | gzip > events.jsonl.gz

--after ID goes on behind an event: with --to it appends to the file, which is refused
otherwise when it exists. Events of the last minute are left for the next time, because
servers may still be writing some that belong between them; --until 0s takes them too.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.parse(c.now())
			if err != nil {
				return err
			}
			if filter.Until, err = moment("--until", until, c.now()); err != nil {
				return err
			}
			if after != "" && !canon.IsID(after) {
				return cmdline.Usage(errors.New("--after must be the id of an event, such as the last line of an export has"))
			}
			return c.onTrail(cmd, func(ctx context.Context, trail sqlstore.AuditTrail) error {
				if err := f.who(ctx, trail, &filter); err != nil {
					return err
				}
				var from audit.Position
				if after != "" {
					if from, err = trail.Find(ctx, after); errors.Is(err, audit.ErrNoEvent) {
						return fmt.Errorf("no event has the id %s, it may have been pruned: go on with --since and a time instead", after)
					} else if err != nil {
						return fmt.Errorf("the audit trail cannot be read: %w", err)
					}
				}
				return c.exportTo(ctx, to, after != "", func(w io.Writer) (auditExported, error) { return c.export(ctx, trail, filter, from, w) })
			})
		},
	})
	f.flags(cmd)
	cmd.Flags().StringVar(&until, "until", exportSettles, "up to this time or this long ago")
	cmd.Flags().StringVar(&after, "after", "", "go on behind the event of this id")
	cmd.Flags().StringVar(&to, "to", "", "file to write; without it standard output")
	return cmd
}

// exportTo runs an export into a file, or standard output for none.
func (c *command) exportTo(ctx context.Context, to string, resumes bool, export func(w io.Writer) (auditExported, error)) (err error) {
	if to == "" {
		_, err := export(c.Stdout)
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if !resumes {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(to, flags, 0o600) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: name another file, or go on behind its last event with --after", to)
	}
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	done, err := export(file)
	if err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	done.File = to
	return c.out.Print(done, "%s exported to %s.\n", plural(done.Exported, "event"), to)
}

// export writes page after page. Each begins behind the last event of the one before, so
// what servers append or a prune deletes meanwhile moves nothing.
func (c *command) export(ctx context.Context, trail audit.Trail, f audit.Filter, from audit.Position, w io.Writer) (auditExported, error) {
	var done auditExported
	p := progress{to: c.Stderr, now: c.now, start: c.now(), on: c.Watched}
	defer p.end()
	for {
		events, err := trail.Next(ctx, f, from, exportPage)
		if err != nil {
			return done, stopped(done, fmt.Errorf("the audit trail cannot be read: %w", err))
		}
		var page bytes.Buffer
		for _, e := range events {
			if err := json.NewEncoder(&page).Encode(lineOf(e)); err != nil {
				return done, stopped(done, fmt.Errorf("event %s does not encode: %w", e.ID, err))
			}
		}
		if _, err := w.Write(page.Bytes()); err != nil {
			return done, stopped(done, err)
		}
		if len(events) > 0 {
			from = events[len(events)-1].Position()
			done.Exported, done.LastID = done.Exported+len(events), from.ID
			p.tell(done.Exported, from.At)
		}
		if len(events) < exportPage {
			return done, nil
		}
	}
}

// stopped words a failure in the middle, and how to go on.
func stopped(done auditExported, err error) error {
	if done.LastID == "" {
		return err
	}
	return fmt.Errorf("stopped after %s, go on with --after %s: %w", plural(done.Exported, "event"), done.LastID, err)
}

// progress tells a person who waits how far an export is, on one line that it rewrites.
type progress struct {
	to    io.Writer
	now   func() time.Time
	start time.Time
	last  time.Time
	on    bool
}

func (p *progress) tell(n int, at time.Time) {
	now := p.now()
	if !p.on || now.Sub(p.start) < progressAfter || now.Sub(p.last) < time.Second {
		return
	}
	p.last = now
	_, _ = fmt.Fprintf(p.to, "\r%d events, up to %s", n, stamp(at))
}

func (p *progress) end() {
	if !p.last.IsZero() {
		_, _ = fmt.Fprintln(p.to)
	}
}
