// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
)

// Create makes a connection, a draft. Force takes over issuers of deleted connections.
// It returns ErrInvalid, ErrExists, ErrIssuerTaken, ErrDomainTaken, or a 503 when core,
// which unlinks the identities of such an issuer first, cannot be asked.
func (s *Service) Create(ctx context.Context, c Content, a Act) (View, error) {
	if err := firstOf(c.check(), a.check()); err != nil {
		return View{}, err
	}
	d, err := s.prepare(c.ID, c.Config, c.Secrets, false)
	if err != nil {
		return View{}, failed(err)
	}
	err = s.takingOver(ctx, func(ctx context.Context, done takeOvers) error {
		return s.write(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
			if err := defaultIsFree(ctx, tx, c); err != nil {
				return nil, err
			}
			events, wanted, err := insert(ctx, tx, now, c, d, ByAPI, a, done)
			if err != nil {
				return nil, err
			}
			if err := claimDomains(ctx, tx, c.ID, d.config.Domains); err != nil {
				return nil, err
			}
			return events, asking(wanted)
		})
	})
	if err != nil {
		return View{}, err
	}
	return s.Show(ctx, c.ID)
}

// asking is the error that asks for core, or nil.
func asking(wanted []unlink) error {
	if len(wanted) == 0 {
		return nil
	}
	return &errUnlink{wanted}
}

// insert adds the rows of a new connection but those of its domains.
func insert(ctx context.Context, tx Tx, now time.Time, c Content, d draft, by string, a Act, done takeOvers) ([]audit.Event, []unlink, error) {
	row := Connection{ID: c.ID, Protocol: d.config.Protocol, Preset: d.config.Preset, State: Draft, ManagedBy: by, Head: d.hash, CreatedAt: now, UpdatedAt: now}
	c.label(&row)
	if err := tx.Insert(ctx, row); err != nil {
		return nil, nil, err
	}
	if err := tx.AddRecord(ctx, d.record(c.ID, now, a.Actor)); err != nil {
		return nil, nil, err
	}
	taken, wanted, err := claimIssuers(ctx, tx, now, d.config, c.ID, a, done)
	if err != nil {
		return nil, nil, err
	}
	event := audit.New(ctx, now, audit.By(a.Actor), created{
		Connection: c.ID, Revision: d.hash, Protocol: d.config.Protocol, Preset: d.config.Preset, ManagedBy: by,
		Issuers: listed(d.config.Issuers(c.ID)), Domains: listed(d.config.Domains),
	})
	return append([]audit.Event{event}, taken...), wanted, nil
}

// label writes what is no part of a revision.
func (c Content) label(row *Connection) {
	row.Name, row.Button, row.Listed, row.Default, row.Position, row.Intents = c.Name, c.Button, c.Listed, c.Default, c.Position, slices.Clone(c.Intents)
}

func (d draft) record(id string, now time.Time, actor string) Record {
	return Record{ConnectionID: id, Hash: d.hash, Config: d.text, Sealed: d.sealed, CreatedAt: now, CreatedBy: actor}
}

// defaultIsFree refuses a second default: where the mail of strangers goes is not moved
// by a change of another connection.
func defaultIsFree(ctx context.Context, tx Tx, c Content) error {
	if !c.Default {
		return nil
	}
	all, err := tx.All(ctx)
	if err != nil {
		return err
	}
	var p problems
	for _, other := range all {
		p.when(other.Default && other.ID != c.ID, "another connection is the default", "default")
	}
	return p.fault(ErrInvalid)
}

// Update gives a connection another content; match is the head that the caller has seen.
// Equal content is no new revision, and content that the connection had before is that
// revision again, with its test. Secrets that are left out are kept as long as they go
// to the same provider and client. Force is that of Create, and lets what identifies
// people change once the connection has served. It returns ErrInvalid, ErrUnknown,
// ErrMatchRequired, ErrConflict, ErrManagedByFile, ErrIssuerTaken, ErrDomainTaken,
// ErrSubjectChanges, or a 503 as Create.
func (s *Service) Update(ctx context.Context, c Content, match string, a Act) (View, error) {
	if err := firstOf(c.check(), a.check()); err != nil {
		return View{}, err
	}
	err := s.takingOver(ctx, func(ctx context.Context, done takeOvers) error {
		return s.write(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
			row, head, err := editable(ctx, tx, c.ID, match)
			if err != nil {
				return nil, err
			}
			with, err := s.inherit(c.Secrets, c.Config, head)
			if err != nil {
				return nil, err
			}
			d, err := s.prepare(c.ID, c.Config, with, false)
			if err != nil {
				return nil, err
			}
			if err := defaultIsFree(ctx, tx, c); err != nil {
				return nil, err
			}
			next := row
			c.label(&next)
			return move(ctx, tx, now, edit{before: row, after: next, to: d, act: a, done: done, anew: a.Force})
		})
	})
	if err != nil {
		return View{}, err
	}
	return s.Show(ctx, c.ID)
}

// editable finds a connection that may be changed from the revision match.
func editable(ctx context.Context, tx Tx, id, match string) (Connection, Record, error) {
	row, err := live(ctx, tx, id)
	switch {
	case err != nil:
		return Connection{}, Record{}, err
	case row.ManagedBy == ByFile:
		return Connection{}, Record{}, ErrManagedByFile
	case match == "":
		return Connection{}, Record{}, ErrMatchRequired
	case match != row.Head:
		return Connection{}, Record{}, ErrConflict
	}
	head, err := tx.Record(ctx, id, row.Head)
	return row, head, err
}

// Restore makes the content of an earlier revision the head again, with its test; match
// is as in Update. It returns what Update returns, or ErrUnknownRevision.
func (s *Service) Restore(ctx context.Context, id, hash, match string, a Act) (View, error) {
	if err := a.check(); err != nil {
		return View{}, err
	}
	err := s.takingOver(ctx, func(ctx context.Context, done takeOvers) error {
		return s.write(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
			row, _, err := editable(ctx, tx, id, match)
			if err != nil {
				return nil, err
			}
			former, err := record(ctx, tx, id, hash)
			if err != nil {
				return nil, err
			}
			config, err := decoded(former)
			if err != nil {
				return nil, err
			}
			to := draft{config: config, text: former.Config, hash: hash, sealed: former.Sealed}
			return move(ctx, tx, now, edit{before: row, after: row, to: to, act: a, done: done, restored: true, anew: a.Force})
		})
	})
	if err != nil {
		return View{}, err
	}
	return s.Show(ctx, id)
}

// edit is a change of a connection that is there: its row before, the labels after, and
// the content that becomes its head.
type edit struct {
	before, after Connection
	to            draft
	act           Act
	done          takeOvers
	restored      bool
	// anew: what identifies people may change.
	anew bool
}

// move saves an edit and claims what its content names. It writes nothing when nothing
// differs.
func move(ctx context.Context, tx Tx, now time.Time, e edit) ([]audit.Event, error) {
	events, wanted, err := e.advance(ctx, tx, now)
	if err != nil || len(events) == 0 && len(wanted) == 0 {
		return nil, err
	}
	wantedDomains, err := domains(ctx, tx, e.before, e.to.config)
	if err != nil {
		return nil, err
	}
	if err := claimDomains(ctx, tx, e.before.ID, wantedDomains); err != nil {
		return nil, err
	}
	return events, asking(wanted)
}

// advance is move without the domains.
func (e edit) advance(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, []unlink, error) {
	id, next := e.before.ID, e.after
	next.Head, next.Protocol, next.Preset = e.to.hash, e.to.config.Protocol, e.to.config.Preset
	known, err := tx.Record(ctx, id, e.to.hash)
	switch {
	case errors.Is(err, ErrUnknownRevision):
		err = tx.AddRecord(ctx, e.to.record(id, now, e.act.Actor))
	case err == nil && known.Sealed == "" && e.to.sealed != "":
		err = tx.StoreSecrets(ctx, id, e.to.hash, e.to.sealed) // until now they were in files
	}
	if err != nil {
		return nil, nil, err
	}
	next.State = stateOf(next.State, known)
	if same(e.before, next) {
		return nil, nil, nil
	}
	if err := e.keepsPeople(ctx, tx); err != nil {
		return nil, nil, err
	}
	next.UpdatedAt = now
	if err := tx.Save(ctx, next); err != nil {
		return nil, nil, err
	}
	taken, wanted, err := claimIssuers(ctx, tx, now, e.to.config, id, e.act, e.done)
	if err != nil {
		return nil, nil, err
	}
	return append([]audit.Event{changed(ctx, now, next, e.before.Head, e.to.config, e.act.Actor, e.restored)}, taken...), wanted, nil
}

// changed tells of a row that has been saved with this head.
func changed(ctx context.Context, now time.Time, row Connection, previous string, head Config, actor string, restored bool) audit.Event {
	return audit.New(ctx, now, audit.By(actor), updated{
		Connection: row.ID, Revision: row.Head, Previous: previous, ManagedBy: row.ManagedBy, Restored: restored,
		Issuers: listed(head.Issuers(row.ID)), Domains: listed(head.Domains),
	})
}

// stateOf gives the state of a connection with another head: what is enabled or disabled
// stays so.
func stateOf(before State, head Record) State {
	switch {
	case before != Draft && before != Tested:
		return before
	case head.TestedAt != nil:
		return Tested
	}
	return Draft
}

// same reports whether two states of one row differ in nothing but their times.
func same(a, b Connection) bool {
	intents := slices.Equal(a.Intents, b.Intents)
	return intents && a.Name == b.Name && a.Button == b.Button && a.Protocol == b.Protocol && a.Preset == b.Preset && a.State == b.State &&
		a.Listed == b.Listed && a.Default == b.Default && a.Position == b.Position && a.ManagedBy == b.ManagedBy && a.Head == b.Head && a.Serving == b.Serving
}

// domains are those of a head and of what serves beside it: an edit that drops a domain
// leaves it routed until it is enabled itself.
func domains(ctx context.Context, tx Tx, row Connection, head Config) ([]string, error) {
	all := slices.Clone(head.Domains)
	if row.Serving == "" {
		return all, nil
	}
	serving, err := stored(ctx, tx, row.ID, row.Serving)
	if err != nil {
		return nil, err
	}
	for _, d := range serving.Config.Domains {
		if !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all, nil
}

// listed is a list that encodes as one also when it is empty.
func listed(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
