// SPDX-License-Identifier: Apache-2.0

package token

import (
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
)

// minted is oauth.token_minted.
type minted struct {
	TokenID    string    `json:"token_id"`
	Subject    string    `json:"subject"`
	Issuer     string    `json:"subject_issuer"`
	ClientID   string    `json:"client_id"`
	Label      string    `json:"device_label"`
	Scopes     string    `json:"scopes"`
	ExpiresAt  time.Time `json:"expires_at"`
	Rotated    bool      `json:"rotated"`
	ApprovedAt time.Time `json:"approved_at"`
	ApprovedBy string    `json:"approved_by"`
}

// EventName implements audit.Details.
func (minted) EventName() string { return "oauth.token_minted" }

// revoked is oauth.token_revoked.
type revoked struct {
	TokenID string `json:"token_id"`
	Subject string `json:"subject"`
	Reason  Reason `json:"reason"`
	// ReceiptID is that of the kill that ended this row among others.
	ReceiptID string `json:"receipt_id,omitempty"`
}

// EventName implements audit.Details.
func (revoked) EventName() string { return "oauth.token_revoked" }

// expired is oauth.token_expired.
type expired struct {
	TokenID  string `json:"token_id"`
	Subject  string `json:"subject"`
	ClientID string `json:"client_id"`
}

// EventName implements audit.Details.
func (expired) EventName() string { return "oauth.token_expired" }

// invariantBroken is internal_state_invariant: stored data contradict themselves.
type invariantBroken struct {
	TokenID   string `json:"token_id"`
	Invariant string `json:"invariant"`
}

// EventName implements audit.Details.
func (invariantBroken) EventName() string { return "internal_state_invariant" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: minted{}, When: "a token was minted, in the transaction that stores it"},
		{Of: revoked{}, When: "a session was ended; one for each"},
		{Of: expired{}, When: "the end of a token was noticed, once"},
		{Of: invariantBroken{}, When: "stored data contradict themselves, and the caller was refused"},
	}
}
