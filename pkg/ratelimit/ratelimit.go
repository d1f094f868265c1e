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
// is off.
type Policy struct {
	Name   string
	Limit  int
	Window time.Duration
	// Lock is how long a scope stays shut once its failures have used the budget up;
	// zero never locks.
	Lock time.Duration
}

// emission is the time after which one permit is back.
func (p Policy) emission() time.Duration { return p.Window / time.Duration(p.Limit) }

// Result is the answer of a policy.
type Result struct {
	Allowed   bool
	Limit     int
	Remaining int
	// Reset is the time until the whole budget is back.
	Reset time.Duration
	// RetryAfter is the time after which one call passes; zero when one would now.
	RetryAfter time.Duration
	// Locked: the scope is shut, whatever its budget.
	Locked bool
}

// Store counts.
type Store interface {
	// Take checks and counts one call in one step. A refused call costs nothing.
	Take(ctx context.Context, p Policy, scope string, now time.Time) (Result, error)
	// Settle ends a permit of a budget of failures. A success gives it back; a failure
	// keeps it and, when none is left and the policy locks, shuts the scope.
	Settle(ctx context.Context, p Policy, scope string, failed bool, now time.Time) (Result, error)
}

// Key is where a store counts: the policy is part of it, so that policies never share
// a counter, and the scope is its hash tag.
func Key(policy, scope string) string { return "rl:" + policy + ":{" + scope + "}" }

// ErrSyntax is returned by Parse.
var ErrSyntax = errors.New(`ratelimit: a limit reads "120/1h", "60" or "0"`)

// Parse reads a limit: "120/1h", "120" (the policy's own window, given as zero) or
// "0" for off.
func Parse(s string) (limit int, window time.Duration, err error) {
	count, per, has := strings.Cut(strings.TrimSpace(s), "/")
	limit, err = strconv.Atoi(strings.TrimSpace(count))
	if err != nil || limit < 0 || limit > 1_000_000 {
		return 0, 0, ErrSyntax
	}
	if !has {
		return limit, 0, nil
	}
	window, err = time.ParseDuration(strings.TrimSpace(per))
	if err != nil || window < time.Second || window > 31*24*time.Hour {
		return 0, 0, ErrSyntax
	}
	return limit, window, nil
}
