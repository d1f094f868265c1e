// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"log/slog"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/settings"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// readsCore reports whether the bridge's SQL role has rights on core's tables.
func readsCore(ctx context.Context, db sqldb.Querier) (reads bool, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(bool_or(has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')), false) FROM pg_class c
		WHERE c.relkind IN ('r', 'p') AND c.relname IN ('accounts', 'oauth_access_tokens', 'installation') AND pg_table_is_visible(c.oid)`).Scan(&reads)
	return reads, err
}

// usesCore reports whether the bridge's Redis user may use core's keys. Those that are asked
// for are nobody's, with no prefix and with the one that the documents give core: a key below
// the prefix of the bridge would be its own.
func usesCore(ctx context.Context, db *redisdb.DB) (bool, error) {
	for _, key := range []string{"dg:{doctor}", "core:dg:{doctor}"} {
		if _, err := db.Do(ctx, "exists", key); !redisdb.Refused(err) {
			return err == nil, err
		}
	}
	return false, nil
}

// lookAround warns of credentials that are core's too: whoever breaks into the bridge then
// holds core's sessions and accounts as well. On loopback all is one person's. A store that
// does not answer is told of elsewhere.
func (st *Stores) lookAround(ctx context.Context, s *Settings, log *slog.Logger) {
	if settings.Loopback(s.Public.Hostname()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if reads, err := readsCore(ctx, st.DB); err == nil && reads {
		log.Warn("DATABASE_URL may read core's tables: give the bridge credentials of its own, which may not")
	}
	if uses, err := usesCore(ctx, st.redis); err == nil && uses {
		log.Warn("REDIS_URL may use core's keys: give the bridge a Redis user of its own, which may not")
	}
}
