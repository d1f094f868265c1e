// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"sync"
	"time"
)

// Memory counts in process. It is safe for concurrent use.
type Memory struct {
	max int

	mu   sync.Mutex
	keys map[string]*counter
}

type counter struct {
	tat    time.Time // theoretical arrival time: when the budget is whole again
	locked time.Time // shut until then
}

// over reports whether forgetting the counter changes nothing.
func (c *counter) over(now time.Time) bool { return !c.tat.After(now) && !c.locked.After(now) }

// NewMemory holds at most maxKeys counters. When it is full those that are over go
// first, and then any: a flood of scopes costs bounded memory.
func NewMemory(maxKeys int) *Memory { return &Memory{max: maxKeys, keys: map[string]*counter{}} }

var _ Store = (*Memory)(nil)

// Take implements Store.
func (m *Memory) Take(ctx context.Context, p Policy, scope string, now time.Time) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if p.Limit <= 0 {
		return Result{Allowed: true}, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := Key(p.Name, scope)
	c, known := m.keys[key]
	if !known {
		c = &counter{}
	}
	if c.locked.After(now) {
		return Result{Limit: p.Limit, Reset: c.locked.Sub(now), RetryAfter: c.locked.Sub(now), Locked: true}, nil
	}
	tat := later(c.tat, now).Add(p.emission())
	if wait := tat.Sub(now) - p.Window; wait > 0 {
		r := c.result(p, now)
		r.RetryAfter = wait
		return r, nil
	}
	c.tat = tat
	if !known {
		m.makeRoom(now)
		m.keys[key] = c
	}
	r := c.result(p, now)
	r.Allowed = true
	return r, nil
}

// Settle implements Store.
func (m *Memory) Settle(ctx context.Context, p Policy, scope string, failed bool, now time.Time) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if p.Limit <= 0 {
		return Result{Allowed: true}, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := Key(p.Name, scope)
	c, known := m.keys[key]
	if !known {
		return Result{Allowed: true, Limit: p.Limit, Remaining: p.Limit}, nil
	}
	if !failed {
		if c.tat = c.tat.Add(-p.emission()); c.over(now) {
			delete(m.keys, key)
		}
		r := c.result(p, now)
		r.Allowed = true
		return r, nil
	}
	r := c.result(p, now)
	if p.Lock > 0 && r.Remaining == 0 {
		c.locked = now.Add(p.Lock)
		r.Locked, r.RetryAfter, r.Reset = true, p.Lock, p.Lock
	}
	r.Allowed = !r.Locked
	return r, nil
}

// result describes the counter without changing it.
func (c *counter) result(p Policy, now time.Time) Result {
	used := max(0, c.tat.Sub(now))
	left := (p.Window - used) / p.emission()
	return Result{Limit: p.Limit, Remaining: max(0, int(left)), Reset: used}
}

// Sweep forgets counters that are over and gives their number.
func (m *Memory) Sweep(now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sweep(now)
}

func (m *Memory) sweep(now time.Time) int {
	n := 0
	for key, c := range m.keys {
		if c.over(now) {
			delete(m.keys, key)
			n++
		}
	}
	return n
}

// makeRoom keeps the number of counters below the cap.
func (m *Memory) makeRoom(now time.Time) {
	if len(m.keys) < m.max {
		return
	}
	m.sweep(now)
	spare := m.max / 100
	for key := range m.keys {
		if len(m.keys) < m.max-spare {
			return
		}
		delete(m.keys, key)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
