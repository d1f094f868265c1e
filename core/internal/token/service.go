// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// The bounds of a token's life in days; a configured value outside is clamped.
const (
	MinTTLDays = 1
	MaxTTLDays = 365
)

// ClampTTLDays brings a configured life into its bounds and reports whether it
// had to.
func ClampTTLDays(days int) (clamped int, changed bool) {
	clamped = min(max(days, MinTTLDays), MaxTTLDays)
	return clamped, clamped != days
}

// Deps is what a Service needs. All fields are required but NewSecret.
type Deps struct {
	Store    Store
	Kinds    *KindRegistry
	Recorder *audit.Recorder
	Now      func() time.Time
	// TTL is the life of a new token.
	TTL time.Duration
	// NewSecret draws the random part of a token; nil means secret.Random. Tests
	// force collisions with it.
	NewSecret func() string
}

// Service mints, resolves and ends sessions. It is safe for concurrent use.
type Service struct {
	Deps
	usage *usage
}

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Kinds == nil || d.Recorder == nil || d.Now == nil || d.TTL <= 0 {
		return nil, errors.New("token: store, kinds, recorder, clock and a life above zero are required")
	}
	if d.NewSecret == nil {
		d.NewSecret = secret.Random
	}
	return &Service{Deps: d, usage: newUsage()}, nil
}

// Epoch is the sum of the subject's counters. An approval stores it, and a mint
// that finds another sum is refused.
func (s *Service) Epoch(ctx context.Context, subject Subject) (int64, error) {
	sum, err := s.Store.EpochSum(ctx, subject.EpochKeys())
	return sum, fault.Store(err)
}

// Cause says, for audit and metrics alone, why a bearer was refused.
type Cause string

// The causes of a refused bearer.
const (
	CauseMalformed Cause = "malformed"
	CauseUnknown   Cause = "unknown"
	CauseExpired   Cause = "expired"
	CauseAccount   Cause = "account"
)

// Error implements error, so that a cause travels behind ErrInvalid.
func (c Cause) Error() string { return string(c) }

// Identity is whom a live token stands for.
type Identity struct {
	Session     Session
	Kind        Kind
	AccountName string
}

// Resolve finds the live session of a token whose shape Parse has accepted. It
// returns ErrInvalid for everything that is not live, and fault.ErrUnavailable
// when SQL cannot be asked.
func (s *Service) Resolve(ctx context.Context, kind Kind, digest secret.Digest) (Identity, error) {
	now := s.Now()
	r, err := s.Store.ByDigest(ctx, digest)
	switch {
	case errors.Is(err, ErrUnknown):
		return Identity{}, ErrInvalid.Because(CauseUnknown)
	case err != nil:
		return Identity{}, fault.Store(err)
	}
	if r.Session.Prefix != kind.Prefix {
		s.Recorder.Later(audit.New(ctx, now, audit.System, invariantBroken{TokenID: r.Session.ID, Invariant: "prefix"}).Token(r.Session.ID))
		return Identity{}, ErrInvalid.Because(CauseUnknown)
	}
	if !r.Session.ExpiresAt.After(now) { // no leeway: dead at that very second
		if err := s.expire(ctx, r.Session, now); err != nil {
			return Identity{}, err
		}
		return Identity{}, ErrInvalid.Because(CauseExpired)
	}
	if kind.SubjectType == SubjectAccount && !r.AccountStatus.MayHoldTokens() {
		return Identity{}, ErrInvalid.Because(CauseAccount)
	}
	return Identity{Session: r.Session, Kind: kind, AccountName: r.AccountName}, nil
}

// expire closes a row past its end. Of several callers the one that changed the
// row writes the event.
func (s *Service) expire(ctx context.Context, session Session, now time.Time) error {
	var events []audit.Event
	err := s.Store.InTx(ctx, func(ctx context.Context, tx Tx) error {
		events = nil
		ended, won, err := tx.End(ctx, session.ID, ReasonExpired, now)
		if err != nil || !won {
			return err
		}
		events = []audit.Event{audit.New(ctx, now, audit.System,
			expired{TokenID: ended.ID, Subject: ended.Subject.ID, ClientID: ended.ClientID}).About(ended.Subject.Key()).Token(ended.ID)}
		return tx.Append(ctx, events...)
	})
	if err != nil {
		return fault.Store(err)
	}
	s.Recorder.Committed(events...)
	return nil
}

// List gives a page (from 1) of the subject's live sessions, newest first, and
// their total.
func (s *Service) List(ctx context.Context, subject Subject, page, limit int) ([]Session, int, error) {
	list, total, err := s.Store.List(ctx, subject, s.Now(), (page-1)*limit, limit)
	return list, total, fault.Store(err)
}

// End ends one session of the subject. Ending it again succeeds; a session of
// somebody else is ErrSessionNotFound, as an unknown one is.
func (s *Service) End(ctx context.Context, subject Subject, id string, reason Reason, actor audit.Actor) error {
	_, _, err := s.Store.Find(ctx, subject, id)
	if err != nil {
		return fault.Store(err)
	}
	now := s.Now()
	return s.endTx(ctx, func(ctx context.Context, tx Tx) ([]audit.Event, error) {
		ended, won, err := tx.End(ctx, id, reason, now)
		if err != nil || !won {
			return nil, err
		}
		return revocations(ctx, now, actor, reason, ended), nil
	})
}

// EndOthers ends all of the subject's sessions but the one named (which may be
// empty) and gives their number. The epoch moves too: an approval given on a stolen
// session and not yet redeemed dies with it.
func (s *Service) EndOthers(ctx context.Context, subject Subject, but string, actor audit.Actor) (int, error) {
	now, n := s.Now(), 0
	err := s.endTx(ctx, func(ctx context.Context, tx Tx) ([]audit.Event, error) {
		if _, err := tx.LockEpochs(ctx, subject.EpochKeys(), now); err != nil {
			return nil, err
		}
		if err := tx.BumpEpoch(ctx, subject.Key(), "end_others", now); err != nil {
			return nil, err
		}
		ended, err := tx.EndAll(ctx, subject, but, ReasonUser, now)
		n = len(ended)
		return revocations(ctx, now, actor, ReasonUser, ended...), err
	})
	return n, err
}

// endTx runs an end and its events in one transaction: a session is not ended
// unless that is on record.
func (s *Service) endTx(ctx context.Context, fn func(ctx context.Context, tx Tx) ([]audit.Event, error)) error {
	var events []audit.Event
	err := s.Store.InTx(ctx, func(ctx context.Context, tx Tx) (err error) {
		if events, err = fn(ctx, tx); err != nil {
			return err
		}
		return tx.Append(ctx, events...)
	})
	if err != nil {
		return fault.Store(err)
	}
	s.Recorder.Committed(events...)
	return nil
}

func revocations(ctx context.Context, now time.Time, actor audit.Actor, reason Reason, ended ...Ended) []audit.Event {
	events := make([]audit.Event, len(ended))
	for i, e := range ended {
		events[i] = audit.New(ctx, now, actor, revoked{TokenID: e.ID, Subject: e.Subject.ID, Reason: reason}).About(e.Subject.Key()).Token(e.ID)
	}
	return events
}

// Find gives one of the subject's own sessions, ended ones included, or
// ErrSessionNotFound.
func (s *Service) Find(ctx context.Context, subject Subject, id string) (Session, error) {
	session, _, err := s.Store.Find(ctx, subject, id)
	return session, fault.Store(err)
}
