// SPDX-License-Identifier: Apache-2.0

package console

import "github.com/dify-sso/dify-sso/pkg/audit"

// signedIn is account.signed_in.
type signedIn struct {
	How       How    `json:"how"`
	SessionID string `json:"session_id"`
}

// EventName implements audit.Details.
func (signedIn) EventName() string { return "account.signed_in" }

// signInFailed is account.sign_in_failed; the account is named only where one
// exists, the e-mail that was typed never.
type signInFailed struct {
	AccountID string `json:"account_id,omitempty"`
	Cause     string `json:"cause"`
}

// EventName implements audit.Details.
func (signInFailed) EventName() string { return "account.sign_in_failed" }

// signedOut is account.signed_out.
type signedOut struct {
	SessionID string `json:"session_id"`
}

// EventName implements audit.Details.
func (signedOut) EventName() string { return "account.signed_out" }

// CSRFRefused is console.csrf_refused.
type CSRFRefused struct {
	Route string `json:"route"`
	Cause string `json:"cause"`
}

// EventName implements audit.Details.
func (CSRFRefused) EventName() string { return "console.csrf_refused" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: signedIn{}, When: "a browser signed in"},
		{Of: signInFailed{}, When: "a sign-in was refused; the e-mail that was typed is never kept"},
		{Of: signedOut{}, When: "a browser signed out"},
		{Of: CSRFRefused{}, When: "a write of a browser was refused for its origin or its CSRF token"},
	}
}
