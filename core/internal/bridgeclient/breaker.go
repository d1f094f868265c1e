// SPDX-License-Identifier: Apache-2.0

package bridgeclient

import (
	"errors"
	"sync"
	"time"
)

const (
	// failuresInRow open the breaker.
	failuresInRow = 5
	// openFor is for how long nobody waits for a bridge that did not answer.
	openFor = 10 * time.Second
)

var errOpen = errors.New("bridgeclient: the bridge failed five times in a row and is not asked for a moment")

// breaker refuses at once while the bridge is known not to answer: people at their
// browsers wait for nothing, and a bridge that comes back is met by one of them first.
type breaker struct {
	mu     sync.Mutex
	inARow int
	until  time.Time
}

// ask reports whether the bridge may be asked. When its time is over one caller is let
// through, and the others as soon as that one was answered.
func (b *breaker) ask(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inARow < failuresInRow {
		return true
	}
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(openFor)
	return true
}

func (b *breaker) failed(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inARow = min(b.inARow+1, failuresInRow)
	b.until = now.Add(openFor)
}

func (b *breaker) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inARow = 0
}
