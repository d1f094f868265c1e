// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Prune implements prune.Store.
type Prune struct{ DB sqldb.DB }

var _ prune.Store = Prune{}

// Each of these chooses its rows first and once: as a part of the DELETE Postgres may choose
// anew for each row that it looks at, and then more rows go than the limit says.

// Tokens implements prune.Store. A row that is neither revoked nor past its end fits
// neither condition, whatever the time.
func (s Prune) Tokens(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.DB.Exec(ctx, `WITH over AS MATERIALIZED (SELECT id FROM oauth_access_tokens
		WHERE (revoked_at IS NOT NULL AND revoked_at < $1) OR (revoked_at IS NULL AND expires_at < $1) LIMIT $2`+s.DB.Dialect().SkipLocked()+`)
		DELETE FROM oauth_access_tokens WHERE id IN (SELECT id FROM over)`, before, limit)
}

// Fences implements prune.Store.
func (s Prune) Fences(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.DB.Exec(ctx, `WITH over AS MATERIALIZED (SELECT grant_ref FROM grant_fences
		WHERE expires_at < $1 LIMIT $2`+s.DB.Dialect().SkipLocked()+`)
		DELETE FROM grant_fences WHERE grant_ref IN (SELECT grant_ref FROM over)`, before, limit)
}

// Sessions implements prune.Store.
func (s Prune) Sessions(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.DB.Exec(ctx, `WITH over AS MATERIALIZED (SELECT id FROM console_sessions
		WHERE expires_at < $1 LIMIT $2`+s.DB.Dialect().SkipLocked()+`)
		DELETE FROM console_sessions WHERE id IN (SELECT id FROM over)`, before, limit)
}

// Runs implements prune.Store.
func (s Prune) Runs(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.DB.Exec(ctx, `WITH over AS MATERIALIZED (SELECT id FROM app_runs
		WHERE started_at < $1 LIMIT $2`+s.DB.Dialect().SkipLocked()+`)
		DELETE FROM app_runs WHERE id IN (SELECT id FROM over)`, before, limit)
}

// AuditPrune implements prune.AuditStore: the one statement of the product that
// touches audit rows once they are written.
type AuditPrune struct{ DB sqldb.DB }

var _ prune.AuditStore = AuditPrune{}

// Events implements prune.AuditStore. The oldest go first: what is left of a deletion
// that was stopped has no hole.
func (s AuditPrune) Events(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.DB.Exec(ctx, `WITH over AS MATERIALIZED (SELECT id FROM audit_events
		WHERE at < $1 ORDER BY at, id LIMIT $2`+s.DB.Dialect().SkipLocked()+`)
		DELETE FROM audit_events WHERE id IN (SELECT id FROM over)`, before, limit)
}
