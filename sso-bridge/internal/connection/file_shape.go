// SPDX-License-Identifier: Apache-2.0

package connection

// shape is a connection as people write it, in the file and in an administrator's order.
// A member that is absent, or null, leaves the preset's.
type shape struct {
	ID                   *string      `json:"id"`
	Name                 *string      `json:"name"`
	Button               *string      `json:"button"`
	Preset               *string      `json:"preset"`
	Listed               *bool        `json:"listed"`
	Default              *bool        `json:"default"`
	Position             *int         `json:"position"`
	Intents              []Intent     `json:"intents"`
	Callback             *string      `json:"callback"`
	ForceAuthn           *bool        `json:"force_authn"`
	Domains              []string     `json:"domains"`
	RestrictToDomains    *bool        `json:"restrict_to_domains"`
	EmailVerifiedStrings *bool        `json:"email_verified_strings"`
	Claims               claimShape   `json:"claims"`
	Allow                allowShape   `json:"allow"`
	Deny                 denyShape    `json:"deny"`
	Guests               *string      `json:"guests"`
	OIDC                 *oidcShape   `json:"oidc"`
	OAuth2               *oauth2Shape `json:"oauth2"`
	SAML                 *samlShape   `json:"saml"`

	// The file alone has these; an administrator's order says them beside the connection.
	Enable         *string `json:"enable"`
	Reason         *string `json:"reason"`
	TakeOverIssuer *string `json:"take_over_issuer"`
}

type claimShape struct {
	Subject       *string `json:"subject"`
	Email         *string `json:"email"`
	EmailVerified *string `json:"email_verified"`
	Name          *string `json:"name"`
	GivenName     *string `json:"given_name"`
	FamilyName    *string `json:"family_name"`
	Groups        *string `json:"groups"`
}

type allowShape struct {
	Subjects      []string `json:"subjects"`
	Domains       []string `json:"domains"`
	Groups        []string `json:"groups"`
	Organizations []string `json:"organizations"`
	Tenants       []string `json:"tenants"`
}

type denyShape struct {
	Subjects []string `json:"subjects"`
}

type oidcShape struct {
	Issuer            *string         `json:"issuer"`
	ClientID          *string         `json:"client_id"`
	Auth              *string         `json:"auth"`
	ClientSecret      *string         `json:"client_secret"`
	ClientSecretFile  *string         `json:"client_secret_file"`
	PrivateKey        *string         `json:"private_key"`
	PrivateKeyFile    *string         `json:"private_key_file"`
	KeyID             *string         `json:"key_id"`
	KeyAlgorithm      *string         `json:"key_algorithm"`
	AssertionAudience *string         `json:"assertion_audience"`
	Scopes            []string        `json:"scopes"`
	Algorithms        []string        `json:"algorithms"`
	ResponseMode      *string         `json:"response_mode"`
	Prompt            *string         `json:"prompt"`
	ACRValues         []string        `json:"acr_values"`
	ACRRequired       *bool           `json:"acr_required"`
	Entra             *bool           `json:"entra"`
	Hosted            *string         `json:"hosted"`
	Endpoints         *endpointsShape `json:"endpoints"`
}

type endpointsShape struct {
	Authorization    *string `json:"authorization"`
	Token            *string `json:"token"`
	Userinfo         *string `json:"userinfo"`
	JWKS             *string `json:"jwks"`
	IssuerInCallback *bool   `json:"issuer_in_callback"`
}

type oauth2Shape struct {
	ClientID         *string  `json:"client_id"`
	Auth             *string  `json:"auth"`
	ClientSecret     *string  `json:"client_secret"`
	ClientSecretFile *string  `json:"client_secret_file"`
	BaseURL          *string  `json:"base_url"`
	AuthorizationURL *string  `json:"authorization_url"`
	TokenURL         *string  `json:"token_url"`
	UserinfoURL      *string  `json:"userinfo_url"`
	Scopes           []string `json:"scopes"`
	PKCE             *string  `json:"pkce"`
	SubjectPath      *string  `json:"subject_path"`
}

// set takes a member that is there.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// setList takes a list that is there, also an empty one, in the preset's place.
func setList[T any](to *[]T, from []T) {
	if from != nil {
		*to = from
	}
}
