// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"context"
	"time"
)

// The names of the leases under which rows are deleted.
const (
	PruneTokens   = "prune.tokens"
	PruneSessions = "prune.sessions"
	PruneAudit    = "prune.audit"
)

const (
	daily = 24 * time.Hour
	// batch is how many rows one statement deletes: it holds their locks, and on SQLite
	// the one writer, for no longer than others can wait.
	batch = 500
	// sessionsKeep stays far from every browser session that is alive by any clock.
	sessionsKeep = 24 * time.Hour
)

// Pruner deletes rows that are over. Each call is one statement on at most limit rows
// and gives their number; rows that another statement has locked may be passed over.
type Pruner interface {
	// Tokens deletes sessions that were revoked before the time, and those that were
	// not and ran out before it.
	Tokens(ctx context.Context, before time.Time, limit int) (int64, error)
	// Fences deletes fences that are needed until a time before the given one.
	Fences(ctx context.Context, before time.Time, limit int) (int64, error)
	// Sessions deletes browser sessions that ran out before the time.
	Sessions(ctx context.Context, before time.Time, limit int) (int64, error)
}

// AuditPruner deletes audit events. It is apart from Pruner because a server has none:
// the database role that it runs under may be kept from deleting them.
type AuditPruner interface {
	// Events deletes at most limit events from before the time, the oldest first.
	Events(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Tokens is the daily job that deletes sessions of the token registry keep after their
// end (0 keeps them all) and fences once they are over: a fence's own time is an hour
// past its grant's.
func Tokens(p Pruner, now func() time.Time, keep time.Duration) Job {
	return Job{Name: PruneTokens, Every: daily, Do: func(ctx context.Context) (rows int64, err error) {
		at := now()
		if keep > 0 {
			if rows, err = inBatches(ctx, at.Add(-keep), p.Tokens); err != nil {
				return rows, err
			}
		}
		fences, err := inBatches(ctx, at, p.Fences)
		return rows + fences, err
	}}
}

// Sessions is the daily job that deletes browser sessions a day after their end.
func Sessions(p Pruner, now func() time.Time) Job {
	return Job{Name: PruneSessions, Every: daily, Do: func(ctx context.Context) (int64, error) {
		return inBatches(ctx, now().Add(-sessionsKeep), p.Sessions)
	}}
}

// AuditEvents is work that deletes the events from before a time.
func AuditEvents(p AuditPruner, before time.Time) Work {
	return func(ctx context.Context) (int64, error) { return inBatches(ctx, before, p.Events) }
}

// inBatches deletes until a batch is not full.
func inBatches(ctx context.Context, before time.Time, remove func(ctx context.Context, before time.Time, limit int) (int64, error)) (rows int64, err error) {
	for {
		n, err := remove(ctx, before, batch)
		rows += n
		if err != nil || n < batch {
			return rows, err
		}
		if err := ctx.Err(); err != nil {
			return rows, err
		}
	}
}
