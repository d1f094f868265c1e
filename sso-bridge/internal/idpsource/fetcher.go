// SPDX-License-Identifier: Apache-2.0

package idpsource

import "context"

// Fetcher reads addresses of metadata; package idpfetch does. Where a call may go and how
// much may come back is its business.
type Fetcher interface {
	// Fetch reads an address on behalf of a connection. The answer is NotModified when the
	// source has nothing new since. Every error is an *Unread.
	Fetch(ctx context.Context, connectionID, address string, since Validators) (Reply, error)
}

// Validators are what a source calls one version of its document (RFC 9110, section 8.8),
// each at most 255 bytes, or empty.
type Validators struct{ ETag, LastModified string }

// Reply is what an address has answered: a document of at most 1 MiB, or nothing new.
type Reply struct {
	NotModified bool
	Body        []byte
	Validators
}

// Unread is an address that could not be read.
type Unread struct {
	// Phase is where it ended: one of those of pkg/egress, or PhaseStatus.
	Phase  string
	Status int   // 0 before there was an answer
	Cause  error // for the log; it names no part of an answer
}

// The phases that are explained in words of their own.
const (
	PhaseStatus      = "status"
	PhaseRefused     = "refused"
	PhaseTooLarge    = "too_large"
	PhaseRedirect    = "redirect"
	PhaseContentType = "content_type"
	PhaseCircuit     = "circuit"
)

// Error implements error.
func (e *Unread) Error() string {
	if e.Cause != nil {
		return "idpsource: " + e.Phase + ": " + e.Cause.Error()
	}
	return "idpsource: " + e.Phase
}

// Unwrap gives the cause.
func (e *Unread) Unwrap() error { return e.Cause }
