// SPDX-License-Identifier: Apache-2.0

package token

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// UsageEvery is the least time between two writes of one token's last use, by
	// however many processes.
	UsageEvery = time.Minute
	// usageSpread is what chance adds to it: tokens that began together, as after a
	// restart, drift apart.
	usageSpread = UsageEvery / 4
	// usageFlush is how long a recorded use waits for its batch.
	usageFlush = time.Second
	// usageBatch is how many uses one statement writes, so that on SQLite the one writer
	// is soon free again.
	usageBatch = 500
	// usageLimit bounds one flush.
	usageLimit = 5 * time.Second
	// usageMax bounds what waits while SQL is down; beyond it new uses are not recorded.
	usageMax = 100_000
)

// usage gathers last uses, so that reading costs no write. What was written is kept in
// two generations: an entry lives at least as long as it matters, and nothing has to
// be searched for what is over while requests wait.
type usage struct {
	mu      sync.Mutex
	pending map[string]waiting
	written map[string]wrote
	former  map[string]wrote
	turned  time.Time // when written was begun
}

// waiting is a use of the token that was minted then.
type waiting struct {
	Use
	minted int64
}

// wrote says that a token's use was written, and until when it is not again.
type wrote struct{ minted, at, next int64 }

func newUsage() *usage {
	return &usage{pending: map[string]waiting{}, written: map[string]wrote{}}
}

// Used records that a token of a session was used, minted at the time given; it is
// written in a batch, at most once a minute per token, and lost at most with the
// process. It asks no store and cannot fail.
func (s *Service) Used(id string, minted time.Time, ip string) {
	now := s.Now()
	s.usage.mu.Lock()
	defer s.usage.mu.Unlock()
	if s.usage.recent(id, minted.UnixMicro(), now.UnixMicro()) {
		return
	}
	if _, again := s.usage.pending[id]; again || len(s.usage.pending) < usageMax {
		s.usage.pending[id] = waiting{Use{ID: id, At: now, IP: ip}, minted.UnixMicro()}
	}
}

// recent reports whether a use of this token need not be written yet. That of a former
// token of the session does not count, nor one that a clock stepped back from.
func (u *usage) recent(id string, minted, now int64) bool {
	w, ok := u.written[id]
	if !ok {
		w, ok = u.former[id]
	}
	return ok && w.minted == minted && w.at <= now && now < w.next
}

// FlushUsage writes what Used has gathered. What could not be written is tried
// again with the next batch.
func (s *Service) FlushUsage(ctx context.Context) error {
	batch := s.usage.take(s.Now(), s.Jitter)
	defer func() { s.usage.putBack(batch) }() // also when the store panics
	for len(batch) > 0 {
		n := min(usageBatch, len(batch))
		uses := make([]Use, n)
		for i, w := range batch[:n] {
			uses[i] = w.Use
		}
		if err := s.Store.TouchUsed(ctx, uses); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// take gives what waits, in the order of ids: processes that write the same rows at
// once then lock them in one order. It counts as written from here on.
func (u *usage) take(now time.Time, jitter func(most time.Duration) time.Duration) []waiting {
	u.mu.Lock()
	defer u.mu.Unlock()
	if age := now.Sub(u.turned); age < 0 || age >= UsageEvery+usageSpread {
		u.former, u.written, u.turned = u.written, make(map[string]wrote, len(u.pending)), now
	}
	if len(u.pending) == 0 {
		return nil
	}
	batch := make([]waiting, 0, len(u.pending))
	for id, use := range u.pending {
		batch = append(batch, use)
		u.written[id] = wrote{minted: use.minted, at: now.UnixMicro(), next: now.Add(UsageEvery + jitter(usageSpread)).UnixMicro()}
	}
	u.pending = map[string]waiting{}
	slices.SortFunc(batch, func(a, b waiting) int { return cmp.Compare(a.ID, b.ID) })
	return batch
}

// putBack lets uses that were not written wait again, unless there is a newer one.
func (u *usage) putBack(batch []waiting) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, use := range batch {
		delete(u.written, use.ID)
		delete(u.former, use.ID)
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
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), usageLimit)
			defer cancel()
			return s.FlushUsage(last)
		case <-tick.C:
			try, cancel := context.WithTimeout(ctx, usageLimit)
			_ = s.FlushUsage(try) // a failure never fails a request; the next tick repeats it
			cancel()
		}
	}
}

// draw gives a time below most.
func draw(most time.Duration) time.Duration { return rand.N(most) } //nolint:gosec // spreads work, keeps no secret
