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
	maxIssuer    = 255
	ownIssuer    = "dify:"   // of accounts, which no provider may speak for
	oauth2Issuer = "oauth2:" // of connections without issuer
)

// ValidIssuer reports whether a text may be the issuer of identities: 1 to 255
// printable ASCII characters without space, never beginning like one of ours.
func ValidIssuer(issuer string, p Protocol) bool {
	if issuer == "" || len(issuer) > maxIssuer || strings.HasPrefix(issuer, ownIssuer) {
		return false
	}
	if strings.HasPrefix(issuer, oauth2Issuer) != (p == OAuth2) {
		return false
	}
	return !strings.ContainsFunc(issuer, func(r rune) bool { return r <= ' ' || r > '~' })
}
