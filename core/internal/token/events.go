// SPDX-License-Identifier: Apache-2.0

package token

import "time"

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
