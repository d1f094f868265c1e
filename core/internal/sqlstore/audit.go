// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"errors"

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
	err := s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error { return appendEvents(ctx, tx, events) })
	if !errors.Is(err, sqldb.ErrUnique) {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		missing := make([]audit.Event, 0, len(events))
		for _, e := range events {
			var name, fields string
			scan := tx.QueryRow(ctx, `SELECT event, fields FROM audit_events WHERE id = $1`, e.ID).Scan(&name, &fields)
			switch {
			case errors.Is(scan, sqldb.ErrNoRows):
				missing = append(missing, e)
			case scan != nil:
				return scan
			case name != e.Name || fields != string(e.Fields):
				return err // another event has its id
			}
		}
		return appendEvents(ctx, tx, missing)
	})
}

func appendEvents(ctx context.Context, q sqldb.Querier, events []audit.Event) error {
	for _, e := range events {
		_, err := q.Exec(ctx, `INSERT INTO audit_events
			(id, at, event, actor_type, actor_id, subject_key, workspace_id, token_id, request_id, ip, user_agent, fields)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			e.ID, e.At, e.Name, e.Actor.Type, null(e.Actor.ID), null(e.SubjectKey), null(e.WorkspaceID), null(e.TokenID),
			e.Request.ID, null(e.Request.IP), null(e.Request.UserAgent), string(e.Fields))
		if err != nil {
			return err
		}
	}
	return nil
}
