// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Audit appends events. What it has written no statement changes; AuditPrune deletes.
type Audit struct{ DB sqldb.DB }

var _ audit.Sink = Audit{}

// Append implements audit.Sink. A batch whose commit got no answer comes once more,
// among later ones: what is there already is not appended again, or it would stand in
// the way of everything behind it.
func (s Audit) Append(ctx context.Context, events ...audit.Event) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		// No columns are named: for that a role needs to read them.
		return insertEvents(ctx, tx, events, ` ON CONFLICT DO NOTHING`)
	})
}

// appendEvents writes the events of an act in its transaction.
func appendEvents(ctx context.Context, q sqldb.Querier, events []audit.Event) error {
	return insertEvents(ctx, q, events, "")
}

func insertEvents(ctx context.Context, q sqldb.Querier, events []audit.Event, again string) error {
	for _, e := range events {
		_, err := q.Exec(ctx, `INSERT INTO audit_events
			(id, at, event, actor_type, actor_id, subject_key, workspace_id, token_id, request_id, ip, user_agent, fields)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`+again,
			e.ID, e.At, e.Name, e.Actor.Type, null(e.Actor.ID), null(e.SubjectKey), null(e.WorkspaceID), null(e.TokenID),
			e.Request.ID, null(e.Request.IP), null(e.Request.UserAgent), string(e.Fields))
		if err != nil {
			return err
		}
	}
	return nil
}
