// SPDX-License-Identifier: Apache-2.0

package connection

import "strings"

// TenantPlaceholder stands for the tenant in the issuer of a multi-tenant Entra ID, as
// its discovery document has it.
const TenantPlaceholder = "{tenantid}"

// What becomes of guests of an Entra tenant.
const (
	GuestsRefuse = "refuse"
	GuestsAllow  = "allow"
)

const (
	ownIssuer    = "dify:"   // of accounts, which no provider may speak for
	oauth2Issuer = "oauth2:" // of connections without issuer
)

// ValidIssuer reports whether a text may be the issuer of identities: 1 to 255
// printable ASCII characters without space, never beginning like one of ours, in
// whatever case.
func ValidIssuer(issuer string, p Protocol) bool {
	lower := strings.ToLower(issuer)
	return isIssuer(issuer) && !strings.HasPrefix(lower, ownIssuer) && strings.HasPrefix(lower, oauth2Issuer) == (p == OAuth2)
}

// The ways in which a client proves itself at a token endpoint.
const (
	AuthBasic = "client_secret_basic"
	AuthPost  = "client_secret_post"
	AuthKey   = "private_key_jwt"
)

// The forms of an OAuth 2.0 profile.
const (
	KindGeneric = "generic"
	KindGitHub  = "github"
	KindGitLab  = "gitlab"
)

// Whether PKCE is used with an OAuth 2.0 provider.
const (
	PKCES256 = "S256"
	PKCEOff  = "off"
)
