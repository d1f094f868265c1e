// SPDX-License-Identifier: Apache-2.0

package connection

import "github.com/dify-sso/dify-sso/pkg/audit"

// created is sso.connection_created.
type created struct {
	Connection string   `json:"connection"`
	Revision   string   `json:"revision"`
	Protocol   Protocol `json:"protocol"`
	Preset     string   `json:"preset"`
	ManagedBy  string   `json:"managed_by"`
	Issuers    []string `json:"issuers"`
	Domains    []string `json:"domains"`
}

// EventName implements audit.Details.
func (created) EventName() string { return "sso.connection_created" }

// updated is sso.connection_updated. Revision and Previous are equal when only labels
// have changed.
type updated struct {
	Connection string   `json:"connection"`
	Revision   string   `json:"revision"`
	Previous   string   `json:"previous_revision"`
	ManagedBy  string   `json:"managed_by"`
	Restored   bool     `json:"restored"`
	Issuers    []string `json:"issuers"`
	Domains    []string `json:"domains"`
}

// EventName implements audit.Details.
func (updated) EventName() string { return "sso.connection_updated" }

// tested is sso.connection_tested.
type tested struct {
	Connection  string `json:"connection"`
	Revision    string `json:"revision"`
	Attempt     string `json:"attempt"`
	SubjectHash string `json:"subject_hash"`
}

// EventName implements audit.Details.
func (tested) EventName() string { return "sso.connection_tested" }

// enabled is sso.connection_enabled.
type enabled struct {
	Connection string   `json:"connection"`
	Revision   string   `json:"revision"`
	Previous   string   `json:"previous_revision"`
	Domains    []string `json:"domains"`
}

// EventName implements audit.Details.
func (enabled) EventName() string { return "sso.connection_enabled" }

// forceEnabled is sso.connection_force_enabled.
type forceEnabled struct {
	Connection string   `json:"connection"`
	Revision   string   `json:"revision"`
	Previous   string   `json:"previous_revision"`
	Domains    []string `json:"domains"`
	Reason     string   `json:"reason"`
}

// EventName implements audit.Details.
func (forceEnabled) EventName() string { return "sso.connection_force_enabled" }

// disabled is sso.connection_disabled.
type disabled struct {
	Connection string `json:"connection"`
	KeepTokens bool   `json:"keep_tokens"`
	Reason     string `json:"reason"`
}

// EventName implements audit.Details.
func (disabled) EventName() string { return "sso.connection_disabled" }

// deleted is sso.connection_deleted.
type deleted struct {
	Connection string `json:"connection"`
	KeepTokens bool   `json:"keep_tokens"`
	Reason     string `json:"reason"`
}

// EventName implements audit.Details.
func (deleted) EventName() string { return "sso.connection_deleted" }

// issuerTakenOver is sso.issuer_taken_over.
type issuerTakenOver struct {
	Connection string `json:"connection"`
	Previous   string `json:"previous_connection"`
	Issuer     string `json:"issuer"`
	Unlinked   int    `json:"unlinked"`
	Reason     string `json:"reason"`
}

// EventName implements audit.Details.
func (issuerTakenOver) EventName() string { return "sso.issuer_taken_over" }

// AuditKinds lists the kinds of event of this package.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: created{}, When: "a connection was made, with the domains that it claims"},
		{Of: updated{}, When: "a connection was given another content or other labels"},
		{Of: tested{}, When: "a sign-in passed every check on a revision"},
		{Of: enabled{}, When: "logins began to use a revision that was tested"},
		{Of: forceEnabled{}, When: "logins began to use a revision that nobody has tested"},
		{Of: disabled{}, When: "a connection was disabled, or had its tokens ended once more"},
		{Of: deleted{}, When: "a connection was deleted"},
		{Of: issuerTakenOver{}, When: "the issuer of a deleted connection was given to another, and its identities unlinked"},
	}
}
