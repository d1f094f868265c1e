// SPDX-License-Identifier: Apache-2.0

package sqlaudit_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

func open(t *testing.T, tables ...string) sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, table := range tables {
		if _, err := db.Exec(t.Context(), table); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

var start = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func event(id string, minute int) audit.Event {
	return audit.Event{ID: id, At: start.Add(time.Duration(minute) * time.Minute), Name: "it.happened", Actor: audit.System, Request: audit.Request{ID: "request"}, Fields: json.RawMessage(`{"n":1}`)}
}

func table(t *testing.T) sqlaudit.Table {
	t.Helper()
	return sqlaudit.Table{Name: "events", DB: open(t, `CREATE TABLE events (id TEXT NOT NULL PRIMARY KEY, at INTEGER NOT NULL, event TEXT NOT NULL, actor_type TEXT NOT NULL,
		actor_id TEXT, subject_key TEXT, workspace_id TEXT, token_id TEXT, request_id TEXT NOT NULL, ip TEXT, user_agent TEXT, fields TEXT NOT NULL) STRICT`)}
}

func TestTable(t *testing.T) {
	s := table(t)
	whole := event("c", 2)
	whole.Actor, whole.SubjectKey, whole.WorkspaceID, whole.TokenID = audit.Actor{Type: "account", ID: "ada"}, "key", "space", "token"
	whole.Request = audit.Request{ID: "request", IP: "192.0.2.1", UserAgent: "agent"}
	a, b := event("a", 0), event("b", 1)
	b.Name = "other"
	if err := errors.Join(s.Append(t.Context(), a, b), s.Append(t.Context(), b, whole)); err != nil {
		t.Fatalf("a batch that comes again, among later ones: %v", err)
	}
	want := func(what string, got []audit.Event, err error, events ...audit.Event) {
		t.Helper()
		if diff := cmp.Diff(events, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", what, err, diff)
		}
	}
	got, err := s.Newest(t.Context(), audit.Filter{}, 2)
	want("the newest", got, err, whole, b)
	got, err = s.Newest(t.Context(), audit.Filter{Name: "other", Since: start, Until: start.Add(time.Hour)}, 9)
	want("by name", got, err, b)
	got, err = s.Newest(t.Context(), audit.Filter{Until: whole.At}, 9)
	want("until", got, err, b, a)
	for what, f := range map[string]audit.Filter{"by subject": {SubjectKey: "key"}, "by account": {AccountID: "ada", SubjectKey: "none"}, "by token": {TokenID: "token"}} {
		got, err = s.Newest(t.Context(), f, 9)
		want(what, got, err, whole)
	}
	after, err := s.Find(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	got, err = s.Next(t.Context(), audit.Filter{}, after, 9)
	want("what came after", got, err, b, whole)
	if _, err := s.Find(t.Context(), "z"); !errors.Is(err, audit.ErrNoEvent) {
		t.Error(err)
	}
	names, err := s.Names(t.Context(), b.At, 9)
	if diff := cmp.Diff([]sqlaudit.EventName{{At: b.At, Name: "other"}, {At: a.At, Name: "it.happened"}}, names); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestAnActAndItsEventAreOne(t *testing.T) {
	s := table(t)
	undone := errors.New("undone")
	err := s.DB.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
		if err := sqlaudit.Insert(ctx, tx, "events", []audit.Event{event("a", 0)}); err != nil {
			return err
		}
		return undone
	})
	if got, read := s.Newest(t.Context(), audit.Filter{}, 9); !errors.Is(err, undone) || read != nil || len(got) != 0 {
		t.Error(err, got, read)
	}
}
