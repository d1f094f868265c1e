// SPDX-License-Identifier: Apache-2.0

package devicegrant

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// State is where a grant stands.
type State string

// The stored states.
const (
	Pending   State = "pending"
	Approved  State = "approved"
	Redeeming State = "redeeming"
	Denied    State = "denied"
)

// The times of a grant (docs/specs/v1.0/server/device-flow.md).
const (
	// Lifetime is how long a code waits for a decision (RFC 8628 section 3.2).
	Lifetime = 15 * time.Minute
	// FirstInterval is the least time between two polls (RFC 8628 section 3.5).
	FirstInterval = 5 * time.Second
	// IntervalStep is added by each poll that came too early.
	IntervalStep = 5 * time.Second
	// MaxInterval is the ceiling: the existing client never waits longer, so a larger
	// interval could not be kept.
	MaxInterval = time.Minute
	// PollTolerance forgives a client whose timer fires a little early.
	PollTolerance = 500 * time.Millisecond
	// DecisionLife is what a decision leaves a grant at least, so that a client that
	// polls once a minute still learns of it.
	DecisionLife = time.Minute
	// Lease is how long a claim keeps others out.
	Lease = 15 * time.Second
	// LeaseGrace keeps a claimed grant redeemable past its end, for a claim whose
	// process died.
	LeaseGrace = 30 * time.Second
	// RedeemLimit bounds the work under a claim; it ends before the lease does.
	RedeemLimit = 10 * time.Second
)

// MaxLabel is the longest device label in characters.
const MaxLabel = 255

// Grant is the stored state of one device authorization. Stores see digests, never
// a code.
type Grant struct {
	Ref       secret.Digest // SHA-256 of the device code
	UserMAC   secret.Digest // HMAC of the user code
	ClientID  string
	Label     string
	State     State
	CreatedAt time.Time
	ExpiresAt time.Time
	CreatedIP string
	Interval  time.Duration
	LastPoll  time.Time // zero before the first poll
	// Subject is what the approval stored; opaque to stores.
	Subject    []byte
	ApprovedAt time.Time
	Transition string // id of the decision, for a repeat whose first reply was lost
	Owner      string // of the running claim
	LeaseUntil time.Time
	ClaimNo    int64
}

// Expired reports whether the grant is past its end at now. A claimed grant stays
// redeemable until its lease and a grace are over.
func (g Grant) Expired(now time.Time) bool {
	if g.ExpiresAt.After(now) {
		return false
	}
	return g.State != Redeeming || !g.LeaseUntil.Add(LeaseGrace).After(now)
}

// PollResult is what one poll found and did.
type PollResult int

// The results of a poll, in the order in which they are judged.
const (
	PollUnknown     PollResult = iota // no such grant, or past its end; nothing was written
	PollOtherClient                   // the grant is another client's; nothing was written
	PollTooSoon                       // the stored interval has grown
	PollPending                       // no decision yet, or a claim is running
	PollDenied                        // the grant is deleted
	PollClaimed                       // this poll owns the grant until the lease ends
)

// Poll is one poll of a grant.
type Poll struct {
	Ref      secret.Digest
	ClientID string
	Owner    string // drawn per poll; a repeat whose first reply was lost has the same
	Now      time.Time
}

// Decision moves a grant out of pending.
type Decision struct {
	Ref        secret.Digest
	To         State // Approved or Denied
	Subject    []byte
	Transition string
	Now        time.Time
}

// Store keeps grants for as long as they live. Every move is one atomic step.
// Failures other than those named mean that the store could not be asked; the move
// may have happened.
type Store interface {
	// Create stores a new grant unless a live one has its user code. It returns
	// ErrUserCodeTaken, or ErrFull when the store holds as many as it may.
	Create(ctx context.Context, g Grant) error
	// Poll judges and records a poll in one step; a claim sets state, owner and lease
	// and counts ClaimNo. With PollClaimed and PollDenied comes the grant as it stands
	// after the step. A repeat of the last recorded poll by the same owner is no second
	// poll: it is answered as the first one was and neither came too early nor claims
	// once more.
	Poll(ctx context.Context, p Poll) (PollResult, Grant, error)
	// ForgetPoll clears the time of the last poll, so that the client's prompt retry
	// after a 5xx is not punished. Like Release and Delete it may be repeated.
	ForgetPoll(ctx context.Context, ref secret.Digest) error
	// Find gives the live grant of a user code, in whatever state, or ErrNotFound.
	Find(ctx context.Context, userMAC secret.Digest, now time.Time) (Grant, error)
	// Decide moves a pending grant and raises what is left of its life to
	// DecisionLife. It returns ErrNotFound for a grant past its end and
	// ErrAlreadyResolved for one that is not pending; a repeat with the same
	// transition id succeeds like the first.
	Decide(ctx context.Context, d Decision) error
	// Release gives a claimed grant back to approved, if owner still holds it.
	Release(ctx context.Context, ref secret.Digest, owner string) error
	// Delete removes a claimed grant and its user code, if owner still holds it.
	Delete(ctx context.Context, ref secret.Digest, owner string) error
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
}

// Failures of a store.
var (
	// ErrUserCodeTaken: draw another.
	ErrUserCodeTaken = fault.New(fault.Conflict, "conflict", "User code taken.")
	// ErrFull: the in-process store holds as many grants as it may.
	ErrFull = fault.New(fault.Unavailable, "service_unavailable", fault.ErrUnavailable.Text()).RetryAfter(5 * time.Second)
	// ErrNotFound: no live grant has this code.
	ErrNotFound = fault.New(fault.NotFound, "expired_or_unknown", "This code is unknown or has expired. Start again from the terminal.")
	// ErrAlreadyResolved: the grant has left pending.
	ErrAlreadyResolved = fault.New(fault.Conflict, "already_resolved", "This code was already used.")
)

// Verdicts of the protocol (RFC 8628 section 3.5, RFC 6749 section 5.2).
var (
	ErrAuthorizationPending = fault.Verdict(fault.Invalid, "authorization_pending")
	ErrSlowDown             = fault.Verdict(fault.Invalid, "slow_down")
	ErrExpiredToken         = fault.Verdict(fault.Invalid, "expired_token")
	ErrAccessDenied         = fault.Verdict(fault.Invalid, "access_denied")
	ErrInvalidGrant         = fault.Verdict(fault.Invalid, "invalid_grant")
	// ErrUnsupportedClient: the client is not on this installation's list.
	ErrUnsupportedClient = fault.Verdict(fault.Invalid, "unsupported_client")
	// ErrUserCodeExhausted: five user codes in a row were taken.
	ErrUserCodeExhausted = fault.New(fault.Unavailable, "user_code_exhausted", "No free code right now. Try again.").RetryAfter(time.Second)
)
