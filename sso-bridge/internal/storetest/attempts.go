// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
)

// Attempts runs the suite of login.Attempts.
func Attempts(t *testing.T, open OpenDurable) {
	pair := func(t *testing.T) (a, b login.Attempts, db sqldb.DB) {
		t.Helper()
		one, other := open(t)
		return one.Attempts, other.Attempts, one.DB
	}
	create := func(t *testing.T, s login.Attempts, a login.Attempt) login.Attempt {
		t.Helper()
		if err := s.Create(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	same := func(t *testing.T, got login.Attempt, err error, want login.Attempt) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		Same(t, "attempt", got, want)
	}

	t.Run("a row comes back whole by reference and by handle", func(t *testing.T) {
		a, b, _ := pair(t)
		whole := wholeAttempt(1)
		create(t, a, whole)
		got, err := b.ByReference(t.Context(), whole.Reference)
		same(t, got, err, whole)
		got, err = b.ByHandle(t.Context(), whole.Handle)
		same(t, got, err, whole)
	})

	t.Run("a failure of no attempt has a row without connection, handle and intent", func(t *testing.T) {
		a, b, _ := pair(t)
		for range 2 { // no two rows without a handle collide
			at := Start
			bare := login.Attempt{
				ID: canon.NewID(), Reference: ssocode.NewReference(), State: login.StateFailed, Code: failure.StartLinkUsed, Public: ssocode.LinkUsed,
				CreatedAt: at, ExpiresAt: at, FinishedAt: &at,
			}
			create(t, a, bare)
			got, err := b.ByReference(t.Context(), bare.Reference)
			same(t, got, err, bare)
		}
		if _, err := b.ByHandle(t.Context(), secret.Digest{}); !errors.Is(err, login.ErrNoAttempt) {
			t.Errorf("no handle is nobody's: %v", err)
		}
	})

	t.Run("what is not there is ErrNoAttempt", func(t *testing.T) {
		a, _, _ := pair(t)
		create(t, a, wholeAttempt(1))
		_, reference := a.ByReference(t.Context(), "00000-00000")
		_, handle := a.ByHandle(t.Context(), secret.Digest{9})
		_, good := a.LastGood(t.Context(), "acme")
		for _, err := range []error{reference, handle, good} {
			if !errors.Is(err, login.ErrNoAttempt) {
				t.Error(err)
			}
		}
	})

	t.Run("a reference and a handle are one row's", func(t *testing.T) {
		a, _, _ := pair(t)
		first := create(t, a, wholeAttempt(1))
		for _, second := range []login.Attempt{wholeAttempt(2), wholeAttempt(3)} {
			if second.Handle == (secret.Digest{2}) {
				second.Handle = first.Handle
			} else {
				second.Reference = first.Reference
			}
			if err := a.Create(t.Context(), second, event("refused")); !errors.Is(err, sqldb.ErrUnique) {
				t.Errorf("a second: %v", err)
			}
		}
	})

	t.Run("a move writes state, codes, end, handle and trace, and nothing else", func(t *testing.T) {
		a, b, _ := pair(t)
		row := create(t, a, wholeAttempt(1))
		next := row
		end := Start.Add(time.Minute)
		next.State, next.Code, next.Public, next.FinishedAt, next.Handle = login.StateFailed, failure.OIDCNonce, ssocode.ResponseRefused, &end, secret.Digest{7}
		next.ExpiresAt = row.ExpiresAt.Add(time.Minute)
		next.Trace = login.Trace{Expected: "this", Got: "that"}
		changed := next
		changed.Connection, changed.Revision, changed.Intent, changed.CreatedAt, changed.Reference = "other", "other", connection.Test, end, "00000-00000"
		if err := b.Move(t.Context(), login.StateCreated, changed); err != nil {
			t.Fatal(err)
		}
		got, err := a.ByReference(t.Context(), row.Reference)
		same(t, got, err, next)
	})

	t.Run("a move from another state writes nothing, its events neither", func(t *testing.T) {
		a, b, db := pair(t)
		row := create(t, a, wholeAttempt(1))
		next := row
		next.State = login.StateReturned
		if err := b.Move(t.Context(), login.StateStarted, next, event("lost")); !errors.Is(err, login.ErrMoved) {
			t.Fatal(err)
		}
		got, err := a.ByReference(t.Context(), row.Reference)
		same(t, got, err, row)
		if n := countEvents(t, db); n != 0 {
			t.Errorf("%d events", n)
		}
	})

	t.Run("events are written with the row", func(t *testing.T) {
		a, _, db := pair(t)
		row := wholeAttempt(1)
		if err := a.Create(t.Context(), row, event("one"), event("two")); err != nil {
			t.Fatal(err)
		}
		next := row
		next.State = login.StateStarted
		if err := a.Move(t.Context(), row.State, next, event("three")); err != nil {
			t.Fatal(err)
		}
		if n := countEvents(t, db); n != 3 {
			t.Errorf("%d events", n)
		}
	})

	t.Run("SSO-49 of 50 moves from one state one succeeds", func(t *testing.T) {
		a, b, db := pair(t)
		row := create(t, a, wholeAttempt(1))
		next := row
		next.State = login.StateReturned
		won, moved := 0, 0
		for _, err := range AtOnce(50, func(i int) error {
			return []login.Attempts{a, b}[i%2].Move(t.Context(), login.StateCreated, next, event("won"))
		}) {
			switch {
			case err == nil:
				won++
			case errors.Is(err, login.ErrMoved):
				moved++
			default:
				t.Error(err)
			}
		}
		if won != 1 || moved != 49 || countEvents(t, db) != 1 {
			t.Errorf("%d won, %d came late, %d events", won, moved, countEvents(t, db))
		}
	})

	t.Run("the last good one is the newest success of the connection", func(t *testing.T) {
		a, b, _ := pair(t)
		for i, state := range []login.State{login.StateSucceeded, login.StateSucceeded, login.StateFailed, login.StateSucceeded} {
			row := wholeAttempt(byte(i + 1))
			row.State, row.CreatedAt = state, Start.Add(time.Duration(i)*time.Minute)
			if i == 3 {
				row.Connection = "other"
			}
			create(t, a, row)
		}
		got, err := b.LastGood(t.Context(), "acme")
		if err != nil || got.Handle != (secret.Digest{2}) {
			t.Errorf("%+v, %v", got, err)
		}
	})

	t.Run("a list is filtered, bounded, and has the newest first", func(t *testing.T) {
		a, b, _ := pair(t)
		for i := range 6 {
			row := wholeAttempt(byte(i + 1))
			row.CreatedAt = Start.Add(time.Duration(i) * time.Minute)
			if i%2 == 1 {
				row.Connection = "other"
			}
			if i >= 3 {
				row.Code = failure.OIDCTime
			}
			create(t, a, row)
		}
		for name, c := range map[string]struct {
			f     login.Filter
			limit int
			want  []byte
		}{
			"all":             {login.Filter{}, 10, []byte{6, 5, 4, 3, 2, 1}},
			"two":             {login.Filter{}, 2, []byte{6, 5}},
			"of a connection": {login.Filter{Connection: "other"}, 10, []byte{6, 4, 2}},
			"of a code":       {login.Filter{Code: failure.OIDCTime}, 10, []byte{6, 5, 4}},
			"of both":         {login.Filter{Connection: "acme", Code: failure.OIDCTime}, 10, []byte{5}},
			"of a time":       {login.Filter{Since: Start.Add(time.Minute), Until: Start.Add(3 * time.Minute)}, 10, []byte{3, 2}},
			"of nobody":       {login.Filter{Connection: "nobody"}, 10, nil},
		} {
			list, err := b.List(t.Context(), c.f, c.limit)
			var got []byte
			for _, one := range list {
				got = append(got, one.Handle[0])
			}
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%s: %v %s", name, err, diff)
			}
		}
	})

	t.Run("SSO-90 what is older than its retention is deleted, a bounded number at once", func(t *testing.T) {
		_, _, db := pair(t)
		s := sqlstore.Attempts{DB: db}
		for i := range 4 {
			row := wholeAttempt(byte(i + 1))
			row.CreatedAt = Start.Add(time.Duration(i) * time.Minute)
			create(t, s, row)
		}
		for _, want := range []int64{2, 1, 0} {
			if n, err := s.PruneAttempts(t.Context(), Start.Add(3*time.Minute), 2); err != nil || n != want {
				t.Errorf("%d deleted, want %d, %v", n, want, err)
			}
		}
		if list, err := s.List(t.Context(), login.Filter{}, 10); err != nil || len(list) != 1 || list[0].Handle[0] != 4 {
			t.Errorf("%v, %v", list, err)
		}
	})
}

// wholeAttempt has a value in every field that a new row may have.
func wholeAttempt(n byte) login.Attempt {
	at, skew, groups := Start.Add(time.Second), 1.5, 0
	return login.Attempt{
		ID: canon.NewID(), Reference: ssocode.NewReference(), Handle: secret.Digest{n}, Connection: "acme", Revision: "revision", Intent: connection.DeviceFlow,
		State: login.StateCreated, CreatedAt: Start, ExpiresAt: Start.Add(login.Lifetime),
		Trace: login.Trace{
			RequestID: "request", Protocol: "oidc", StartedAt: &at, Steps: []login.Step{{Name: "claim", Milliseconds: 0.5, OK: true}},
			Browser: &login.Browser{Family: "Firefox", Major: "140"}, Address: "192.0.2.0/24", Algorithms: []string{"RS256"}, ClockSkew: &skew, GroupCount: &groups,
			ClaimNames: []string{"sub"}, ClaimSizes: []int{3}, LastGood: &login.LastGood{Reference: "00000-00000", Diff: []string{"skew"}},
		},
	}
}

func countEvents(t *testing.T, db sqldb.DB) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM sso_audit_events`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
