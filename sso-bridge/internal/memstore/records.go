// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// Records implements login.Records under one lock: each step is one of it.
type Records struct {
	most int
	now  func() time.Time

	mu      sync.Mutex
	shelves map[login.Shelf]*shelf
}

// shelf holds the entries of one kind. Each kind has room of its own, so that a flood of
// one leaves the others alone.
type shelf struct {
	entries map[string]entry
	swept   time.Time
}

// entry is a value, or what is left of one that was taken.
type entry struct {
	value []byte
	taken bool
	until time.Time
}

// sweepEvery bounds how often a full shelf is searched for room.
const sweepEvery = time.Second

// NewRecords holds at most most entries of each kind; beyond that what would add one
// returns login.ErrFull.
func NewRecords(most int, now func() time.Time) *Records {
	return &Records{most: most, now: now, shelves: map[login.Shelf]*shelf{}}
}

var _ login.Records = (*Records)(nil)

// Put implements login.Records.
func (s *Records) Put(ctx context.Context, on login.Shelf, d secret.Digest, sealed []byte, life time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, shelf, key := s.now(), s.shelf(on), d.Hex()
	if _, held := shelf.entries[key]; !held && len(shelf.entries) >= s.most && !shelf.madeRoom(now, s.most) {
		return login.ErrFull
	}
	shelf.entries[key] = entry{value: bytes.Clone(sealed), until: now.Add(life)}
	return nil
}

// Read implements login.Records.
func (s *Records) Read(ctx context.Context, on login.Shelf, d secret.Digest) ([]byte, error) {
	return s.get(ctx, on, d, false)
}

// Take implements login.Records.
func (s *Records) Take(ctx context.Context, on login.Shelf, d secret.Digest) ([]byte, error) {
	return s.get(ctx, on, d, true)
}

func (s *Records) get(ctx context.Context, on login.Shelf, d secret.Digest, take bool) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shelf, key := s.shelf(on), d.Hex()
	e, ok := shelf.entries[key]
	switch {
	case !ok || !s.now().Before(e.until):
		delete(shelf.entries, key)
		return nil, login.ErrNoRecord
	case e.taken:
		return nil, login.ErrTaken
	case take:
		shelf.entries[key] = entry{taken: true, until: e.until}
	}
	return bytes.Clone(e.value), nil
}

func (s *Records) shelf(name login.Shelf) *shelf {
	if _, ok := s.shelves[name]; !ok {
		s.shelves[name] = &shelf{entries: map[string]entry{}}
	}
	return s.shelves[name]
}

// madeRoom drops what is over, at most once a second, and reports whether there is room.
func (h *shelf) madeRoom(now time.Time, most int) bool {
	if now.Sub(h.swept) >= sweepEvery {
		h.swept = now
		for key, e := range h.entries {
			if !now.Before(e.until) {
				delete(h.entries, key)
			}
		}
	}
	return len(h.entries) < most
}
