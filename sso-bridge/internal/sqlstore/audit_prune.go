// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// AuditPrune is the one statement of the bridge that touches audit rows once they are
// written.
type AuditPrune struct{ DB sqldb.DB }

// Prune deletes at most limit events from before a time. The oldest go first: what is left
// of a deletion that was stopped has no hole.
func (s AuditPrune) Prune(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.DB.Exec(ctx, `DELETE FROM `+auditTable+` WHERE id IN (SELECT id FROM `+auditTable+`
		WHERE at < $1 ORDER BY at, id LIMIT $2`+s.DB.Dialect().SkipLocked()+`)`, before, limit)
}
