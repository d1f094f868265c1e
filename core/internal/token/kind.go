// SPDX-License-Identifier: Apache-2.0

package token

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// AccountIssuer is the issuer of subjects that sign in at core.
const AccountIssuer = "dify:account"

// Scope is a right that a kind of token carries.
type Scope string

// The scope catalogue. Full satisfies every other.
const (
	ScopeFull              Scope = "full"
	ScopeAppsRead          Scope = "apps:read"
	ScopeAppsReadPermitted Scope = "apps:read:permitted-external"
	ScopeAppsRun           Scope = "apps:run"
	ScopeWorkspaceRead     Scope = "workspace:read"
	ScopeWorkspaceWrite    Scope = "workspace:write"
)

// KnownScope reports whether text is a scope of the catalogue. One that is not may be a
// misspelt one, which a token with ScopeFull would satisfy.
func KnownScope(text string) bool {
	switch Scope(text) {
	case ScopeFull, ScopeAppsRead, ScopeAppsReadPermitted, ScopeAppsRun, ScopeWorkspaceRead, ScopeWorkspaceWrite:
		return true
	}
	return false
}

// SubjectType says what kind of person a token stands for.
type SubjectType string

// The kinds of person. The second is known in every edition, for a gateway may ask for
// it; which of them have tokens is the registry's matter.
const (
	// SubjectAccount is a person with an account at core.
	SubjectAccount SubjectType = "account"
	// SubjectExternal is a person whom an identity provider vouches for.
	SubjectExternal SubjectType = "external_sso"
)

// Kind is one kind of token. Scopes are a property of the kind and are stored
// nowhere.
type Kind struct {
	Prefix      string
	SubjectType SubjectType
	Scopes      []Scope
}

// Has reports whether a token of this kind may do what needs scope.
func (k Kind) Has(scope Scope) bool {
	for _, s := range k.Scopes {
		if s == ScopeFull || s == scope {
			return true
		}
	}
	return false
}

// ScopeText gives the scopes separated by blanks (RFC 6749 section 3.3).
func (k Kind) ScopeText() string {
	parts := make([]string, len(k.Scopes))
	for i, s := range k.Scopes {
		parts[i] = string(s)
	}
	return strings.Join(parts, " ")
}

// AccountKind is the kind that account holders get.
var AccountKind = Kind{Prefix: "dfoa_", SubjectType: SubjectAccount, Scopes: []Scope{ScopeFull}}

// ExternalKind is the kind that people of an identity provider get: they run the apps
// that were opened to them, and see no workspace.
var ExternalKind = Kind{Prefix: "dfoe_", SubjectType: SubjectExternal, Scopes: []Scope{ScopeAppsRun, ScopeAppsReadPermitted}}

// ErrInvalid is the one refusal of a bearer: malformed, unknown, revoked, expired,
// of a kind this edition lacks, or of an account that is not active. All read
// alike (RFC 6750 section 3.1).
var ErrInvalid = fault.New(fault.Unauthenticated, "invalid_token", "The access token is invalid. Sign in again.")

const secretLength = 43 // base64url of 32 bytes, unpadded

// KindRegistry knows the kinds of this installation by prefix. It is immutable.
type KindRegistry struct{ byPrefix map[string]Kind }

// NewKindRegistry refuses a prefix that is malformed or registered twice, and a
// kind without scopes.
func NewKindRegistry(kinds ...Kind) (*KindRegistry, error) {
	r := &KindRegistry{byPrefix: make(map[string]Kind, len(kinds))}
	for _, k := range kinds {
		if len(k.Prefix) < 2 || !strings.HasSuffix(k.Prefix, "_") || strings.Count(k.Prefix, "_") != 1 {
			return nil, fmt.Errorf("token: prefix %q does not end in its only underscore", k.Prefix)
		}
		if len(k.Scopes) == 0 || k.SubjectType == "" {
			return nil, fmt.Errorf("token: kind %q needs a subject type and scopes", k.Prefix)
		}
		if _, dup := r.byPrefix[k.Prefix]; dup {
			return nil, fmt.Errorf("token: prefix %q is registered twice", k.Prefix)
		}
		r.byPrefix[k.Prefix] = k
	}
	return r, nil
}

// Kind gives the kind of a prefix.
func (r *KindRegistry) Kind(prefix string) (Kind, bool) {
	k, ok := r.byPrefix[prefix]
	return k, ok
}

// Scopes lists what tokens of this installation may carry, each once, by the order of
// prefixes and of a kind's own list.
func (r *KindRegistry) Scopes() []Scope {
	var all []Scope
	for _, prefix := range slices.Sorted(maps.Keys(r.byPrefix)) {
		for _, s := range r.byPrefix[prefix].Scopes {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// Parse judges the shape of a presented token and gives its kind and look-up
// digest: the SHA-256 of the whole string, prefix included. It touches no store;
// everything that is not exactly a token of a registered kind is ErrInvalid.
func (r *KindRegistry) Parse(presented string) (Kind, secret.Digest, error) {
	i := strings.IndexByte(presented, '_') + 1
	k, ok := r.byPrefix[presented[:i]]
	if !ok {
		return Kind{}, secret.Digest{}, hinted(presented)
	}
	if body := presented[i:]; len(body) != secretLength || !isBase64URL(body) {
		return Kind{}, secret.Digest{}, ErrInvalid
	}
	return k, secret.DigestOf(presented), nil
}

// hinted names the kind of credential that was sent by mistake.
func hinted(presented string) error {
	switch {
	case strings.HasPrefix(presented, "app-"):
		return ErrInvalid.Hinted("This is an app key. Sign in with the device flow to get an access token.")
	case strings.HasPrefix(presented, "dfp_"):
		return ErrInvalid.Hinted("This is a personal key of another service. Sign in with the device flow to get an access token.")
	}
	return ErrInvalid
}

func isBase64URL(s string) bool {
	// Strict: the 43rd character of 32 bytes carries two unused bits, which a
	// lenient decoder ignores, so that four spellings would be one token.
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && !strings.ContainsAny(s, "\r\n")
}
