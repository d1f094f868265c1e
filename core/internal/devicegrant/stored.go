// SPDX-License-Identifier: Apache-2.0

package devicegrant

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
)

// stored is what an approved grant keeps of its subject; opaque to stores. Kind is absent
// for an account, as it was before there was another kind.
type stored struct {
	Kind       token.SubjectType `json:"kind,omitempty"`
	Email      string            `json:"email"`
	Name       string            `json:"name,omitempty"`
	Epoch      int64             `json:"epoch"`
	ApprovedAt time.Time         `json:"approved_at"`
	IP         string            `json:"ip"`

	// Of an account.
	AccountID        string `json:"account_id,omitempty"`
	WorkspaceID      string `json:"workspace_id,omitempty"`
	ConsoleSessionID string `json:"console_session_id,omitempty"`

	// Of a person whom an identity provider vouches for.
	Issuer        string   `json:"issuer,omitempty"`
	SubjectID     string   `json:"subject_id,omitempty"`
	EmailVerified bool     `json:"email_verified,omitempty"`
	ConnectionID  string   `json:"connection_id,omitempty"`
	Attempt       string   `json:"attempt,omitempty"`
	AuthTime      int64    `json:"auth_time,omitempty"` // seconds since 1970
	AMR           []string `json:"amr,omitempty"`
	ACR           string   `json:"acr,omitempty"`
}

func readApproval(raw []byte) (stored, error) {
	var a stored
	if err := json.Unmarshal(raw, &a); err != nil {
		return stored{}, err
	}
	known := a.Kind == "" || a.Kind == token.SubjectExternal && a.Issuer != "" && a.SubjectID != "" && a.AccountID == ""
	if !known { // an account that is none is the mint's to refuse
		return stored{}, fmt.Errorf("devicegrant: an approval of kind %q names no subject", a.Kind)
	}
	return a, nil
}

func (a stored) kind() token.Kind {
	if a.Kind == token.SubjectExternal {
		return token.ExternalKind
	}
	return token.AccountKind
}

func (a stored) subject() token.Subject {
	if a.Kind == token.SubjectExternal {
		return a.external().Subject()
	}
	return token.AccountSubject(a.AccountID, a.Email)
}

func (a stored) external() External {
	return External{Issuer: a.Issuer, ID: a.SubjectID, Email: a.Email, ConnectionID: a.ConnectionID, Attempt: a.Attempt}
}

func (a stored) rejected(g Grant, reason string) flowRejected {
	if a.Kind == token.SubjectExternal {
		return a.external().rejected(g, reason)
	}
	return flowRejected{Reason: reason, Subject: a.AccountID, ClientID: g.ClientID, Label: g.Label}
}
