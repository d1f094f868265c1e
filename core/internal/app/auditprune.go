// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/jobs"
)

// PruneAudit deletes the audit events from before a time, beside servers that may be
// running, and gives their number, those before a failure included. It opens the
// database itself: a serving App has no way to delete an event.
func PruneAudit(ctx context.Context, s *Settings, before time.Time) (deleted int64, err error) {
	db, err := OpenOwned(ctx, s)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	m, err := sqlstore.NewMigrator(db)
	if err != nil {
		return 0, err
	}
	status, err := m.Status(ctx)
	if err == nil {
		err = status.Check()
	}
	if err != nil {
		return 0, err
	}
	runner := &jobs.Runner{Leases: sqlstore.Leases(db), Owner: jobs.NewOwner(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	deleted, err = runner.Once(ctx, prune.AuditLease, prune.AuditEvents(sqlstore.AuditPrune{DB: db}, before))
	switch {
	case errors.Is(err, jobs.ErrHeld):
		err = errors.New("another core audit prune is running, or was killed less than a minute ago")
	case errors.Is(err, jobs.ErrLost):
		err = fmt.Errorf("stopped after %d events: the lease %s could not be renewed; call it again", deleted, prune.AuditLease)
	case err != nil:
		err = fmt.Errorf("stopped after %d events: %w", deleted, err)
	}
	return deleted, err
}
