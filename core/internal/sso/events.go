// SPDX-License-Identifier: Apache-2.0

package sso

import "github.com/dify-sso/dify-sso/pkg/audit"

// loginStarted is sso.login_started.
type loginStarted struct {
	Connection string `json:"connection,omitempty"` // empty where the bridge chose
	ClientID   string `json:"client_id"`
	Attempt    string `json:"attempt"`
}

// EventName implements audit.Details.
func (loginStarted) EventName() string { return "sso.login_started" }

// loginNotStarted is sso.login_not_started. Status and Code are what the bridge
// answered, if it did.
type loginNotStarted struct {
	Cause      string `json:"cause"`
	Status     int    `json:"status,omitempty"`
	Code       string `json:"code,omitempty"`
	Connection string `json:"connection,omitempty"`
	ClientID   string `json:"client_id"`
}

// EventName implements audit.Details.
func (loginNotStarted) EventName() string { return "sso.login_not_started" }

// assertionRejected is sso.assertion_rejected.
type assertionRejected struct {
	Cause      string `json:"cause"`
	Attempt    string `json:"attempt,omitempty"`
	Connection string `json:"connection,omitempty"`
}

// EventName implements audit.Details.
func (assertionRejected) EventName() string { return "sso.assertion_rejected" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: loginStarted{}, When: "a browser was sent to sign in at a company's identity provider"},
		{Of: loginNotStarted{}, When: "core could not reach sso-bridge (cause bridge_unreachable), or was refused by it (bridge_refused: key set, public addresses or clocks differ)"},
		{Of: assertionRejected{}, When: "a sign-in that came back from an identity provider was not accepted"},
	}
}
