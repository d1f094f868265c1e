// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/singleflight"

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

// Deps is what a Service needs. All fields are required but NewSecret, Jitter and
// Buried.
type Deps struct {
	Store    Store
	Cache    Cache
	Kinds    *KindRegistry
	Recorder *audit.Recorder
	Now      func() time.Time
	// TTL is the life of a new token.
	TTL time.Duration
	// NewSecret draws the random part of a token; nil means secret.Random. Tests
	// force collisions with it.
	NewSecret func() string
	// Jitter gives a time from 0 to below most; nil draws one.
	Jitter func(most time.Duration) time.Duration
	// Buried hears, once tombstones stand, for how long their tokens had been dead in the
	// registry alone; nil hears nothing.
	Buried func(after time.Duration)
}

// Service mints, resolves and ends sessions. It is safe for concurrent use.
type Service struct {
	Deps
	usage  *usage
	graves graves
	loads  singleflight.Group
}

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Cache == nil || d.Kinds == nil || d.Recorder == nil || d.Now == nil || d.TTL <= 0 {
		return nil, errors.New("token: store, cache, kinds, recorder, clock and a life above zero are required")
	}
	if d.NewSecret == nil {
		d.NewSecret = secret.Random
	}
	if d.Buried == nil {
		d.Buried = func(time.Duration) {}
	}
	if d.Jitter == nil {
		d.Jitter = draw
	}
	return &Service{Deps: d, usage: newUsage()}, nil
}

// Epoch is the sum of the subject's counters. An approval stores it, and a mint
// that finds another sum is refused.
func (s *Service) Epoch(ctx context.Context, subject Subject) (int64, error) {
	sum, _, err := s.Epochs(ctx, subject)
	return sum, err
}

// Epochs is Epoch together with when one of the counters last moved; zero where none
// ever has.
func (s *Service) Epochs(ctx context.Context, subject Subject) (sum int64, moved time.Time, err error) {
	sum, moved, err = s.Store.Epochs(ctx, subject.EpochKeys())
	return sum, moved, fault.Store(err)
}

// External says what keeps a person without an account from a token, before they are
// asked anything: *RefusedError, or a store failure. The mint asks once more.
func (s *Service) External(ctx context.Context, subject Subject) error {
	err := s.Store.InTx(ctx, func(ctx context.Context, tx Tx) error { return recheckExternal(ctx, tx, subject) })
	if _, refused := errors.AsType[*RefusedError](err); refused {
		return err
	}
	return fault.Store(err)
}

// List gives a page (from 1) of the subject's live sessions, newest first, and
// their total.
func (s *Service) List(ctx context.Context, subject Subject, page, limit int) ([]Session, int, error) {
	list, total, err := s.Store.List(ctx, subject, s.Now(), (page-1)*limit, limit)
	return list, total, fault.Store(err)
}

// End ends one session of the subject. Ending it again succeeds and buries it again; a
// session of somebody else is ErrSessionNotFound, as an unknown one is. An end whose
// tombstone could not be written is fault.ErrUnavailable: the row stays ended.
func (s *Service) End(ctx context.Context, subject Subject, id string, reason Reason, actor audit.Actor) error {
	_, _, err := s.Store.Find(ctx, subject, id)
	if err != nil {
		return fault.Store(err)
	}
	now := s.Now()
	return s.endTx(ctx, func(ctx context.Context, tx Tx) ([]audit.Event, []secret.Digest, error) {
		ended, won, err := tx.End(ctx, id, reason, now)
		if err != nil || !won {
			return nil, []secret.Digest{ended.Previous}, err
		}
		return Revocations(ctx, now, actor, reason, "", ended), []secret.Digest{ended.Previous}, nil
	})
}

// EndOthers ends all of the subject's sessions but the one named (which may be
// empty) and gives their number. The epoch moves too: an approval given on a stolen
// session and not yet redeemed dies with it. What ended just before is buried again,
// for this may be the repeat of a call whose tombstones failed on another process.
func (s *Service) EndOthers(ctx context.Context, subject Subject, but string, actor audit.Actor) (int, error) {
	now, n := s.Now(), 0
	err := s.endTx(ctx, func(ctx context.Context, tx Tx) ([]audit.Event, []secret.Digest, error) {
		if _, err := tx.LockEpochs(ctx, subject.EpochKeys(), now); err != nil {
			return nil, nil, err
		}
		if err := tx.BumpEpoch(ctx, subject.Key(), "end_others", now); err != nil {
			return nil, nil, err
		}
		ended, err := tx.EndAll(ctx, subject, but, ReasonUser, now)
		if err != nil {
			return nil, nil, err
		}
		n = len(ended)
		buried, err := tx.EndedSince(ctx, subject, now.Add(-BuriedFor))
		return Revocations(ctx, now, actor, ReasonUser, "", ended...), buried, err
	})
	return n, err
}

// endTx runs an end and its events in one transaction, for a session is not ended
// unless that is on record, and then buries what has ended.
func (s *Service) endTx(ctx context.Context, fn func(ctx context.Context, tx Tx) ([]audit.Event, []secret.Digest, error)) error {
	var (
		events []audit.Event
		ended  []secret.Digest
	)
	err := s.Store.InTx(ctx, func(ctx context.Context, tx Tx) (err error) {
		if events, ended, err = fn(ctx, tx); err != nil {
			return err
		}
		return tx.Append(ctx, events...)
	})
	if err != nil {
		return fault.Store(err)
	}
	s.Recorder.Committed(events...)
	return s.Bury(ctx, ended...)
}

// Revocations gives oauth.token_revoked for each row that was ended. The receipt is
// that of the kill it was part of, or empty.
func Revocations(ctx context.Context, now time.Time, actor audit.Actor, reason Reason, receipt string, ended ...Ended) []audit.Event {
	events := make([]audit.Event, len(ended))
	for i, e := range ended {
		events[i] = audit.New(ctx, now, actor, revoked{TokenID: e.ID, Subject: e.Subject.ID, Reason: reason, ReceiptID: receipt}).
			About(e.Subject.Key()).Token(e.ID)
	}
	return events
}

// Find gives one of the subject's own sessions, ended ones included, or
// ErrSessionNotFound.
func (s *Service) Find(ctx context.Context, subject Subject, id string) (Session, error) {
	session, _, err := s.Store.Find(ctx, subject, id)
	return session, fault.Store(err)
}
