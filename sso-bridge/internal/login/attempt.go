// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// State is where an attempt stands.
type State string

// The states, in the order in which an attempt runs through them.
const (
	StateCreated   State = "created"
	StateStarted   State = "started"
	StateReturned  State = "returned"
	StateSucceeded State = "succeeded"
	StateFailed    State = "failed"
)

// Lifetime is how long an attempt, its record and its envelope live.
const Lifetime = 15 * time.Minute

// The lives of what opens an attempt.
const (
	ticketFor     = 2 * time.Minute
	testTicketFor = 15 * time.Minute
	resultFor     = 15 * time.Minute
)

// Attempt is the row of one login. A failure that belongs to no attempt has a row as
// well, without a connection, so that its reference explains itself.
type Attempt struct {
	ID         string
	Reference  string
	Handle     secret.Digest // zero while there is none
	Connection string
	Revision   string
	Intent     connection.Intent
	State      State
	Code       failure.Code
	Public     ssocode.Code
	CreatedAt  time.Time
	ExpiresAt  time.Time
	FinishedAt *time.Time
	Trace      Trace
}

var (
	// ErrNoAttempt: nothing has this reference or handle.
	ErrNoAttempt = errors.New("login: no such attempt")
	// ErrMoved: the attempt is not in the state from which it was to move.
	ErrMoved = errors.New("login: the attempt has moved on")
)

// Filter says which attempts are listed; what is empty says nothing.
type Filter struct {
	Connection   string
	Code         failure.Code
	Since, Until time.Time // from, included, and to, excluded
}

// Attempts is the durable store of attempts. Each method is one transaction; events
// given to it are written with the row or not at all.
type Attempts interface {
	// Create writes a new row.
	Create(ctx context.Context, a Attempt, events ...audit.Event) error
	// Move writes what of an attempt changes (its handle, state, codes, end and trace) if
	// its row is in state from; else it returns ErrMoved and has written nothing. Of all
	// that move one attempt from one state, one succeeds.
	Move(ctx context.Context, from State, to Attempt, events ...audit.Event) error
	// ByReference and ByHandle give one attempt, or ErrNoAttempt.
	ByReference(ctx context.Context, reference string) (Attempt, error)
	ByHandle(ctx context.Context, handle secret.Digest) (Attempt, error)
	// LastGood gives the connection's latest success, or ErrNoAttempt.
	LastGood(ctx context.Context, connectionID string) (Attempt, error)
	// List gives at most limit attempts, the newest first.
	List(ctx context.Context, f Filter, limit int) ([]Attempt, error)
}
