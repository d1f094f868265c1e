// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// OpenTrail opens the audit trail for reading, beside servers that may be running and
// without asking them: reading changes nothing that a process remembers, SQLite in its
// WAL mode lets readers and the writer go on together, a trail of millions does not fit
// the one answer of the control socket, and on Postgres a role that may read this one
// table is enough. No key is loaded, and nothing is created where no database is.
func OpenTrail(ctx context.Context, s *Settings) (trail sqlstore.AuditTrail, closed func() error, err error) {
	var db sqldb.DB
	if s.Embedded() {
		if _, err := os.Stat(s.Database()); errors.Is(err, os.ErrNotExist) {
			return trail, nil, fmt.Errorf("there is no installation in %s: name the right one with --data-dir or DATA_DIR", s.DataDir)
		}
		db, err = sqldb.OpenSQLite(ctx, s.Database())
	} else {
		db, err = openPostgres(ctx, "DATABASE_URL", s.DatabaseURL, ownerConns)
	}
	if err != nil {
		return trail, nil, err
	}
	if err := fitSchema(ctx, db, false); err != nil {
		return trail, nil, errors.Join(err, db.Close())
	}
	return sqlstore.Trail(db), db.Close, nil
}
