// SPDX-License-Identifier: Apache-2.0

// Package trip says what a store was asked and how long its answer took, for metrics, traces
// and the log. It holds no argument and no value of a statement.
package trip

import (
	"context"
	"time"
)

// The stores.
const (
	SQL   = "sql"
	Redis = "redis"
)

// Trip is one question to a store and its answer.
type Trip struct {
	// Store is SQL or Redis, System the engine as OpenTelemetry calls it.
	Store, System string
	// Name says what was asked: a text out of the program, never out of a request.
	Name  string
	Start time.Time
	Took  time.Duration
	// Err is why there was no answer; a refusal that callers expect is an answer.
	Err error
}

// Observer is told of a trip that is over. It returns at once.
type Observer func(ctx context.Context, t Trip)

// Each tells several observers of each trip, in order.
func Each(all ...Observer) Observer {
	return func(ctx context.Context, t Trip) {
		for _, o := range all {
			o(ctx, t)
		}
	}
}
