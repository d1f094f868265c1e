// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"sync"
	"time"
)

const (
	// usageEvery is the least time between two writes of one session's last use.
	usageEvery = time.Minute
	// usageFlush is how long a recorded use waits for its batch.
	usageFlush = time.Second
	// usageMax bounds what waits; beyond it new uses are not recorded.
	usageMax = 100_000
)

// usage gathers last uses, so that reading costs no write.
type usage struct {
	mu      sync.Mutex
	pending map[string]Use
	written map[string]time.Time
}

func newUsage() *usage {
	return &usage{pending: map[string]Use{}, written: map[string]time.Time{}}
}

// Used records that a session was used; it is written in a batch, at most once a
// minute per session, and lost at most with the process.
func (s *Service) Used(id, ip string) {
	now := s.Now()
	s.usage.mu.Lock()
	defer s.usage.mu.Unlock()
	if last, ok := s.usage.written[id]; ok && now.Sub(last) < usageEvery {
		return
	}
	if _, waiting := s.usage.pending[id]; waiting || len(s.usage.pending) < usageMax {
		s.usage.pending[id] = Use{ID: id, At: now, IP: ip}
	}
}

// FlushUsage writes what Used has gathered. What could not be written is tried
// again with the next batch.
func (s *Service) FlushUsage(ctx context.Context) error {
	now := s.Now()
	s.usage.mu.Lock()
	batch := make([]Use, 0, len(s.usage.pending))
	for id, u := range s.usage.pending {
		batch = append(batch, u)
		s.usage.written[id] = now
	}
	for id, at := range s.usage.written {
		if now.Sub(at) >= usageEvery {
			delete(s.usage.written, id)
		}
	}
	s.usage.pending = map[string]Use{}
	s.usage.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	written := false
	defer func() { // also when the store panics
		if !written {
			s.usage.putBack(batch)
		}
	}()
	err := s.Store.TouchUsed(ctx, batch)
	written = err == nil
	return err
}

// putBack lets uses that were not written wait again, unless there is a newer one.
func (u *usage) putBack(batch []Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, use := range batch {
		delete(u.written, use.ID)
		if _, newer := u.pending[use.ID]; !newer {
			u.pending[use.ID] = use
		}
	}
}

// RunUsage flushes until ctx ends, then once more.
func (s *Service) RunUsage(ctx context.Context) error {
	tick := time.NewTicker(usageFlush)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return s.FlushUsage(last)
		case <-tick.C:
			_ = s.FlushUsage(ctx) // a failure never fails a request; the next tick repeats it
		}
	}
}
