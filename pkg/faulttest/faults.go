// SPDX-License-Identifier: Apache-2.0

package faulttest

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrInjected is what a planned fault returns unless it names another error. It
// carries no kind, as the error of a driver does not.
var ErrInjected = errors.New("faulttest: injected fault")

// Mode says what a fault does to its call.
type Mode int

// The modes of a fault.
const (
	// Fail returns the error, and the store is not asked.
	Fail Mode = iota
	// Hang waits until the call's context ends and returns its error; the store is
	// not asked. A call whose context cannot end fails at once, so that a test shows
	// a missing deadline instead of standing still.
	Hang
	// LoseReply asks the store and returns the error all the same: the act may have
	// happened and the caller cannot know.
	LoseReply
	// Pass lets the call through. It serves a fault that has only a Before.
	Pass
)

// Fault is one thing that goes wrong.
type Fault struct {
	// Method is the name of the interface's method, as the wrapper gives it.
	Method string
	// On is the call that it strikes, counted from 1 since the wrapper was made or
	// since the last Clear; 0 means every call.
	On int
	// Mode is what happens.
	Mode Mode
	// Err is returned by Fail and LoseReply; nil means ErrInjected.
	Err error
	// Before, where set, runs before anything else of the call. It lets a test put
	// another caller's act between two steps.
	Before func()
}

// Faults is a plan and a count of calls. The zero value plans nothing. One Faults
// may serve the wrappers of several stores: methods of the same name then share
// their count. It is safe for concurrent use.
type Faults struct {
	mu    sync.Mutex
	plan  []Fault
	calls map[string]int
}

// Plan adds faults. Of several that strike one call the first planned wins.
func (f *Faults) Plan(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = append(f.plan, faults...)
}

// Clear forgets plan and counts: the store works again.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan, f.calls = nil, nil
}

// Calls gives how often a method was called, struck calls included.
func (f *Faults) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// Total gives the number of calls of all methods: zero means that the store was
// not touched.
func (f *Faults) Total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		n += c
	}
	return n
}

// next counts a call and finds what strikes it.
func (f *Faults) next(method string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[method]++
	n := f.calls[method]
	i := slices.IndexFunc(f.plan, func(p Fault) bool { return p.Method == method && (p.On == 0 || p.On == n) })
	if i < 0 {
		return Fault{}, false
	}
	return f.plan[i], true
}

// Strike runs act under the plan; lost reports that act ran and its reply is lost.
func (f *Faults) Strike(ctx context.Context, method string, act func() error) (lost bool, err error) {
	p, ok := f.next(method)
	if !ok {
		return false, act()
	}
	if p.Before != nil {
		p.Before()
	}
	failure := p.Err
	if failure == nil {
		failure = ErrInjected
	}
	switch p.Mode {
	case Pass:
		return false, act()
	case Hang:
		if ctx.Done() == nil {
			return false, failure
		}
		<-ctx.Done()
		return false, ctx.Err()
	case LoseReply:
		if err := act(); err != nil {
			return false, err // it failed by itself: that reply arrives
		}
		return true, failure
	default:
		return false, failure
	}
}

// Do is Strike for a call without a result.
func (f *Faults) Do(ctx context.Context, method string, act func() error) error {
	_, err := f.Strike(ctx, method, act)
	return err
}

// Get is Strike for a call with one result; the result of a struck call is zero.
func Get[T any](ctx context.Context, f *Faults, method string, act func() (T, error)) (T, error) {
	var v, zero T
	err := f.Do(ctx, method, func() (err error) { v, err = act(); return err })
	if err != nil {
		// What the store itself returned beside its error is kept away too: callers
		// must not read it.
		return zero, err
	}
	return v, nil
}
