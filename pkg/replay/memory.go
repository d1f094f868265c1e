// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
)

// Memory implements envelope.Replay under one lock. Its marks do not survive a restart.
type Memory struct {
	max int
	now func() time.Time

	mu   sync.Mutex
	ends map[mark]time.Time
}

type mark struct {
	audience envelope.Audience
	id       string
}

var _ envelope.Replay = (*Memory)(nil)

// NewMemory holds at most max marks, at least one.
func NewMemory(max int, now func() time.Time) *Memory {
	return &Memory{max: max, now: now, ends: map[mark]time.Time{}}
}

// ErrFull: forgetting a mark would let its message be used again.
var ErrFull = errors.New("replay: as many marks as there is room for")

// Consume implements envelope.Replay. It returns the context's error and ErrFull.
func (m *Memory) Consume(ctx context.Context, audience envelope.Audience, id string, ttl time.Duration) (fresh bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, key := m.now(), mark{audience, id}
	if end, held := m.ends[key]; held && end.After(now) {
		return false, nil
	}
	if len(m.ends) >= m.max {
		m.sweep(now)
		if len(m.ends) >= m.max {
			return false, ErrFull
		}
	}
	m.ends[key] = now.Add(ttl)
	return true, nil
}

// Sweep frees the marks that are over.
func (m *Memory) Sweep(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(now)
}

func (m *Memory) sweep(now time.Time) {
	for key, end := range m.ends {
		if !end.After(now) {
			delete(m.ends, key)
		}
	}
}
