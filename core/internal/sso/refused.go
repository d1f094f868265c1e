// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"errors"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

// RefusedError ends a login in the browser: Code and Reference are all that the person
// is told.
type RefusedError struct {
	Code      ssocode.Code
	Reference string // of the login attempt; empty where none is known
	cause     error
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.cause != nil {
		return string(e.Code) + ": " + e.cause.Error()
	}
	return string(e.Code)
}

// Unwrap gives the cause, for the log.
func (e *RefusedError) Unwrap() error { return e.cause }

// publicOf gives the code of what the bridge answered.
func publicOf(err error) ssocode.Code {
	switch {
	case errors.Is(err, ErrNotConfigured):
		return ssocode.NotConfigured
	case errors.Is(err, ErrConnectionUnknown):
		return ssocode.ConnectionMissing
	case errors.Is(err, ErrUnroutable):
		return ssocode.NoConnection
	}
	return ssocode.Unavailable
}

// Refusals of the routes by which an external subject decides.
var (
	// ErrNoSession: the browser has no approval grant that holds.
	ErrNoSession = fault.New(fault.Unauthenticated, "no_session", "This approval page is no longer valid. Start again from your terminal.")
	// ErrInvalidSession is the same for a decision, also for a person whose access was
	// ended since.
	ErrInvalidSession = fault.New(fault.Unauthenticated, "invalid_session", "This approval page is no longer valid. Start again from your terminal.")
	// ErrCodeMismatch: the approval grant is for another code.
	ErrCodeMismatch = fault.New(fault.Invalid, "user_code_mismatch", "This page is for another code. Start again from your terminal.")
	// ErrConfirmationRequired: a link brought the code, and nobody has said that the
	// device shows it.
	ErrConfirmationRequired = fault.New(fault.Invalid, "confirmation_required", "Compare the code with your terminal and tick the box.")
	// ErrCodeGone: the device grant does not exist any more, or is another one.
	ErrCodeGone = fault.New(fault.NotFound, "user_code_not_pending", "This code has expired or was already used. Start again from the terminal.")
	// ErrCodeResolved: the device grant was decided.
	ErrCodeResolved = fault.New(fault.Conflict, "user_code_not_pending", "This code has expired or was already used. Start again from the terminal.")
	// ErrEmailIsAccount: an active account has this e-mail.
	ErrEmailIsAccount = fault.New(fault.Forbidden, "email_belongs_to_dify_account", "This e-mail already has a workspace account. Sign in with that account instead.")
	// ErrIdentityLinked: the identity belongs to an account.
	ErrIdentityLinked = fault.New(fault.Forbidden, "sso_identity_linked", "This company identity belongs to a workspace account. Use that account.")
)
