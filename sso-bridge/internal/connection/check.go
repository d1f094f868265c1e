// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// The limits of a connection.
const (
	MaxName     = 64   // characters, also of a button
	MaxIssuer   = 255  // bytes
	MaxDomains  = 500  // of one connection
	MaxPosition = 9999 // and not below 0
	maxActor    = 255
	maxReason   = 255
)

var (
	idForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,35}$`)
	domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// IsID reports whether s has the form of a connection's id.
func IsID(s string) bool { return idForm.MatchString(s) }

// Issuers gives every issuer of a connection's identities: one, or with several tenants
// one for each. There is none for a SAML provider whose metadata alone names it: the first
// reading gives that issuer to the connection.
func (c Config) Issuers(connectionID string) []string {
	issuer := c.Issuer(connectionID)
	if issuer == "" && c.SAML != nil {
		return nil
	}
	if c.OIDC == nil || !c.OIDC.Entra || !strings.Contains(issuer, TenantPlaceholder) {
		return []string{issuer}
	}
	all := make([]string, 0, len(c.Allow.Tenants))
	for _, tenant := range c.Allow.Tenants {
		if one := strings.ReplaceAll(issuer, TenantPlaceholder, tenant); !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// problems collects refused members.
type problems []fault.Detail

func (p *problems) add(msg string, loc ...any) {
	*p = append(*p, fault.Detail{Type: "value_error", Loc: loc, Msg: msg})
}

func (p *problems) when(wrong bool, msg string, loc ...any) {
	if wrong {
		p.add(msg, loc...)
	}
}

func (p problems) fault(sentinel *fault.Error) error {
	if len(p) == 0 {
		return nil
	}
	return sentinel.Detailed(p...)
}

// firstOf makes one refusal of several: the details of all that are ErrInvalid, else the
// first that is not.
func firstOf(refusals ...error) error {
	var all problems
	for _, err := range refusals {
		switch {
		case errors.Is(err, ErrInvalid):
			all = append(all, fault.Of(err).Details()...)
		case err != nil:
			return err
		}
	}
	return all.fault(ErrInvalid)
}

func oneOf(s string, allowed ...string) bool { return slices.Contains(allowed, s) }

// check brings the labels of a connection to their stored form and judges the rest.
func (c *Content) check() error {
	var p problems
	p.when(!IsID(c.ID), "2 to 36 of a-z, 0-9 and -, not - first", "id")
	var ok bool
	if c.Name, ok = canon.Text(c.Name, MaxName); !ok {
		p.add("1 to 64 visible characters", "name")
	}
	if c.Button != "" {
		if c.Button, ok = canon.Text(c.Button, MaxName); !ok {
			p.add("at most 64 visible characters", "button")
		}
	}
	p.when(c.Position < 0 || c.Position > MaxPosition, "0 to 9999", "position")
	if len(c.Intents) == 0 {
		p.add("at least one of device_flow and account_login", "intents")
	}
	for i, intent := range c.Intents {
		p.when(intent != DeviceFlow && intent != AccountLogin || slices.Contains(c.Intents[:i], intent), "device_flow or account_login, each once", "intents", i)
	}
	c.Config.check(c.ID, &p)
	return p.fault(ErrInvalid)
}

func (c Config) check(id string, p *problems) {
	p.when(len(c.Preset) == 0 || len(c.Preset) > 64, "the name of a preset", "preset")
	p.when(!oneOf(c.Callback, CallbackOwn, CallbackShared), "own or shared", "callback")
	p.when(c.Claims.Subject == "", "the name of the claim that identifies a person", "claims", "subject")
	p.when(!oneOf(c.Guests, "", GuestsRefuse, GuestsAllow), "refuse or allow", "guests")
	p.when(len(c.Domains) > MaxDomains, "at most 500", "domains")
	for i, d := range c.Domains {
		p.when(len(d) > 253 || !domainForm.MatchString(d) || slices.Contains(c.Domains[:i], d), "a domain in lower case, each once", "domains", i)
	}
	switch {
	case c.Protocol == OIDC && c.OIDC != nil && c.OAuth2 == nil && c.SAML == nil:
		c.OIDC.check(p)
	case c.Protocol == SAML && c.SAML != nil && c.OIDC == nil && c.OAuth2 == nil:
		c.SAML.check(c.Claims.Subject, p)
	case c.Protocol == OAuth2 && c.OAuth2 != nil && c.OIDC == nil && c.SAML == nil:
		c.OAuth2.check(p)
		p.when(c.ForceAuthn, "not with OAuth 2.0, which has no way to ask for a fresh sign-in", "force_authn")
	default:
		p.add("oidc, oauth2 or saml, with the settings of that protocol alone", "protocol")
		return
	}
	c.checkIssuers(id, p)
}

// checkIssuers keeps the name spaces of issuers apart: what begins with dify: is core's
// own, what begins with oauth2: a connection's that has no issuer of its own. Entity ids
// of SAML are judged where they stand.
func (c Config) checkIssuers(id string, p *problems) {
	if c.SAML != nil {
		return
	}
	issuers := c.Issuers(id)
	p.when(len(issuers) == 0, "an issuer with {tenantid} needs the allowed tenants", "allow", "tenants")
	for _, issuer := range issuers {
		if c.OIDC == nil {
			continue
		}
		p.when(!isIssuer(issuer) || strings.Contains(issuer, TenantPlaceholder), "1 to 255 printable ASCII characters without a space", "oidc", "issuer")
		p.when(isIssuer(issuer) && !ValidIssuer(issuer, OIDC), "not beginning with dify: or oauth2:", "oidc", "issuer")
	}
}

// issuerPath is where a configuration names its issuer.
func (c Config) issuerPath() []any {
	switch {
	case c.SAML != nil && c.SAML.IdP != nil:
		return []any{"saml", "idp", "entity_id"}
	case c.SAML != nil:
		return []any{"saml", "idp_entity_id"}
	}
	return []any{"oidc", "issuer"}
}

func isIssuer(s string) bool {
	if len(s) == 0 || len(s) > MaxIssuer {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func (o OIDCConfig) check(p *problems) {
	p.when(!isAddress(o.Issuer), "an https address", "oidc", "issuer")
	p.when(!oneOf(o.Auth, AuthBasic, AuthPost, AuthKey), "client_secret_basic, client_secret_post or private_key_jwt", "oidc", "auth")
	p.when(len(o.ClientID) > 255, "at most 255 characters", "oidc", "client_id")
	p.when(!oneOf(o.KeyAlgorithm, "", "RS256", "PS256", "ES256"), "RS256, PS256 or ES256", "oidc", "key_algorithm")
	p.when(!oneOf(o.AssertionAudience, "", "token_endpoint", "issuer"), "token_endpoint or issuer", "oidc", "assertion_audience")
	p.when(!oneOf(o.ResponseMode, "", "query", "form_post"), "query or form_post", "oidc", "response_mode")
	p.when(!slices.Contains(o.Scopes, "openid"), "with openid among them", "oidc", "scopes")
	p.when(len(o.Algorithms) == 0, "at least one", "oidc", "algorithms")
	if e := o.Endpoints; e != nil {
		p.when(!isAddress(e.Authorization), "an https address", "oidc", "endpoints", "authorization")
		p.when(!isAddress(e.Token), "an https address", "oidc", "endpoints", "token")
		p.when(!isAddress(e.JWKS), "an https address", "oidc", "endpoints", "jwks")
		p.when(e.Userinfo != "" && !isAddress(e.Userinfo), "an https address", "oidc", "endpoints", "userinfo")
	}
}

func (o OAuth2Config) check(p *problems) {
	p.when(!oneOf(o.Auth, AuthBasic, AuthPost), "client_secret_basic or client_secret_post", "oauth2", "auth")
	p.when(len(o.ClientID) > 255, "at most 255 characters", "oauth2", "client_id")
	p.when(!oneOf(o.Kind, KindGitHub, KindGitLab, KindGeneric), "github, gitlab or generic", "oauth2", "kind")
	p.when(!oneOf(o.PKCE, PKCES256, PKCEOff), "S256 or off", "oauth2", "pkce")
	p.when(o.BaseURL != "" && !isAddress(o.BaseURL), "an https address", "oauth2", "base_url")
	p.when(!isAddress(o.AuthorizationURL), "an https address", "oauth2", "authorization_url")
	p.when(!isAddress(o.TokenURL), "an https address", "oauth2", "token_url")
	p.when(!isAddress(o.UserinfoURL), "an https address", "oauth2", "userinfo_url")
}

// isAddress takes https, and http on this machine, for development.
func isAddress(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && local
}

// complete returns ErrIncomplete for what can be saved and can sign nobody in.
func (c Config) complete() error {
	var p problems
	const missing = "missing"
	switch {
	case c.OIDC != nil && c.OIDC.Auth == AuthKey:
		p.when(c.OIDC.PrivateKey == "", missing, "oidc", "private_key")
		p.when(c.OIDC.KeyAlgorithm == "", missing, "oidc", "key_algorithm")
	case c.OIDC != nil:
		p.when(c.OIDC.ClientSecret == "", missing, "oidc", "client_secret")
	case c.OAuth2 != nil:
		p.when(c.OAuth2.ClientSecret == "", missing, "oauth2", "client_secret")
	}
	if c.OIDC != nil {
		p.when(c.OIDC.ClientID == "", missing, "oidc", "client_id")
	}
	if c.OAuth2 != nil {
		p.when(c.OAuth2.ClientID == "", missing, "oauth2", "client_id")
	}
	if c.SAML != nil {
		p.when(c.SAML.MetadataURL == "" && c.SAML.IdP == nil, missing, "saml", "metadata_url")
	}
	return p.fault(ErrIncomplete)
}

// check judges who acts and why.
func (a Act) check() error {
	var p problems
	_, ok := canon.Text(a.Actor, maxActor)
	p.when(!ok, "1 to 255 visible characters", "actor")
	if a.Reason != "" {
		_, ok := canon.Text(a.Reason, maxReason)
		p.when(!ok, "at most 255 visible characters", "reason")
	}
	p.when(a.Force && strings.TrimSpace(a.Reason) == "", "force needs a reason", "reason")
	return p.fault(ErrInvalid)
}
