// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// loaded is sso.metadata_loaded.
type loaded struct {
	Connection   string   `json:"connection"`
	Digest       string   `json:"digest"`
	EntityID     string   `json:"entity_id"`
	Certificates []string `json:"certificates"` // fingerprints
	// Endpoints are those of a discovery document, whose issuer stands as entity id.
	Endpoints *connection.OIDCEndpoints `json:"endpoints,omitempty"`
}

// EventName implements audit.Details.
func (loaded) EventName() string { return "sso.metadata_loaded" }

// applied is sso.metadata_applied.
type applied struct {
	Connection string               `json:"connection"`
	Digest     string               `json:"digest"`
	Previous   string               `json:"previous_digest"`
	Changes    []idpmetadata.Change `json:"changes"`
}

// EventName implements audit.Details.
func (applied) EventName() string { return "sso.metadata_applied" }

// held is sso.metadata_held.
type held struct {
	Connection string               `json:"connection"`
	Digest     string               `json:"digest"`
	Changes    []idpmetadata.Change `json:"changes"`
}

// EventName implements audit.Details.
func (held) EventName() string { return "sso.metadata_held" }

// withdrawn is sso.metadata_withdrawn.
type withdrawn struct {
	Connection string `json:"connection"`
	Digest     string `json:"digest"`
}

// EventName implements audit.Details.
func (withdrawn) EventName() string { return "sso.metadata_withdrawn" }

// accepted is sso.metadata_accepted.
type accepted struct {
	Connection string               `json:"connection"`
	Digest     string               `json:"digest"`
	Changes    []idpmetadata.Change `json:"changes"`
}

// EventName implements audit.Details.
func (accepted) EventName() string { return "sso.metadata_accepted" }

// rejected is sso.metadata_rejected.
type rejected struct {
	Connection string               `json:"connection"`
	Digest     string               `json:"digest"`
	Changes    []idpmetadata.Change `json:"changes"`
}

// EventName implements audit.Details.
func (rejected) EventName() string { return "sso.metadata_rejected" }

// AuditKinds lists the kinds of event of this package.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: loaded{}, When: "metadata was read from an address for the first time and pinned"},
		{Of: applied{}, When: "metadata that only adds to what serves began to serve"},
		{Of: held{}, When: "metadata that takes away what serves began to wait for a decision"},
		{Of: withdrawn{}, When: "the address gave what serves again, and what waited was over"},
		{Of: accepted{}, When: "an administrator let metadata serve that had waited"},
		{Of: rejected{}, When: "an administrator refused metadata that had waited"},
	}
}

func (s *Service) event(ctx context.Context, at time.Time, by string, d audit.Details) audit.Event {
	return audit.New(ctx, at, audit.By(by), d)
}

func fingerprints(i idpmetadata.IdP) []string {
	certificates, err := idpmetadata.Certificates(i)
	if err != nil {
		return nil // facts that were checked have none such
	}
	all := make([]string, 0, len(certificates))
	for _, c := range certificates {
		all = append(all, idpmetadata.Fingerprint(c))
	}
	return all
}
