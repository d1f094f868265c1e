// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Cause says, for audit and metrics alone, why a bearer was refused.
type Cause string

// The causes of a refused bearer.
const (
	CauseMalformed Cause = "malformed"
	CauseUnknown   Cause = "unknown"
	CauseRevoked   Cause = "revoked"
	CauseExpired   Cause = "expired"
	CauseAccount   Cause = "account"
)

// Error implements error, so that a cause travels behind ErrInvalid.
func (c Cause) Error() string { return string(c) }

// Identity is whom a live token stands for.
type Identity struct {
	Context
	Kind Kind
}

// Resolve finds the live session of a token whose shape Parse has accepted, in the
// cache or the registry. It returns ErrInvalid for everything that is not live, and
// fault.ErrUnavailable when SQL has to be asked and cannot.
func (s *Service) Resolve(ctx context.Context, kind Kind, d secret.Digest) (Identity, error) {
	known, err := s.Cache.Get(ctx, d, s.Now())
	return s.ResolveKnown(ctx, kind, d, known, err == nil)
}

// ResolveKnown is Resolve for a caller that has asked the cache already. Without a
// cache the registry answers and nothing is written: an outage is never remembered.
func (s *Service) ResolveKnown(ctx context.Context, kind Kind, d secret.Digest, known Remembered, cached bool) (Identity, error) {
	if !cached {
		return s.load(ctx, kind, d, false)
	}
	switch known.Finding {
	case Buried:
		return Identity{}, ErrInvalid.Because(CauseRevoked)
	case Unknown:
		return Identity{}, ErrInvalid.Because(CauseUnknown)
	case Live:
		if known.Context.ExpiresAt.After(s.Now()) { // no leeway, on a hit either
			return Identity{Context: known.Context, Kind: kind}, nil
		}
	}
	return s.share(ctx, kind, d)
}

// loadLimit bounds a read that several callers wait for, whoever of them leaves.
const loadLimit = 10 * time.Second

// share loads once for all that miss the same token at once. Nobody joins a load that
// began before a revoke answered: its tombstone stood in the cache when the joiner
// asked there. For that reason loads are not shared while the cache is down.
func (s *Service) share(ctx context.Context, kind Kind, d secret.Digest) (Identity, error) {
	done := s.loads.DoChan(string(d[:]), func() (identity any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadLimit)
		defer cancel()
		defer func() { // in a goroutine of its own a panic would end the process
			if p := recover(); p != nil {
				err = fault.ErrInternal.Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		return s.load(ctx, kind, d, true)
	})
	select {
	case <-ctx.Done():
		return Identity{}, fault.Store(ctx.Err())
	case r := <-done:
		identity, _ := r.Val.(Identity)
		return identity, r.Err
	}
}

// load asks the registry and, with a cache, remembers the answer. The life of what it
// remembers is counted from before the read.
func (s *Service) load(ctx context.Context, kind Kind, d secret.Digest, cached bool) (Identity, error) {
	read := s.Now()
	r, err := s.Store.ByDigest(ctx, d)
	now := s.Now()
	switch {
	case errors.Is(err, ErrUnknown):
		if cached {
			_ = s.Cache.RememberUnknown(ctx, d, now) // best effort: the next miss asks again
		}
		return Identity{}, ErrInvalid.Because(CauseUnknown)
	case err != nil:
		return Identity{}, fault.Store(err)
	}
	if r.Session.Prefix != kind.Prefix {
		s.Recorder.Later(audit.New(ctx, now, audit.System, invariantBroken{TokenID: r.Session.ID, Invariant: "prefix"}).Token(r.Session.ID))
		return Identity{}, ErrInvalid.Because(CauseUnknown)
	}
	if !r.Session.ExpiresAt.After(now) { // dead at that very second
		if err := s.expire(ctx, r.Session, now); err != nil {
			return Identity{}, err
		}
		return Identity{}, ErrInvalid.Because(CauseExpired)
	}
	if kind.SubjectType == SubjectAccount && !r.AccountStatus.MayHoldTokens() {
		return Identity{}, ErrInvalid.Because(CauseAccount)
	}
	identity := Identity{Kind: kind, Context: Context{
		SessionID: r.Session.ID, Subject: r.Session.Subject, AccountName: r.AccountName, WorkspaceID: r.Session.WorkspaceID, ClientID: r.Session.ClientID, Label: r.Session.Label,
		CreatedAt: r.Session.CreatedAt, ExpiresAt: r.Session.ExpiresAt,
	}}
	if life := LiveFor - now.Sub(read); cached && life > 0 {
		_ = s.Cache.Remember(ctx, d, identity.Context, now, life) // best effort
	}
	return identity, nil
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
	// Not for safety, for the end is checked on every hit: it spares SQL the next uses.
	_ = s.Cache.Bury(ctx, now, session.TokenHash)
	return nil
}
