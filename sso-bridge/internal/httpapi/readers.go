// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// perCPU is how many SAML responses are read at once for each CPU: reading one is work
// for the processor alone, and more at once would only make each of them late.
const perCPU = 2

// readerWait is how long a response waits for its turn.
const readerWait = time.Second

// perReader is how many wait for each turn: who comes behind so many would wait in vain,
// and what waits lies in memory.
const perReader = 16

// Readers bounds how many SAML responses are read at once. It is safe for concurrent
// use.
type Readers struct {
	free    chan struct{}
	wait    time.Duration
	waiting atomic.Int64
}

// NewReaders bounds to n, and lets nobody wait longer than wait. Either that is not above
// zero takes what a server has: 2 for each CPU, 1 s.
func NewReaders(n int, wait time.Duration) *Readers {
	if n <= 0 {
		n = perCPU * runtime.GOMAXPROCS(0)
	}
	if wait <= 0 {
		wait = readerWait
	}
	return &Readers{free: make(chan struct{}, n), wait: wait}
}

// Take gives a turn, which the caller ends by done, or false when none came free in time
// or too many wait already; waiting is how many waited then, this one included.
func (r *Readers) Take(ctx context.Context) (done func(), waiting int, ok bool) {
	release := func() { <-r.free }
	select {
	case r.free <- struct{}{}:
		return release, 0, true
	default:
	}
	n := r.waiting.Add(1)
	defer r.waiting.Add(-1)
	if n > int64(perReader*cap(r.free)) {
		return nil, int(n), false
	}
	late := time.NewTimer(r.wait)
	defer late.Stop()
	select {
	case r.free <- struct{}{}:
		return release, 0, true
	case <-late.C:
	case <-ctx.Done():
	}
	return nil, int(n), false
}
