// SPDX-License-Identifier: Apache-2.0

package devicegrant

import "github.com/dify-sso/dify-sso/pkg/audit"

// flowStarted is oauth.device_flow_started.
type flowStarted struct {
	ClientID string `json:"client_id"`
	Label    string `json:"device_label"`
}

// EventName implements audit.Details.
func (flowStarted) EventName() string { return "oauth.device_flow_started" }

// decided holds the facts that approval and denial share.
type decided struct {
	SubjectType string `json:"subject_type"`
	Email       string `json:"subject_email"`
	AccountID   string `json:"account_id,omitempty"`
	WorkspaceID string `json:"workspace_id,omitempty"`
	// Of an external subject. Subject is the digest that names them, not the provider's id.
	Issuer     string `json:"issuer,omitempty"`
	Subject    string `json:"subject,omitempty"`
	Connection string `json:"connection,omitempty"`
	Attempt    string `json:"attempt,omitempty"`

	ClientID  string `json:"client_id"`
	Label     string `json:"device_label"`
	StartedIP string `json:"started_ip"`
}

// flowApproved is oauth.device_flow_approved.
type flowApproved struct{ decided }

// EventName implements audit.Details.
func (flowApproved) EventName() string { return "oauth.device_flow_approved" }

// flowDenied is oauth.device_flow_denied.
type flowDenied struct{ decided }

// EventName implements audit.Details.
func (flowDenied) EventName() string { return "oauth.device_flow_denied" }

// flowRejected is oauth.device_flow_rejected: an approved grant that may not be
// redeemed any more, or an external subject who may not approve one. Subject is an
// account's id, or the digest that names an external subject.
type flowRejected struct {
	Reason     string `json:"reason"`
	Subject    string `json:"subject"`
	Issuer     string `json:"issuer,omitempty"`
	Email      string `json:"subject_email,omitempty"`
	Connection string `json:"connection,omitempty"`
	Attempt    string `json:"attempt,omitempty"`
	ClientID   string `json:"client_id"`
	Label      string `json:"device_label"`
}

// EventName implements audit.Details.
func (flowRejected) EventName() string { return "oauth.device_flow_rejected" }

// delivered is oauth.token_delivered.
type delivered struct {
	TokenID string `json:"token_id"`
	IP      string `json:"ip"`
}

// EventName implements audit.Details.
func (delivered) EventName() string { return "oauth.token_delivered" }

// crossIPPoll is oauth.device_code_cross_ip_poll.
type crossIPPoll struct {
	TokenID    string `json:"token_id"`
	Subject    string `json:"subject"`
	CreationIP string `json:"creation_ip"`
	PollIP     string `json:"poll_ip"`
}

// EventName implements audit.Details.
func (crossIPPoll) EventName() string { return "oauth.device_code_cross_ip_poll" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: flowStarted{}, When: "a client got a device code"},
		{Of: flowApproved{}, When: "a person allowed a device"},
		{Of: flowDenied{}, When: "a person refused a device"},
		{Of: flowRejected{}, When: "a code could not be handed out, or an approved one not be redeemed any more"},
		{Of: delivered{}, When: "the answer with a token was written to the client"},
		{Of: crossIPPoll{}, When: "a token was redeemed from another address than the code was asked for"},
	}
}
