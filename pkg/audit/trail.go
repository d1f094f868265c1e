// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"time"
)

// ErrNoEvent is returned for an event that is not in the table, any more or at all.
var ErrNoEvent = errors.New("audit: no such event")

// Filter says which events are read; what is empty says nothing.
type Filter struct {
	Since, Until time.Time // from, included, and to, excluded
	Name         string
	SubjectKey   string
	// AccountID with SubjectKey selects what the account did as well as what concerns it.
	AccountID string
	TokenID   string
}

// Position is a place in the order of events: their time, and their id within it.
type Position struct {
	At time.Time
	ID string
}

// Position is the event's own.
func (e Event) Position() Position { return Position{At: e.At, ID: e.ID} }

// Trail reads events. What it gives is bounded by the limit it is asked with, and no
// lock or snapshot outlives a call.
type Trail interface {
	// Newest gives the latest events, the newest first.
	Newest(ctx context.Context, f Filter, limit int) ([]Event, error)
	// Next gives the events after a position, the oldest first. The zero Position is
	// before every event.
	Next(ctx context.Context, f Filter, after Position, limit int) ([]Event, error)
	// Find gives the position of an event, or ErrNoEvent.
	Find(ctx context.Context, id string) (Position, error)
}

// Kind describes one kind of event for the reference.
type Kind struct {
	// Of is the zero value of its own fields.
	Of Details
	// When says, in half a sentence, when it is written.
	When string
}
