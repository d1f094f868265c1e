// SPDX-License-Identifier: Apache-2.0

package access

import (
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
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
	AccountID            string `json:"account_id,omitempty"` // whose it is, when an operator did it
	SessionID            string `json:"session_id,omitempty"` // the browser that goes on, when the person did
	ConsoleSessionsEnded int    `json:"console_sessions_ended"`
	TokensRevoked        int    `json:"tokens_revoked"`
}

// EventName implements audit.Details.
func (passwordChanged) EventName() string { return "account.password_changed" }

// accountCreated is account.created.
type accountCreated struct {
	AccountID string         `json:"account_id"`
	Email     string         `json:"email"`
	Status    account.Status `json:"status"`
	ReceiptID string         `json:"receipt_id"`
}

// EventName implements audit.Details.
func (accountCreated) EventName() string { return "account.created" }

// administratorGranted is account.admin_granted.
type administratorGranted struct {
	AccountID string `json:"account_id"`
}

// EventName implements audit.Details.
func (administratorGranted) EventName() string { return "account.admin_granted" }

// administratorRevoked is account.admin_revoked.
type administratorRevoked struct {
	AccountID string `json:"account_id"`
}

// EventName implements audit.Details.
func (administratorRevoked) EventName() string { return "account.admin_revoked" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: subjectRevoked{}, When: "a kill ended what a person, an e-mail or a connection was signed in to; one for each key that it moved"},
		{Of: statusChanged{}, When: "an account was banned, closed or made active"},
		{Of: passwordChanged{}, When: "a person changed their password, or an operator set it"},
		{Of: accountCreated{}, When: "an operator created an account"},
		{Of: administratorGranted{}, When: "an account became a deployment administrator"},
		{Of: identityUnlinked{}, When: "an identity of an identity provider was taken from its account; one for each"},
		{Of: administratorRevoked{}, When: "an account ceased to be a deployment administrator"},
	}
}
