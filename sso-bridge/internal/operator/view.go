// SPDX-License-Identifier: Apache-2.0

package operator

import (
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

func (s session) shown(v connection.View, err error) (Connection, error) {
	if err != nil {
		return Connection{}, err
	}
	return s.connection(v), nil
}

func (s session) connection(v connection.View) Connection {
	c := Connection{
		Document: v.Document(), ToThem: []Copied{}, ToUs: []Copied{}, Notes: []string{},
		RedirectURI: login.CallbackURL(s.Public, connection.Serving{Connection: v.Connection, Revision: v.HeadRevision}),
	}
	preset, ok := connection.PresetNamed(v.Preset)
	if !ok {
		return c
	}
	for _, field := range preset.ToThem {
		value := field.Value
		if value == connection.RedirectURI {
			value = c.RedirectURI
		}
		c.ToThem = append(c.ToThem, Copied{field.Field, value})
	}
	for _, field := range preset.ToUs {
		c.ToUs = append(c.ToUs, Copied{field.Field, field.Value})
	}
	c.Notes = append(c.Notes, preset.Notes...)
	return c
}
