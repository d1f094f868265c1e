// SPDX-License-Identifier: Apache-2.0

package connection

import "slices"

// Preset is what is known of a kind of provider: defaults for what a connection does not
// say, and how the fields are called in the provider's console. It is data; nothing asks
// for its name.
type Preset struct {
	Name  string
	Title string
	// Defaults are taken where a connection says nothing; its protocol decides which block
	// a connection has.
	Defaults Config
	// OnBase are the addresses of a provider that people also run themselves, with {base}
	// for theirs; nil for others.
	OnBase *BaseAddresses
	// ToThem is copied from us into the provider's console, ToUs from there into the
	// connection.
	ToThem []Copy
	ToUs   []Copy
	// Notes are what to know beforehand.
	Notes []string
}

// BaseAddresses are the three addresses below a base.
type BaseAddresses struct{ Authorization, Token, Userinfo string }

// Copy is one field to copy.
type Copy struct {
	// Field is its name in the provider's console.
	Field string
	// Where is where the field is found there, or what of it is meant; may be empty.
	Where string
	// Value is, for what goes to them, RedirectURI, EntityID, MetadataAddress or what is
	// chosen there; for what comes to us the member of the connection, such as
	// oidc.client_id.
	Value string
}

// What of ours goes to a provider. Any other value of a Copy to them is itself what is
// chosen there.
const (
	// RedirectURI is the one thing that a provider of OpenID Connect or OAuth 2.0 must know
	// of us; with SAML it is the address of the assertion consumer service.
	RedirectURI = "redirect_uri"
	// EntityID is our entity id (SAML).
	EntityID = "entity_id"
	// MetadataAddress is where our metadata is published (SAML).
	MetadataAddress = "metadata_address"
)

// Presets lists the presets in the order of their names.
func Presets() []Preset {
	list := presets()
	slices.SortFunc(list, func(a, b Preset) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}

// PresetNamed finds a preset.
func PresetNamed(name string) (Preset, bool) {
	list := presets()
	i := slices.IndexFunc(list, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return list[i], true
}
