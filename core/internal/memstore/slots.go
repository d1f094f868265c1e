// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"context"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// Slots implements run.Slots under one lock. It knows no other clock than the times that
// it is given.
type Slots struct {
	mu   sync.Mutex
	held map[string]map[string]time.Time // by app, then holder: the end of its lease
}

// NewSlots holds nothing yet.
func NewSlots() *Slots { return &Slots{held: map[string]map[string]time.Time{}} }

var _ run.Slots = (*Slots)(nil)

// Take implements run.Slots. It returns the context's error and no other.
func (s *Slots) Take(ctx context.Context, appID, holder string, limit int, now time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(appID, now)
	if _, held := s.held[appID][holder]; !held && len(s.held[appID]) >= limit {
		return false, nil
	}
	s.keep(appID, holder, now)
	return true, nil
}

// Renew implements run.Slots. It returns the context's error and no other.
func (s *Slots) Renew(ctx context.Context, appID, holder string, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(appID, holder, now)
	return nil
}

func (s *Slots) keep(appID, holder string, now time.Time) {
	if s.held[appID] == nil {
		s.held[appID] = map[string]time.Time{}
	}
	s.held[appID][holder] = now.Add(run.SlotLease)
}

// Free implements run.Slots. It returns the context's error and no other.
func (s *Slots) Free(ctx context.Context, appID, holder string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held[appID], holder)
	if len(s.held[appID]) == 0 {
		delete(s.held, appID)
	}
	return nil
}

// Sweep forgets what is over. Leases never depend on it.
func (s *Slots) Sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for appID := range s.held {
		s.sweep(appID, now)
	}
}

func (s *Slots) sweep(appID string, now time.Time) {
	for holder, until := range s.held[appID] {
		if !until.After(now) {
			delete(s.held[appID], holder)
		}
	}
	if len(s.held[appID]) == 0 {
		delete(s.held, appID)
	}
}

// Held counts the slots that are held.
func (s *Slots) Held() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, holders := range s.held {
		n += len(holders)
	}
	return n
}
