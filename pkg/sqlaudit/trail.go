// SPDX-License-Identifier: Apache-2.0

package sqlaudit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

var _ audit.Trail = Table{}

const eventColumns = `id, at, event, actor_type, actor_id, subject_key, workspace_id, token_id, request_id, ip, user_agent, fields`

// selection is the condition of a filter. Only what it names is in the text, so that the
// planner sees which index bounds the walk.
type selection struct {
	conditions []string
	args       []any
}

func (s *selection) add(condition string, args ...any) {
	for i, a := range args {
		s.args = append(s.args, a)
		condition = strings.ReplaceAll(condition, fmt.Sprintf("?%d", i+1), fmt.Sprintf("$%d", len(s.args)))
	}
	s.conditions = append(s.conditions, condition)
}

func selected(f audit.Filter) *selection {
	s := &selection{}
	s.add(`at >= ?1`, f.Since)
	if !f.Until.IsZero() {
		s.add(`at < ?1`, f.Until)
	}
	if f.Name != "" {
		s.add(`event = ?1`, f.Name)
	}
	switch {
	case f.AccountID != "":
		s.add(`(subject_key = ?1 OR (actor_type = 'account' AND actor_id = ?2))`, f.SubjectKey, f.AccountID)
	case f.SubjectKey != "":
		s.add(`subject_key = ?1`, f.SubjectKey)
	}
	if f.TokenID != "" {
		s.add(`token_id = ?1`, f.TokenID)
	}
	return s
}

// read is a SELECT alone: a role that may do nothing else can read the trail. Every
// statement walks along the index on (at, id) or, for one kind of event, (event, at), and
// stops at its limit. There is no index on subject or token, which each event would pay
// for: an operator's rare question looks through the time it names.
func (s Table) read(ctx context.Context, where *selection, order string, limit int) ([]audit.Event, error) {
	rows, err := s.DB.Query(ctx, fmt.Sprintf(`SELECT `+eventColumns+` FROM `+s.Name+` WHERE %s ORDER BY %s LIMIT $%d`,
		strings.Join(where.conditions, " AND "), order, len(where.args)+1), append(where.args, limit)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var events []audit.Event
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, rows.Err()
}

// Newest implements audit.Trail.
func (s Table) Newest(ctx context.Context, f audit.Filter, limit int) ([]audit.Event, error) {
	return s.read(ctx, selected(f), "at DESC, id DESC", limit)
}

// Next implements audit.Trail.
func (s Table) Next(ctx context.Context, f audit.Filter, after audit.Position, limit int) ([]audit.Event, error) {
	if after.At.After(f.Since) {
		f.Since = after.At // one bound of the index instead of two
	}
	where := selected(f)
	where.add(`(at, id) > (?1, ?2)`, after.At, after.ID)
	return s.read(ctx, where, "at, id", limit)
}

// Find implements audit.Trail.
func (s Table) Find(ctx context.Context, id string) (audit.Position, error) {
	p := audit.Position{ID: id}
	err := s.DB.QueryRow(ctx, `SELECT at FROM `+s.Name+` WHERE id = $1`, id).Scan(&p.At)
	if errors.Is(err, sqldb.ErrNoRows) {
		return audit.Position{}, audit.ErrNoEvent
	}
	return p, err
}

func scanEvent(row sqldb.Row) (e audit.Event, err error) {
	var fields string
	err = row.Scan(&e.ID, &e.At, &e.Name, &e.Actor.Type, text{&e.Actor.ID}, text{&e.SubjectKey}, text{&e.WorkspaceID}, text{&e.TokenID},
		&e.Request.ID, text{&e.Request.IP}, text{&e.Request.UserAgent}, &fields)
	e.Fields = json.RawMessage(fields)
	return e, err
}

// text reads a column that may be NULL.
type text struct{ to *string }

// Scan implements sql.Scanner.
func (t text) Scan(src any) error {
	switch v := src.(type) {
	case string:
		*t.to = v
	case []byte:
		*t.to = string(v)
	default:
		*t.to = ""
	}
	return nil
}
