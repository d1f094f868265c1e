// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"time"
)

// Document is a View as commands and routes answer it.
type Document struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Button    string    `json:"button,omitempty"`
	Protocol  Protocol  `json:"protocol"`
	Preset    string    `json:"preset"`
	State     State     `json:"state"`
	Listed    bool      `json:"listed"`
	Default   bool      `json:"default"`
	Position  int       `json:"position"`
	Intents   []Intent  `json:"intents"`
	ManagedBy string    `json:"managed_by"`
	Issuers   []string  `json:"issuers"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// Head is the newest content, Serving the one that logins use.
	Head    RevisionDocument  `json:"head"`
	Serving *RevisionDocument `json:"serving,omitempty"`
	// Warnings are sentences for people.
	Warnings []string `json:"warnings"`
}

// RevisionDocument is a revision as commands and routes answer it.
type RevisionDocument struct {
	Revision        string                    `json:"revision"`
	Seq             int                       `json:"seq"`
	Config          Config                    `json:"config"`
	SAML            *SAMLDocument             `json:"saml,omitempty"`
	Secrets         map[string]SecretDocument `json:"secrets"`
	CreatedAt       time.Time                 `json:"created_at"`
	CreatedBy       string                    `json:"created_by"`
	TestedAt        *time.Time                `json:"tested_at,omitempty"`
	TestedBy        string                    `json:"tested_by,omitempty"`
	TestedReference string                    `json:"tested_reference,omitempty"`
	ForcedReason    string                    `json:"forced_reason,omitempty"`
}

// SecretDocument says of a secret that it is there, and which.
type SecretDocument struct {
	Set         bool   `json:"set"`
	Fingerprint string `json:"fingerprint,omitempty"` // its first 8 characters
}

// Document gives the answer of a view.
func (v View) Document() Document {
	d := Document{
		ID: v.ID, Name: v.Name, Button: v.Button, Protocol: v.Protocol, Preset: v.Preset, State: v.State, Listed: v.Listed, Default: v.Default,
		Position: v.Position, Intents: v.Intents, ManagedBy: v.ManagedBy, Issuers: listed(v.Issuers), CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt,
		Head: v.HeadRevision.Document(), Warnings: []string{},
	}
	if v.ServingRevision != nil {
		s := v.ServingRevision.Document()
		d.Serving = &s
	}
	for _, missing := range v.Incomplete {
		d.Warnings = append(d.Warnings, "The head is not complete: "+location(missing.Loc)+" is missing.")
	}
	if v.Untested && v.State == Enabled {
		d.Warnings = append(d.Warnings, "What serves was enabled by force, and no test has passed on it.")
	}
	if v.State == Enabled && v.Serving != v.Head {
		d.Warnings = append(d.Warnings, "The head does not serve: it has been edited since, and is enabled by itself.")
	}
	d.Warnings = append(d.Warnings, v.Warnings...)
	return d
}

// Document gives the answer of a revision as View has it.
func (r Revision) Document() RevisionDocument {
	client, key := r.Config.secrets()
	d := RevisionDocument{
		Revision: r.Hash, Seq: r.Seq, Config: r.Config.Shown(), Secrets: map[string]SecretDocument{}, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
		TestedAt: r.TestedAt, TestedBy: r.TestedBy, TestedReference: r.TestedReference, ForcedReason: r.ForcedReason,
	}
	if r.Config.SAML != nil {
		d.SAML = r.Config.SAML.document()
	}
	usesClient, usesKey := r.Config.uses()
	for name, s := range map[string]struct {
		used        bool
		fingerprint string
	}{"client_secret": {usesClient, client}, "private_key": {usesKey, key}} {
		if s.used {
			d.Secrets[name] = SecretDocument{Set: s.fingerprint != "", Fingerprint: s.fingerprint[:min(len(s.fingerprint), ShownFingerprint)]}
		}
	}
	for _, f := range d.Config.fingerprints() {
		*f = "" // it stands with the secrets
	}
	return d
}
