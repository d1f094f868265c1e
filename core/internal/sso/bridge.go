// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Bridge is the service that talks to identity providers; package bridgeclient is one.
type Bridge interface {
	// Begin starts a login. It returns ErrNotConfigured, ErrConnectionUnknown,
	// ErrUnroutable, ErrChoiceRequired or ErrSilent; nothing else.
	Begin(ctx context.Context, o Order) (Begun, error)
	// Offered lists the connections that may be chosen for a device. It returns
	// ErrSilent.
	Offered(ctx context.Context) (Offer, error)
}

// Order is what core asks a login for. The digests are core's MACs: neither the bridge
// nor a store can make another's or find the code behind one.
type Order struct {
	UserCodeDigest string // 43 characters of base64url
	Nonce          string // 22
	Binding        string // 43
	Connection     string // an id; at most one of it and Email is set
	Email          string // canonical
	Fresh          bool   // the provider is asked for a fresh sign-in
	Locale         string // en or zh-Hans
	RequestID      string
}

// Begun is a login under way.
type Begun struct {
	Reference string
	StartURL  string // where the browser goes, an address of the bridge that works once
}

// Mode says how a person comes to a connection.
type Mode string

// The modes.
const (
	ModeNone          Mode = "none"
	ModeSingle        Mode = "single"
	ModeChoose        Mode = "choose"
	ModeEmail         Mode = "email"
	ModeChooseOrEmail Mode = "choose_or_email"
)

// ByEmail reports whether a typed e-mail may lead to a connection.
func (m Mode) ByEmail() bool { return m == ModeEmail || m == ModeChooseOrEmail }

// Offer is what a person may choose from.
type Offer struct {
	Mode        Mode
	Connections []Offered // in the order in which they are shown
}

// Offered is one connection as people see it.
type Offered struct{ ID, Name, Button, Protocol string }

// What the bridge answers instead of a login.
var (
	// ErrNotConfigured: no connection is enabled.
	ErrNotConfigured = fault.New(fault.NotFound, "sso_not_configured", "Company single sign-on is not set up here yet.")
	// ErrConnectionUnknown: none of this id is enabled.
	ErrConnectionUnknown = fault.New(fault.NotFound, "connection_unknown", "This sign-in option is not available.")
	// ErrUnroutable: no connection takes e-mails of this domain.
	ErrUnroutable = fault.New(fault.NotFound, "email_domain_unroutable", "No company sign-in takes this address.")
	// ErrChoiceRequired: several are possible.
	ErrChoiceRequired = fault.New(fault.Conflict, "connection_choice_required", "Several company sign-ins are possible.")
	// ErrAttemptNotFound: it knows no such login attempt, or no longer.
	ErrAttemptNotFound = fault.New(fault.NotFound, "attempt_not_found", "No such login attempt.")
	// ErrSilent: the bridge did not answer in time, or not as it should.
	ErrSilent = fault.New(fault.Unavailable, "sso_unavailable", "We cannot sign you in right now. Try again in a minute.")
)

// SilentError is the cause of ErrSilent: how the bridge failed core.
type SilentError struct {
	// Status and Code are of an answer that was not expected; 0 and empty without one.
	Status int
	Code   string
	Err    error
}

// Error implements error.
func (e *SilentError) Error() string { return e.cause() + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *SilentError) Unwrap() error { return e.Err }

// The causes on record of a bridge that did not serve core; the second is one that takes
// core's token for none of core's.
const (
	causeUnreachable = "bridge_unreachable"
	causeRefused     = "bridge_refused"
)

// refusedToken is the status with which the bridge refuses core's own token.
const refusedToken = 401

// cause tells a bridge that refuses core, by key set or clock, from one that cannot be
// reached.
func (e *SilentError) cause() string {
	if e.Status == refusedToken {
		return causeRefused
	}
	return causeUnreachable
}
