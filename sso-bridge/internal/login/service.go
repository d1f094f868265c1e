// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

// Order is what core asks when a login begins. Its members have been bounded.
type Order struct {
	Intent         connection.Intent
	UserCodeDigest string // of a device login
	Nonce, Binding string
	ReturnTo       string // of an account login
	Connection     string // or Email, or neither
	Email          string
	ForceAuthn     bool
	Locale         string
	RequestID      string
}

// Begun is a login that waits for its browser.
type Begun struct {
	AttemptID string
	Reference string
	StartURL  string
	ExpiresAt time.Time
}

// The refusals of an order (docs/specs/v1.0/server/sso.md, Inner requests).
var (
	ErrNotConfigured     = fault.New(fault.NotFound, "sso_not_configured", "No connection is enabled for this.")
	ErrConnectionUnknown = fault.New(fault.NotFound, "connection_unknown", "No such connection is enabled for this.")
	ErrEmailUnroutable   = fault.New(fault.NotFound, "email_domain_unroutable", "No enabled connection owns this domain.")
	ErrChoiceRequired    = fault.New(fault.Conflict, "connection_choice_required", "Several connections are possible. Name one.")
)

// Visitor is the browser of a request, as far as a trace may know it.
type Visitor struct {
	UserAgent string
	Network   string // the address cut to /24 or /48
}

// Departure is where a browser goes that spent a start ticket. TestCookie is set for a
// connection test alone.
type Departure struct {
	URL        string
	TestCookie secret.Text
}

// Arrival is a callback. Its members have been bounded; nothing in it is trusted.
type Arrival struct {
	Protocol connection.Protocol
	// Path is the connection's id at the end of the address, empty at the shared one.
	Path       string
	Handle     string
	Code       secret.Text
	Error      string
	Describe   string // error_description
	Issuer     string
	IssuerSent bool
	Visitor    Visitor
	// Bytes is the size of the answer.
	Bytes int
	// Malformed refuses the answer after its handle has been claimed: the name of the
	// parameter that is wrong, or empty.
	Malformed string
}

// Failed is what the page of a reference shows.
type Failed struct {
	Public string // code of package ssocode
	At     time.Time
	// Intent says where "begin again" leads.
	Intent connection.Intent
	Known  bool // false: nobody has this reference
}

// Service runs attempts. It is safe for concurrent use.
type Service struct{}

// Begin draws an attempt. It returns ErrNotConfigured, ErrConnectionUnknown,
// ErrEmailUnroutable, ErrChoiceRequired, or a store failure: nothing was begun then.
func (s *Service) Begin(ctx context.Context, o Order) (Begun, error) {
	return Begun{}, fault.ErrInternal
}

// Start spends a ticket and sends the browser to the provider. A *failure.Error says
// what the page shows.
func (s *Service) Start(ctx context.Context, ticket secret.Text, v Visitor) (Departure, error) {
	return Departure{}, fault.ErrInternal
}

// Finish claims the handle of a callback, judges the answer and gives the address to
// which the browser goes, be it core with an assertion or a public code, the page of a
// test, or our own page of a failure. It never fails: what cannot be done is an address
// that says so.
func (s *Service) Finish(ctx context.Context, a Arrival) (location string) { return "" }

// Refuse notes a callback that cannot be read at all, such as a body too large, and
// gives the reference of its page.
func (s *Service) Refuse(ctx context.Context, code string, v Visitor) (reference string) { return "" }

// Failure gives what the page of a reference shows.
func (s *Service) Failure(ctx context.Context, reference string) (Failed, error) {
	return Failed{}, fault.ErrInternal
}
