// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	// buryLimit bounds the wait for tombstones, also for a caller that has left: its
	// session is ended, and the cache must learn of it.
	buryLimit = 3 * time.Second
	// buryEvery is how often tombstones that failed are tried again.
	buryEvery = 500 * time.Millisecond
	// maxGraves bounds what waits. A tombstone that finds no room is replaced by
	// LiveFor, after which the registry is asked anyway.
	maxGraves = 100_000
)

// graves are tombstones that could not be written yet.
type graves struct {
	mu   sync.Mutex
	open map[secret.Digest]time.Time // until then a positive may be in the cache
}

// Bury writes the tombstones of tokens that have just ended, whose rows are committed.
// When it returns nil every process refuses them at its next request. Otherwise it goes
// on trying in the background and returns fault.ErrUnavailable: the tokens are dead in
// the registry, but a process that cached one may serve it until LiveFor has passed.
// Zero digests are passed over.
func (s *Service) Bury(ctx context.Context, digests ...secret.Digest) error {
	some := make([]secret.Digest, 0, len(digests))
	for _, d := range digests {
		if !d.IsZero() {
			some = append(some, d)
		}
	}
	if len(some) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), buryLimit)
	defer cancel()
	now := s.Now()
	err := s.Cache.Bury(ctx, now, some...)
	if err != nil {
		s.graves.add(some, now.Add(LiveFor))
	} else {
		s.Buried(s.Now().Sub(now))
	}
	return fault.Store(err)
}

// RunBurials repeats tombstones that failed until ctx ends, then once more.
func (s *Service) RunBurials(ctx context.Context) error {
	tick := time.NewTicker(buryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), buryLimit)
			defer cancel()
			return s.buryAgain(last)
		case <-tick.C:
			_ = s.buryAgain(ctx) // the next tick repeats it
		}
	}
}

func (s *Service) buryAgain(ctx context.Context) error {
	now := s.Now()
	due := s.graves.take(now)
	if len(due) == 0 {
		return nil
	}
	digests := make([]secret.Digest, 0, len(due))
	for d := range due {
		digests = append(digests, d)
	}
	err := s.Cache.Bury(ctx, now, digests...)
	if err != nil {
		for d, until := range due {
			s.graves.add([]secret.Digest{d}, until)
		}
		return err
	}
	for _, until := range due {
		s.Buried(s.Now().Sub(until.Add(-LiveFor)))
	}
	return nil
}

func (g *graves) add(digests []secret.Digest, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = map[secret.Digest]time.Time{}
	}
	for _, d := range digests {
		if _, known := g.open[d]; known || len(g.open) < maxGraves {
			g.open[d] = until
		}
	}
}

// take empties the list and gives those that matter still.
func (g *graves) take(now time.Time) map[secret.Digest]time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	due := g.open
	g.open = nil
	for d, until := range due {
		if !until.After(now) {
			delete(due, d)
		}
	}
	return due
}
