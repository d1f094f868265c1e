// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// many opens streams through core side by side, looks at its memory while events flow, has
// all clients leave, and waits until the runtime has seen every connection closed.
func (b *bench) many(st *streets) (string, error) {
	n, last := int(b.some(manyStreams).count), manyLast/time.Duration(b.shrink)
	w, c := st.ways[throughCore], newCaller()
	if err := b.rest(station{server: w.server}); err != nil {
		return "", err
	}
	if err := st.closed(c); err != nil {
		return "", err
	}
	before, err := resident(w.server.pid())
	if err != nil {
		return "", err
	}
	var (
		wg     sync.WaitGroup
		leave  atomic.Bool
		failed = make(chan error, n)
		events atomic.Int64
	)
	for i := range n {
		wg.Go(func() {
			f, err := newFollower(w.address)
			if err != nil {
				failed <- err
				return
			}
			defer f.close()
			w := w
			w.token = tokenOf(i)
			request, err := w.request(plan{Events: 1 << 20, First: 1000 + rand.IntN(100_000), Every: 100_000}) //nolint:gosec // no secret
			if err != nil {
				failed <- err
				return
			}
			h := &heard{}
			if err := f.follow(request, h, func() bool { events.Add(int64(len(h.events))); h.events = h.events[:0]; return leave.Load() }); err != nil {
				failed <- err
			}
		})
	}
	stop := func() { leave.Store(true); wg.Wait() }
	deadline := time.Now().Add(followLimit)
	for open := 0; open < n; time.Sleep(10 * time.Millisecond) {
		if open, err = st.open(c); err != nil || time.Now().After(deadline) || len(failed) > 0 {
			stop()
			select {
			case err = <-failed:
			default:
			}
			return "", fmt.Errorf("%d streams are open of %d: %w", open, n, err)
		}
	}
	peak := before
	for begun := time.Now(); time.Since(begun) < last; time.Sleep(last / 40) {
		now, err := resident(w.server.pid())
		if err != nil {
			stop()
			return "", err
		}
		if now.all > peak.all {
			peak = now
		}
	}
	flowed := events.Load()
	begun := time.Now()
	stop() // each leaves at its next event, a tenth of a second later at the latest
	left := time.Now()
	if err := st.closed(c); err != nil {
		return "", err
	}
	took := time.Since(left)
	select {
	case err := <-failed:
		return "", err
	default:
	}
	return fmt.Sprintf(`
| Streams at once | Memory before, MB | at its greatest, MB | of it pages of the program's file, MB | Goal for all of it | Last connection of the runtime closed after its client left | Goal |
| --- | --- | --- | --- | --- | --- | --- |
| %d, with %d events | %.1f | %.1f | %.1f | %s | within %d ms of the last, %d ms of the first | %s |
`, n, flowed, megabytes(before.all), megabytes(peak.all), megabytes(peak.file), said(fmt.Sprintf("≤ %d MB", manyMemory>>20), peak.all <= manyMemory),
		took.Milliseconds(), time.Since(begun).Milliseconds(), said(fmt.Sprintf("≤ %.0f s", manyClosed.Seconds()), took <= manyClosed)), nil
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

// closed waits until the runtime has no connection any more that a stream goes on upon, or
// too long.
func (s *streets) closed(c *caller) error {
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		n, err := s.open(c)
		if err != nil || n == 0 {
			return err
		}
		if time.Since(begun) > 2*followLimit {
			return fmt.Errorf("%d connections of the runtime are still open", n)
		}
	}
}
