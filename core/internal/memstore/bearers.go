// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"context"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Bearers implements token.Cache in process.
type Bearers struct {
	mu   sync.Mutex
	keys map[secret.Digest]bearer
}

type bearer struct {
	token.Remembered
	until time.Time
}

// NewBearers makes an empty cache.
func NewBearers(max int) *Bearers { return &Bearers{keys: map[secret.Digest]bearer{}} }

var _ token.Cache = (*Bearers)(nil)

// Get implements token.Cache.
func (s *Bearers) Get(ctx context.Context, d secret.Digest, now time.Time) (token.Remembered, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.keys[d]; ok && b.until.After(now) {
		return b.Remembered, ctx.Err()
	}
	return token.Remembered{}, ctx.Err()
}

func (s *Bearers) put(ctx context.Context, d secret.Digest, r token.Remembered, now time.Time, life time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.keys[d]; ok && b.until.After(now) || life <= 0 {
		return ctx.Err()
	}
	s.keys[d] = bearer{r, now.Add(life)}
	return ctx.Err()
}

// Remember implements token.Cache.
func (s *Bearers) Remember(ctx context.Context, d secret.Digest, c token.Context, now time.Time, life time.Duration) error {
	return s.put(ctx, d, token.Remembered{Finding: token.Live, Context: c}, now, life)
}

// RememberUnknown implements token.Cache.
func (s *Bearers) RememberUnknown(ctx context.Context, d secret.Digest, now time.Time) error {
	return s.put(ctx, d, token.Remembered{Finding: token.Unknown}, now, token.UnknownFor)
}

// Bury implements token.Cache.
func (s *Bearers) Bury(ctx context.Context, now time.Time, digests ...secret.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range digests {
		s.keys[d] = bearer{token.Remembered{Finding: token.Buried}, now.Add(token.BuriedFor)}
	}
	return ctx.Err()
}

// Forget implements token.Cache.
func (s *Bearers) Forget(ctx context.Context, d secret.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, d)
	return ctx.Err()
}
