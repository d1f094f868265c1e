// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Deps is what a Service needs; all fields are required.
type Deps struct {
	Store    Store
	Recorder *audit.Recorder
	Now      func() time.Time
	// Seal seals the secrets that are stored.
	Seal *seal.Keys
	// FingerprintKey is the installation's, secret.KeySize bytes. It never changes.
	FingerprintKey []byte
	Core           Core
	Log            *slog.Logger
}

// Service owns the life of connections. It is safe for concurrent use.
type Service struct {
	Deps
	held held
}

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Recorder == nil || d.Now == nil || d.Seal == nil || d.Core == nil || d.Log == nil {
		return nil, errors.New("connection: every dependency is required")
	}
	if len(d.FingerprintKey) != secret.KeySize {
		return nil, errors.New("connection: the fingerprint key does not have its length")
	}
	return &Service{Deps: d}, nil
}

// Content is what is given of a connection: its labels, its configuration and its
// secrets in clear. Fingerprints in Config are not looked at.
type Content struct {
	ID, Name, Button string
	Listed, Default  bool
	Position         int
	Intents          []Intent
	Config           Config
	Secrets          Secrets
}

// Act says who changes something and why.
type Act struct {
	// Actor is account:<id>, cli:<user> or another name, 1 to 255 characters.
	Actor string
	// Force does what is refused without; it needs a reason.
	Force  bool
	Reason string
}

// View is a connection as administrators see it. It has no secrets: what stands for them
// in the configurations is the beginning of their fingerprint.
type View struct {
	Connection
	HeadRevision    Revision
	ServingRevision *Revision // nil before the first enabling
	Issuers         []string
	// Incomplete lists what the head lacks for a sign-in.
	Incomplete []fault.Detail
	// Untested: what serves was enabled by force and has passed no test.
	Untested bool
	// Warnings are sentences about what the head or what serves says, and about what of it
	// comes to an end.
	Warnings []string
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// write runs fn in one transaction and puts its events on record with it.
func (s *Service) write(ctx context.Context, fn func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error)) error {
	var events []audit.Event
	err := s.Store.InTx(ctx, func(ctx context.Context, tx Tx) (err error) {
		if events, err = fn(ctx, tx, s.now()); err != nil {
			return err
		}
		return tx.Append(ctx, events...)
	})
	if err != nil {
		return failed(err)
	}
	s.Recorder.Committed(events...)
	return nil
}

// failed leaves a refusal as it is and calls everything else a store's failure.
func failed(err error) error {
	if p, ok := errors.AsType[Problems](err); ok {
		return p
	}
	return fault.Store(err)
}

// live finds a connection that is not deleted, or returns ErrUnknown.
func live(ctx context.Context, r Reader, id string) (Connection, error) {
	if !IsID(id) {
		return Connection{}, ErrUnknown
	}
	c, err := r.Find(ctx, id)
	if err == nil && c.DeletedAt != nil {
		return Connection{}, ErrUnknown
	}
	return c, err
}

// record finds a revision whose hash is asked for from outside.
func record(ctx context.Context, r Reader, id, hash string) (Record, error) {
	if !IsHash(hash) {
		return Record{}, ErrUnknownRevision
	}
	return r.Record(ctx, id, hash)
}

// revision reads a record without its secrets.
func revision(r Record) (Revision, error) {
	c, err := decoded(r)
	if err != nil {
		return Revision{}, err
	}
	return Revision{
		ConnectionID: r.ConnectionID, Hash: r.Hash, Seq: r.Seq, Config: c, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
		TestedAt: r.TestedAt, TestedBy: r.TestedBy, TestedReference: r.TestedReference, ForcedReason: r.ForcedReason,
	}, nil
}

// stored reads one revision without its secrets.
func stored(ctx context.Context, r Reader, id, hash string) (Revision, error) {
	rec, err := r.Record(ctx, id, hash)
	if err != nil {
		return Revision{}, err
	}
	return revision(rec)
}

// shown gives a revision as it may be shown.
func shown(r Revision) Revision {
	r.Config = r.Config.Shown()
	return r
}

// List gives every connection that is not deleted, by position, then name.
func (s *Service) List(ctx context.Context) ([]View, error) {
	all, err := s.Store.All(ctx)
	if err != nil {
		return nil, fault.Store(err)
	}
	views := make([]View, 0, len(all))
	for _, c := range all {
		v, err := s.view(ctx, c)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// Show gives one connection, or ErrUnknown.
func (s *Service) Show(ctx context.Context, id string) (View, error) {
	c, err := live(ctx, s.Store, id)
	if err != nil {
		return View{}, fault.Store(err)
	}
	return s.view(ctx, c)
}

func (s *Service) view(ctx context.Context, c Connection) (View, error) {
	head, err := stored(ctx, s.Store, c.ID, c.Head)
	if err != nil {
		return View{}, fault.Store(err)
	}
	v := View{Connection: c, HeadRevision: shown(head), Issuers: head.Config.Issuers(c.ID), Warnings: head.Config.warnings(s.now())}
	if err := head.Config.complete(); err != nil {
		v.Incomplete = fault.Of(err).Details()
	}
	if c.Serving == "" {
		return v, nil
	}
	serving, err := stored(ctx, s.Store, c.ID, c.Serving)
	if err != nil {
		return View{}, fault.Store(err)
	}
	serving = shown(serving)
	v.ServingRevision, v.Untested = &serving, serving.TestedAt == nil
	for _, warning := range serving.Config.warnings(s.now()) {
		if !slices.Contains(v.Warnings, warning) {
			v.Warnings = append(v.Warnings, warning)
		}
	}
	return v, nil
}

// Revisions gives every revision of a connection, the newest first, as View shows them.
// It returns ErrUnknown.
func (s *Service) Revisions(ctx context.Context, id string) ([]Revision, error) {
	c, err := live(ctx, s.Store, id)
	if err != nil {
		return nil, fault.Store(err)
	}
	records, err := s.Store.Records(ctx, c.ID)
	if err != nil {
		return nil, fault.Store(err)
	}
	all := make([]Revision, 0, len(records))
	for _, r := range records {
		one, err := revision(r)
		if err != nil {
			return nil, fault.Store(err)
		}
		all = append(all, shown(one))
	}
	return all, nil
}

// Revision gives one revision as View shows it. It returns ErrUnknown or
// ErrUnknownRevision.
func (s *Service) Revision(ctx context.Context, id, hash string) (Revision, error) {
	c, err := live(ctx, s.Store, id)
	if err != nil {
		return Revision{}, fault.Store(err)
	}
	r, err := record(ctx, s.Store, c.ID, hash)
	if err != nil {
		return Revision{}, fault.Store(err)
	}
	one, err := revision(r)
	if err != nil {
		return Revision{}, fault.Store(err)
	}
	return shown(one), nil
}
