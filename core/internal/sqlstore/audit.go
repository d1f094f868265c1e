// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/sqllease"
)

const (
	auditTable  = "audit_events"
	leasesTable = "leases"
)

// Audit appends events. What it has written no statement changes; AuditPrune deletes.
func Audit(db sqldb.DB) sqlaudit.Table { return sqlaudit.Table{DB: db, Name: auditTable} }

// Leases are those of core's background jobs.
func Leases(db sqldb.DB) sqllease.Leases { return sqllease.Leases{DB: db, Table: leasesTable} }

// appendEvents writes the events of an act in its transaction.
func appendEvents(ctx context.Context, q sqldb.Querier, events []audit.Event) error {
	return sqlaudit.Insert(ctx, q, auditTable, events)
}

// AuditTrail reads the trail, and whose e-mail an account has. A role that may read the
// one table and two columns of the other is enough.
type AuditTrail struct{ sqlaudit.Table }

// Trail gives the audit trail for reading.
func Trail(db sqldb.DB) AuditTrail { return AuditTrail{Audit(db)} }

// AccountID gives the id of the account that has an e-mail, or account.ErrNotFound. It
// reads two columns, which is all of accounts that a reader of the trail need see.
func (s AuditTrail) AccountID(ctx context.Context, email string) (id string, err error) {
	err = s.DB.QueryRow(ctx, `SELECT id FROM accounts WHERE email = $1`, email).Scan(&id)
	if errors.Is(err, sqldb.ErrNoRows) {
		return "", account.ErrNotFound
	}
	return id, err
}
