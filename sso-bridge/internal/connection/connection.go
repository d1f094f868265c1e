// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Protocol is how a provider is spoken to.
type Protocol string

// The protocols.
const (
	OIDC   Protocol = "oidc"
	OAuth2 Protocol = "oauth2"
	SAML   Protocol = "saml"
)

// Intent is what a login is for.
type Intent string

// The intents. A connection is enabled for some of the first two; a test is possible
// always.
const (
	DeviceFlow   Intent = "device_flow"
	AccountLogin Intent = "account_login"
	Test         Intent = "connection_test"
)

// State is where a connection stands.
type State string

// The states. Deleted is none: it is DeletedAt.
const (
	Draft    State = "draft"
	Tested   State = "tested"
	Enabled  State = "enabled"
	Disabled State = "disabled"
)

// Who manages a connection.
const (
	ByAPI  = "api"
	ByFile = "file"
)

// Connection is what may change without a new revision: none of it decides who gets in.
type Connection struct {
	ID        string
	Name      string // a label, 1 to 64 characters
	Button    string // empty for "Sign in with <name>"
	Protocol  Protocol
	Preset    string
	State     State
	Listed    bool
	Default   bool
	Position  int
	Intents   []Intent
	ManagedBy string
	Head      string // hash of the newest revision
	Serving   string // hash of the enabled one; empty before the first
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt *time.Time
}

// For reports whether logins of an intent may use the connection now.
func (c Connection) For(intent Intent) bool {
	return c.State == Enabled && c.DeletedAt == nil && c.Serving != "" && slices.Contains(c.Intents, intent)
}

// Revision is one content of a connection, frozen. Its hash is the lower-case hex
// SHA-256 of the JSON of Config, in which each secret is replaced by its fingerprint.
type Revision struct {
	ConnectionID    string
	Hash            string
	Seq             int
	Config          Config
	Secrets         Secrets
	CreatedAt       time.Time
	CreatedBy       string
	TestedAt        *time.Time
	TestedBy        string
	TestedReference string
	ForcedReason    string // set when it was enabled without a test
}

// Secrets are a revision's, in clear; stores keep them sealed.
type Secrets struct {
	ClientSecret secret.Text
	PrivateKey   secret.Text // PEM, for private_key_jwt
}

// Serving is what one login works with: the connection and one revision of it.
type Serving struct {
	Connection
	Revision
}

// Config is everything that decides who gets in. The order of its fields is fixed, for
// the hash is of its JSON; a field that a later version adds is omitted while empty.
type Config struct {
	Protocol Protocol      `json:"protocol"`
	Preset   string        `json:"preset"`
	OIDC     *OIDCConfig   `json:"oidc,omitempty"`
	OAuth2   *OAuth2Config `json:"oauth2,omitempty"`
	SAML     *SAMLConfig   `json:"saml,omitempty"`
	// Callback is "own", the address that ends in the connection's id, or "shared".
	Callback string `json:"callback"`
	// ForceAuthn asks the provider for a fresh sign-in each time.
	ForceAuthn bool       `json:"force_authn,omitempty"`
	Claims     ClaimNames `json:"claims"`
	// Domains are owned by this connection alone: they route typed addresses and vouch
	// for asserted ones.
	Domains           []string `json:"domains,omitempty"`
	RestrictToDomains bool     `json:"restrict_to_domains,omitempty"`
	// EmailVerifiedStrings takes the text "true" for the boolean.
	EmailVerifiedStrings bool  `json:"email_verified_strings,omitempty"`
	Allow                Rules `json:"allow"`
	Deny                 Rules `json:"deny"`
	// Guests is "refuse" or "allow", for Entra ID.
	Guests string `json:"guests,omitempty"`
}

// The callback addresses.
const (
	CallbackOwn    = "own"
	CallbackShared = "shared"
)

// ClaimNames are where the labels of an identity stand. Subject is the claim of an ID
// token, the path into an OAuth 2.0 profile, or with SAML the Name of an attribute or
// SubjectNameID. An empty name is not asked for.
type ClaimNames struct {
	Subject       string `json:"subject"`
	Email         string `json:"email,omitempty"`
	EmailVerified string `json:"email_verified,omitempty"`
	Name          string `json:"name,omitempty"`
	GivenName     string `json:"given_name,omitempty"`
	FamilyName    string `json:"family_name,omitempty"`
	Groups        string `json:"groups,omitempty"`
}

// Rules admit or refuse people. Each list that is present must match.
type Rules struct {
	Subjects      []string `json:"subjects,omitempty"`
	Domains       []string `json:"domains,omitempty"`
	Groups        []string `json:"groups,omitempty"`
	Organizations []string `json:"organizations,omitempty"`
	Tenants       []string `json:"tenants,omitempty"`
}

// OIDCConfig is an OpenID provider.
type OIDCConfig struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	// Auth is client_secret_basic, client_secret_post or private_key_jwt.
	Auth string `json:"auth"`
	// ClientSecret and PrivateKey are fingerprints of the secrets, in clear nowhere.
	ClientSecret string `json:"client_secret,omitempty"`
	PrivateKey   string `json:"private_key,omitempty"`
	// KeyID and KeyAlgorithm (RS256, PS256, ES256) go with PrivateKey;
	// AssertionAudience is "token_endpoint" or "issuer".
	KeyID             string   `json:"key_id,omitempty"`
	KeyAlgorithm      string   `json:"key_algorithm,omitempty"`
	AssertionAudience string   `json:"assertion_audience,omitempty"`
	Scopes            []string `json:"scopes"`
	Algorithms        []string `json:"algorithms"`              // of ID tokens
	ResponseMode      string   `json:"response_mode,omitempty"` // query or form_post
	Prompt            string   `json:"prompt,omitempty"`
	ACRValues         []string `json:"acr_values,omitempty"`
	ACRRequired       bool     `json:"acr_required,omitempty"`
	// Entra turns on the rules of a multi-tenant Entra ID: {tenantid} in the issuer is
	// filled with tid, which must be an allowed tenant; xms_edov; guests; hasgroups.
	Entra bool `json:"entra,omitempty"`
	// Hosted is the claim that names the organisation (Google: hd); its value must be an
	// allowed domain.
	Hosted string `json:"hosted,omitempty"`
	// Endpoints are given in place of discovery.
	Endpoints *OIDCEndpoints `json:"endpoints,omitempty"`
}

// DiscoveryAddress is the issuer's well-known address (OpenID Connect Discovery section
// 4.1). The template of a multi-tenant Entra ID is published under "organizations".
func (c OIDCConfig) DiscoveryAddress() string {
	issuer := c.Issuer
	if c.Entra {
		issuer = strings.ReplaceAll(issuer, TenantPlaceholder, "organizations")
	}
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// Discovered is what a provider's discovery document says.
type Discovered struct {
	Issuer    string
	Endpoints OIDCEndpoints
	// At is when the document was last read and acceptable; zero for none that was.
	At time.Time
}

// OIDCEndpoints are a provider's addresses.
type OIDCEndpoints struct {
	Authorization string `json:"authorization"`
	Token         string `json:"token"`
	Userinfo      string `json:"userinfo,omitempty"`
	JWKS          string `json:"jwks"`
	// IssuerInCallback: the provider sends iss with the callback (RFC 9207).
	IssuerInCallback bool `json:"issuer_in_callback,omitempty"`
}

// Named gives the addresses by their names in a discovery document, always in the same
// order.
func (e OIDCEndpoints) Named() [][2]string {
	return [][2]string{
		{"authorization_endpoint", e.Authorization}, {"token_endpoint", e.Token}, {"jwks_uri", e.JWKS}, {"userinfo_endpoint", e.Userinfo},
	}
}

// OAuth2Config is an OAuth 2.0 provider with a profile.
type OAuth2Config struct {
	ClientID     string `json:"client_id"`
	Auth         string `json:"auth"`
	ClientSecret string `json:"client_secret,omitempty"` // a fingerprint
	// Kind is github, gitlab or generic: the profile's form.
	Kind             string   `json:"kind"`
	BaseURL          string   `json:"base_url,omitempty"` // of github and gitlab
	AuthorizationURL string   `json:"authorization_url"`
	TokenURL         string   `json:"token_url"`
	UserinfoURL      string   `json:"userinfo_url"`
	Scopes           []string `json:"scopes"`
	// PKCE is S256, or off for a provider that refuses unknown parameters.
	PKCE string `json:"pkce"`
}

// Issuer gives the issuer of a connection's identities; with Entra and several tenants
// it is a template. It is empty for a SAML provider whose entity id is in its metadata
// alone: what was read first is pinned, and the connection owns that issuer then.
func (c Config) Issuer(connectionID string) string {
	switch {
	case c.OIDC != nil:
		return c.OIDC.Issuer
	case c.SAML != nil && c.SAML.IdP != nil:
		return c.SAML.IdP.EntityID
	case c.SAML != nil:
		return c.SAML.IdPEntityID
	}
	return "oauth2:" + connectionID
}
