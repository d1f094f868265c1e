// SPDX-License-Identifier: Apache-2.0

package access

import (
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
)

// subjectRevoked is oauth.subject_revoked: one for each key that a kill moved.
type subjectRevoked struct {
	SubjectKey           string       `json:"subject_key"`
	By                   form         `json:"by"`
	TokensRevoked        int          `json:"tokens_revoked"`
	ConsoleSessionsEnded int          `json:"console_sessions_ended"`
	ReceiptID            string       `json:"receipt_id"`
	Reason               token.Reason `json:"reason"`
	Cause                string       `json:"cause,omitempty"`
}

// EventName implements audit.Details.
func (subjectRevoked) EventName() string { return "oauth.subject_revoked" }

// statusChanged is account.status_changed.
type statusChanged struct {
	AccountID string         `json:"account_id"`
	From      account.Status `json:"from"`
	To        account.Status `json:"to"`
	ReceiptID string         `json:"receipt_id"`
}

// EventName implements audit.Details.
func (statusChanged) EventName() string { return "account.status_changed" }

// passwordChanged is account.password_changed.
type passwordChanged struct {
	SessionID            string `json:"session_id"`
	ConsoleSessionsEnded int    `json:"console_sessions_ended"`
	TokensRevoked        int    `json:"tokens_revoked"`
}

// EventName implements audit.Details.
func (passwordChanged) EventName() string { return "account.password_changed" }
