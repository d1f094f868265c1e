// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Bearers implements token.Cache under one lock. It knows no other clock than the
// times that it is given.
type Bearers struct {
	max int

	mu     sync.Mutex
	known  map[secret.Digest]bearer    // positives and unknowns
	buried map[secret.Digest]time.Time // tombstones, by their end
	shut   time.Time                   // nothing is remembered before
}

// bearer is what is known of a digest.
type bearer struct {
	token.Remembered
	from, until time.Time
}

// covers keeps what a clock that stepped back would let live longer than it may.
func (b bearer) covers(now time.Time) bool { return !now.Before(b.from) && now.Before(b.until) }

// NewBearers holds at most max entries, at least one, and as many tombstones. Where an
// entry finds no room any other makes it: the registry is asked instead.
func NewBearers(max int) *Bearers {
	if max < 1 {
		max = 1
	}
	return &Bearers{max: max, known: map[secret.Digest]bearer{}, buried: map[secret.Digest]time.Time{}}
}

var _ token.Cache = (*Bearers)(nil)

// Get implements token.Cache. It returns the context's error and no other.
func (s *Bearers) Get(ctx context.Context, d secret.Digest, now time.Time) (token.Remembered, error) {
	if err := ctx.Err(); err != nil {
		return token.Remembered{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buried[d].After(now) {
		return token.Remembered{Finding: token.Buried}, nil
	}
	if b := s.known[d]; b.covers(now) {
		return b.Remembered, nil
	}
	return token.Remembered{}, nil
}

// Remember implements token.Cache. It returns the context's error and no other.
func (s *Bearers) Remember(ctx context.Context, d secret.Digest, c token.Context, now time.Time, life time.Duration) error {
	return s.keep(ctx, d, token.Remembered{Finding: token.Live, Context: owned(c)}, now, life)
}

// RememberUnknown implements token.Cache. It returns the context's error and no other.
func (s *Bearers) RememberUnknown(ctx context.Context, d secret.Digest, now time.Time) error {
	return s.keep(ctx, d, token.Remembered{Finding: token.Unknown}, now, token.UnknownFor)
}

func (s *Bearers) keep(ctx context.Context, d secret.Digest, r token.Remembered, now time.Time, life time.Duration) error {
	if err := ctx.Err(); err != nil || life <= 0 {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut.After(now) || s.buried[d].After(now) {
		return nil
	}
	old, held := s.known[d]
	if old.covers(now) {
		return nil
	}
	if !held && len(s.known) >= s.max {
		for other := range s.known { // whichever comes first
			delete(s.known, other)
			break
		}
	}
	s.known[d] = bearer{Remembered: r, from: now, until: now.Add(life)}
	return nil
}

// Bury implements token.Cache. It returns the context's error and no other. More
// tombstones than there is room for bury everything: nothing is remembered until the
// last of them would be over.
func (s *Bearers) Bury(ctx context.Context, now time.Time, digests ...secret.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := now.Add(token.BuriedFor)
	for _, d := range digests {
		delete(s.known, d)
		if _, held := s.buried[d]; !held && len(s.buried) >= s.max {
			s.sweep(now)
			if len(s.buried) >= s.max {
				clear(s.known)
				s.shut = until
				return nil
			}
		}
		s.buried[d] = until
	}
	return nil
}

// Forget implements token.Cache. It returns the context's error and no other.
func (s *Bearers) Forget(ctx context.Context, d secret.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, d)
	delete(s.buried, d)
	return nil
}

// Sweep forgets what is over and gives its number. Expiry never depends on it.
func (s *Bearers) Sweep(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sweep(now)
}

func (s *Bearers) sweep(now time.Time) int {
	n := 0
	for d, b := range s.known {
		if !b.covers(now) {
			delete(s.known, d)
			n++
		}
	}
	for d, until := range s.buried {
		if !until.After(now) {
			delete(s.buried, d)
			n++
		}
	}
	return n
}

// Held counts the entries and tombstones that are held.
func (s *Bearers) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known) + len(s.buried)
}

// owned copies the texts of a context into one of its own: none may keep alive, or
// change with, the buffer of a request or a row.
func owned(c token.Context) token.Context {
	fields := []*string{&c.SessionID, &c.Subject.Issuer, &c.Subject.ID, &c.Subject.Email, &c.Subject.AccountID, &c.Subject.ConnectionID,
		&c.AccountName, &c.WorkspaceID, &c.ClientID, &c.Label}
	var all strings.Builder
	for _, f := range fields {
		all.WriteString(*f)
	}
	rest := all.String()
	for _, f := range fields {
		n := len(*f)
		*f, rest = rest[:n], rest[n:]
	}
	return c
}
