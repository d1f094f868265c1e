// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Memory counts in process. It is safe for concurrent use.
type Memory struct {
	max int

	mu   sync.Mutex
	keys map[key]*counter
	ends ends // the same counters, the soonest to be over first
}

// key is a struct where a text would do, so that asking allocates nothing.
type key struct{ policy, scope string }

// counter is one scope of one policy. Times are microseconds of the Unix epoch.
type counter struct {
	key    key
	tat    int64 // theoretical arrival time: when the budget is whole again
	locked int64 // shut until then
	index  int   // place in the heap
}

// end is when forgetting the counter changes nothing.
func (c *counter) end() int64 { return max(c.tat, c.locked) }

// NewMemory holds at most maxKeys counters, at least one. Where a new scope finds no
// room, the counter that is soonest over makes it: a flood of scopes costs bounded
// memory, and budgets of failures and locks, which last longest, outlive it longest.
func NewMemory(maxKeys int) *Memory {
	return &Memory{max: max(1, maxKeys), keys: map[key]*counter{}}
}

var _ Store = (*Memory)(nil)

// Take implements Store. It returns the context's error and no other.
func (m *Memory) Take(ctx context.Context, p Policy, scope string, now time.Time) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if p.Limit <= 0 {
		return Result{Allowed: true}, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := now.UnixMicro()
	c := m.find(p, scope, at)
	if c == nil {
		c = &counter{key: key{p.Name, scope}}
	}
	emission, span := p.Emission(), p.span()
	if next := max(c.tat, at) + emission; c.locked <= at && next-at <= span {
		c.tat = next
		m.keep(c)
		r := c.result(p, at)
		r.Allowed = true
		return r, nil
	}
	return c.result(p, at), nil
}

// Settle implements Store. It returns the context's error and no other.
func (m *Memory) Settle(ctx context.Context, p Policy, scope string, failed bool, now time.Time) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if p.Limit <= 0 {
		return Result{Allowed: true}, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := now.UnixMicro()
	c := m.find(p, scope, at)
	if c == nil { // over since the permit was taken
		return Result{Allowed: true, Limit: p.Limit, Remaining: p.Limit}, nil
	}
	if !failed {
		c.tat -= p.Emission()
	} else if p.Lock > 0 && c.result(p, at).Remaining == 0 {
		c.locked = at + p.Lock.Microseconds()
	}
	if c.end() > at {
		m.keep(c)
	} else {
		m.forget(c) // before a clock that steps back finds it spent
	}
	r := c.result(p, at)
	r.Allowed = r.RetryAfter == 0
	return r, nil
}

// Peek describes a scope without counting: Allowed says whether a Take would pass now.
func (m *Memory) Peek(p Policy, scope string, now time.Time) Result {
	if p.Limit <= 0 {
		return Result{Allowed: true}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := now.UnixMicro()
	c := m.find(p, scope, at)
	if c == nil {
		return Result{Allowed: true, Limit: p.Limit, Remaining: p.Limit}
	}
	r := c.result(p, at)
	r.Allowed = r.RetryAfter == 0
	return r
}

// find gives a counter that matters still, or nil.
func (m *Memory) find(p Policy, scope string, at int64) *counter {
	c, ok := m.keys[key{p.Name, scope}]
	if !ok {
		return nil
	}
	// Nothing is spent further ahead than this, unless the clock stepped back: then
	// the budget is empty, but not until the clock is where it was.
	c.tat = min(c.tat, at+p.span())
	c.locked = min(c.locked, at+p.Lock.Microseconds())
	if c.locked <= at {
		c.locked = 0 // over once is over: a clock that steps back shuts nothing
	}
	heap.Fix(&m.ends, c.index)
	if c.end() <= at {
		m.forget(c)
		return nil
	}
	return c
}

// keep stores a counter, new or changed.
func (m *Memory) keep(c *counter) {
	if _, known := m.keys[c.key]; known {
		heap.Fix(&m.ends, c.index)
		return
	}
	if len(m.keys) >= m.max {
		m.forget(m.ends[0])
	}
	m.keys[c.key] = c
	heap.Push(&m.ends, c)
}

func (m *Memory) forget(c *counter) {
	heap.Remove(&m.ends, c.index)
	delete(m.keys, c.key)
}

// result describes the counter without changing it.
func (c *counter) result(p Policy, at int64) Result {
	emission, span := p.Emission(), p.span()
	used := max(0, c.tat-at)
	shut := max(0, c.locked-at)
	r := Result{
		Limit:      p.Limit,
		Remaining:  int((span - used) / emission),
		Reset:      micros(max(used, shut)),
		RetryAfter: micros(max(used+emission-span, shut, 0)),
		Locked:     shut > 0,
	}
	if r.Locked {
		r.Remaining = 0
	}
	return r
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// Sweep forgets counters that are over and gives their number. A job calls it.
func (m *Memory) Sweep(now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, n := now.UnixMicro(), 0
	for len(m.ends) > 0 && m.ends[0].end() <= at {
		m.forget(m.ends[0])
		n++
	}
	return n
}

// ends is a heap.Interface.
type ends []*counter

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].end() < e[j].end() }
func (e ends) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].index, e[j].index = i, j
}
func (e *ends) Push(x any) {
	c := x.(*counter)
	c.index = len(*e)
	*e = append(*e, c)
}
func (e *ends) Pop() any {
	last := len(*e) - 1
	c := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	return c
}
