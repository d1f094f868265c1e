// SPDX-License-Identifier: Apache-2.0

package prune

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/jobs"
)

// The names of the leases under which rows are deleted.
const (
	TokensLease   = "prune.tokens"
	SessionsLease = "prune.sessions"
	RunsLease     = "prune.runs"
	AuditLease    = "prune.audit"
)

const (
	daily = 24 * time.Hour
	// sessionsKeep stays far from every browser session that is alive by any clock.
	sessionsKeep = 24 * time.Hour
)

// Store deletes rows that are over. Each call is one statement on at most limit rows
// and gives their number; rows that another statement has locked may be passed over.
type Store interface {
	// Tokens deletes sessions that were revoked before the time, and those that were
	// not and ran out before it.
	Tokens(ctx context.Context, before time.Time, limit int) (int64, error)
	// Fences deletes fences that are needed until a time before the given one.
	Fences(ctx context.Context, before time.Time, limit int) (int64, error)
	// Sessions deletes browser sessions that ran out before the time.
	Sessions(ctx context.Context, before time.Time, limit int) (int64, error)
	// Runs deletes what is on record of runs that began before the time.
	Runs(ctx context.Context, before time.Time, limit int) (int64, error)
}

// AuditStore deletes audit events. It is apart from Store because a server has none:
// the database role that it runs under may be kept from deleting them.
type AuditStore interface {
	// Events deletes at most limit events from before the time, the oldest first.
	Events(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Tokens is the daily job that deletes sessions of the token registry keep after their
// end (0 keeps them all) and fences once they are over: a fence's own time is an hour
// past its grant's.
func Tokens(p Store, now func() time.Time, keep time.Duration) jobs.Job {
	return jobs.Job{Name: TokensLease, Every: daily, Do: func(ctx context.Context) (rows int64, err error) {
		at := now()
		if keep > 0 {
			if rows, err = jobs.InBatches(ctx, at.Add(-keep), p.Tokens); err != nil {
				return rows, err
			}
		}
		fences, err := jobs.InBatches(ctx, at, p.Fences)
		return rows + fences, err
	}}
}

// Sessions is the daily job that deletes browser sessions a day after their end.
func Sessions(p Store, now func() time.Time) jobs.Job {
	return jobs.Job{Name: SessionsLease, Every: daily, Do: func(ctx context.Context) (int64, error) {
		return jobs.InBatches(ctx, now().Add(-sessionsKeep), p.Sessions)
	}}
}

// Runs is the daily job that deletes what is on record of runs keep after they began:
// their tasks can then neither be stopped nor followed.
func Runs(p Store, now func() time.Time, keep time.Duration) jobs.Job {
	return jobs.Job{Name: RunsLease, Every: daily, Do: func(ctx context.Context) (int64, error) {
		return jobs.InBatches(ctx, now().Add(-keep), p.Runs)
	}}
}

// AuditEvents is work that deletes the events from before a time.
func AuditEvents(p AuditStore, before time.Time) jobs.Work {
	return func(ctx context.Context) (int64, error) { return jobs.InBatches(ctx, before, p.Events) }
}
