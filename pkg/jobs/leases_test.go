// SPDX-License-Identifier: Apache-2.0

package jobs_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/pkg/jobs"
)

var errInjected = errors.New("the store is down")

// leases are rows in memory, as a store keeps them.
type leases struct {
	mu   sync.Mutex
	rows map[string]lease
}

type lease struct {
	owner string
	until time.Time
	fence int64
}

func (s *leases) Take(_ context.Context, name, owner string, now time.Time, life time.Duration) (int64, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, found := s.rows[name]
	switch {
	case found && row.owner != owner && row.until.After(now):
		return 0, false, nil
	case !found || row.owner != owner:
		row.fence++
	}
	row.owner, row.until = owner, now.Add(life)
	s.rows[name] = row
	return row.fence, true, nil
}

func (s *leases) Release(_ context.Context, name, owner string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if row, found := s.rows[name]; found && row.owner == owner && row.until.After(now) {
		row.until = now
		s.rows[name] = row
	}
	return nil
}

// mode is how asking for a lease goes wrong.
type mode int

const (
	fails     mode = iota
	loseReply      // it is done, and nobody hears of it
	hangs          // until who asks gives up
)

// faulty asks for leases and fails as it is told: always, or at the calls of a number.
type faulty struct {
	jobs.Leases
	mu     sync.Mutex
	calls  int
	always *mode
	on     map[int]mode
}

func (f *faulty) plan(m mode) { f.mu.Lock(); defer f.mu.Unlock(); f.always = &m }
func (f *faulty) clear()      { f.mu.Lock(); defer f.mu.Unlock(); f.always = nil }

func (f *faulty) next() (m mode, wrong bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.always != nil {
		return *f.always, true
	}
	m, wrong = f.on[f.calls]
	return m, wrong
}

func (f *faulty) Take(ctx context.Context, name, owner string, now time.Time, life time.Duration) (int64, bool, error) {
	switch m, wrong := f.next(); {
	case !wrong:
		return f.Leases.Take(ctx, name, owner, now, life)
	case m == hangs:
		<-ctx.Done()
		return 0, false, ctx.Err()
	case m == loseReply:
		_, _, _ = f.Leases.Take(ctx, name, owner, now, life)
	}
	return 0, false, errInjected
}
