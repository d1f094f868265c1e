// SPDX-License-Identifier: Apache-2.0

package sqlaudit

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Table is the audit stream of a service. What it has written it never changes.
type Table struct {
	DB sqldb.DB
	// Name is that of the table, a constant of the program: it becomes part of the
	// statements. The columns are those of audit.Event, with an index on (at, id) and one
	// on (event, at).
	Name string
}

var _ audit.Sink = Table{}

// Append implements audit.Sink. A batch whose commit got no answer comes once more,
// among later ones: what is there already is not appended again, or it would stand in
// the way of everything behind it.
func (s Table) Append(ctx context.Context, events ...audit.Event) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		// No columns are named: for that a role needs to read them.
		return insert(ctx, tx, s.Name, events, ` ON CONFLICT DO NOTHING`)
	})
}

// Insert writes the events of an act in its transaction; table is a constant, as in Table.
func Insert(ctx context.Context, tx sqldb.Querier, table string, events []audit.Event) error {
	return insert(ctx, tx, table, events, "")
}

func insert(ctx context.Context, q sqldb.Querier, table string, events []audit.Event, again string) error {
	for _, e := range events {
		_, err := q.Exec(ctx, `INSERT INTO `+table+`
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

// null stores an empty string as NULL: columns that may be absent are.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// EventName is an audit event without what it tells.
type EventName struct {
	At   time.Time
	Name string
}

// Names gives the newest events until now, by time and name alone.
func (s Table) Names(ctx context.Context, now time.Time, most int) (found []EventName, err error) {
	rows, err := s.DB.Query(ctx, `SELECT at, event FROM `+s.Name+` WHERE at <= $1 ORDER BY at DESC, id DESC LIMIT $2`, now, most)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e EventName
		if err := rows.Scan(&e.At, &e.Name); err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, rows.Err()
}
