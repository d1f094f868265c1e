// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// Connection is a connection as administrators see it, with what to copy where.
type Connection struct {
	connection.Document
	// RedirectURI is what the provider must know of us. ToThem and ToUs name the fields of
	// its console.
	RedirectURI string   `json:"redirect_uri"`
	ToThem      []Copied `json:"to_provider"`
	ToUs        []Copied `json:"from_provider"`
	Notes       []string `json:"notes"`
	// SAML is there with that protocol alone.
	SAML *SAML `json:"saml,omitempty"`
}

// Copied is one field of a provider's console, with what stands in it or the member of
// the connection that it goes to.
type Copied struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

// Connections is a list by position, then name.
type Connections struct {
	Data []Connection `json:"data"` // never null
}

// Revisions is a list, the newest first.
type Revisions struct {
	Data []connection.RevisionDocument `json:"data"` // never null
}

// shown makes an answer of what an act has given.
func (s session) shown(ctx context.Context) func(v connection.View, err error) (Connection, error) {
	return func(v connection.View, err error) (Connection, error) {
		if err != nil {
			return Connection{}, err
		}
		return s.connection(ctx, v)
	}
}

func (s session) connection(ctx context.Context, v connection.View) (Connection, error) {
	c := Connection{
		Document: v.Document(), ToThem: []Copied{}, ToUs: []Copied{}, Notes: []string{},
		RedirectURI: login.CallbackURL(s.Public, connection.Serving{Connection: v.Connection, Revision: v.HeadRevision}),
	}
	ours := map[string]string{connection.RedirectURI: c.RedirectURI}
	switch v.Protocol {
	case connection.OIDC:
		provider, err := s.known(ctx, source(v, false))
		if err != nil {
			return Connection{}, err
		}
		c.Warnings = append(c.Warnings, s.ofProvider(provider, "")...)
	case connection.SAML:
		if err := s.addSAML(ctx, v, &c); err != nil {
			return Connection{}, err
		}
		ours[connection.EntityID], ours[connection.MetadataAddress] = c.SAML.EntityID, c.SAML.MetadataURL
	}
	preset, ok := connection.PresetNamed(v.Preset)
	if !ok {
		return c, nil
	}
	for _, field := range preset.ToThem {
		value, known := ours[field.Value]
		if !known {
			value = field.Value
		}
		c.ToThem = append(c.ToThem, Copied{field.Field, value})
	}
	for _, field := range preset.ToUs {
		c.ToUs = append(c.ToUs, Copied{field.Field, field.Value})
	}
	c.Notes = append(c.Notes, preset.Notes...)
	return c, nil
}
