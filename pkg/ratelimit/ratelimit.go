// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Policy is a limit: Limit calls at once, refilled at Limit per Window. A Limit of 0
// is off. A Window below one microsecond per call counts as that.
type Policy struct {
	Name   string
	Limit  int
	Window time.Duration
	// Lock is how long a scope stays shut once its failures have used the budget up;
	// zero never locks.
	Lock time.Duration
}

// Emission is the time after which one permit is back, in whole microseconds, which
// every store can count exactly. It is rounded up, so that never more than Limit come
// back within a Window. A policy that is off has none.
func (p Policy) Emission() int64 {
	if p.Limit <= 0 {
		return 0
	}
	limit := int64(p.Limit)
	return max(1, (p.Window.Microseconds()+limit-1)/limit)
}

// span is the time after which an empty budget is whole: the Window, but for the
// rounding of Emission.
func (p Policy) span() int64 { return p.Emission() * int64(p.Limit) }

// Result is the answer of a policy.
type Result struct {
	// Allowed: after Take, this call passed; after Settle, one more would.
	Allowed bool
	// Limit is the policy's; 0 means that nothing is counted.
	Limit int
	// Remaining is how many calls would pass now.
	Remaining int
	// Reset is the time until the whole budget is back.
	Reset time.Duration
	// RetryAfter is the time after which one call passes; zero when one would now.
	RetryAfter time.Duration
	// Locked: the scope is shut, whatever its budget.
	Locked bool
}

// Store counts. The package ratelimittest holds its contract as a suite. Time is the
// caller's, or the store's own where callers share it and their clocks may differ: now
// is one reading per operation, and a clock that steps back neither gives a budget back
// nor empties it for longer than Window and Lock say.
type Store interface {
	// Take checks and counts one call in one step. A refused call costs nothing.
	Take(ctx context.Context, p Policy, scope string, now time.Time) (Result, error)
	// Settle ends a permit that Take gave of a budget of failures, so each permit is
	// settled once. A success gives it back; a failure keeps it and, when none is left
	// and the policy locks, shuts the scope from now on for Lock. A success opens no
	// scope that is shut.
	Settle(ctx context.Context, p Policy, scope string, failed bool, now time.Time) (Result, error)
}

// Key is where a store counts: the policy is part of it, so that policies never share
// a counter, and the scope is its hash tag.
func Key(policy, scope string) string { return "rl:" + policy + ":{" + scope + "}" }

// ErrSyntax is returned by Parse.
var ErrSyntax = errors.New(`ratelimit: a limit reads "120/1h", "60" or "0"`)

// maxLimit and maxWindow bound what Parse takes.
const (
	maxLimit  = 1_000_000
	maxWindow = 31 * 24 * time.Hour
)

// Parse reads a limit: "120/1h", "120" (the policy's own window, given as zero) or
// "0" for off. A limit is at most a million, a window a second to 31 days. It returns
// ErrSyntax.
func Parse(s string) (limit int, window time.Duration, err error) {
	count, per, has := strings.Cut(strings.TrimSpace(s), "/")
	n, err := strconv.ParseUint(strings.TrimSpace(count), 10, 31)
	if err != nil || n > maxLimit {
		return 0, 0, ErrSyntax
	}
	if !has {
		return int(n), 0, nil
	}
	window, err = time.ParseDuration(strings.TrimSpace(per))
	if err != nil || window < time.Second || window > maxWindow {
		return 0, 0, ErrSyntax
	}
	return int(n), window, nil
}
