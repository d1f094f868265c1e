// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"regexp"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/canon"
)

// What a declaration must hold beside what the service demands of every connection.
const (
	maxRule    = 1000 // entries of one list
	maxEntry   = 255  // bytes
	maxScopes  = 30
	minRSABits = 2048
)

var (
	scopeForm        = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,128}$`) // RFC 6749 section 3.3
	organizationForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,37}[A-Za-z0-9])?$`)
	// What a person, or somebody after them, can be called is no permanent id.
	changing = []string{"email", "mail", "emailaddress", "email_address", "login", "user", "username", "user_name", "preferred_username", "upn", "name", "nickname", "displayname", "display_name",
		"userprincipalname", "samaccountname", "edupersonprincipalname"}
)

// allowedAlgorithms of ID tokens: none is symmetric, none is none.
var allowedAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func (r *resolver) rules(c Config) {
	r.when(c.RestrictToDomains && len(c.Domains) == 0, "needs domains: nobody could sign in", "restrict_to_domains")
	r.when(c.Guests != "" && (c.OIDC == nil || !c.OIDC.Entra), "is for Entra ID alone", "guests")
	r.when(len(c.Allow.Tenants) > 0 && (c.OIDC == nil || !c.OIDC.Entra), "is for Entra ID alone", "allow", "tenants")
	r.when(len(c.Allow.Organizations) > 0 && (c.OAuth2 == nil || c.OAuth2.Kind != KindGitHub), "is for GitHub alone", "allow", "organizations")
	r.when(len(c.Allow.Groups) > 0 && c.Claims.Groups == "", "needs claims.groups, the claim that has them", "allow", "groups")
	r.list(c.Allow.Subjects, "printable ASCII", plainText, "allow", "subjects")
	r.list(c.Deny.Subjects, "printable ASCII", plainText, "deny", "subjects")
	r.list(c.Allow.Groups, "1 to 255 bytes", func(s string) bool { return s != "" }, "allow", "groups")
	r.list(c.Allow.Domains, "a domain in lower case", domainForm.MatchString, "allow", "domains")
	r.list(c.Allow.Organizations, "the name of an organization", organizationForm.MatchString, "allow", "organizations")
	r.list(c.Allow.Tenants, "a tenant's id: a UUID in lower case", canon.IsID, "allow", "tenants")
	n := c.Claims
	for _, claim := range [][2]string{
		{"subject", n.Subject}, {"email", n.Email}, {"email_verified", n.EmailVerified}, {"name", n.Name},
		{"given_name", n.GivenName}, {"family_name", n.FamilyName}, {"groups", n.Groups},
	} {
		r.when(claim[1] != "" && (!plainText(claim[1]) || len(claim[1]) > maxEntry), "the name of a claim: printable ASCII", "claims", claim[0])
	}
}

func plainText(s string) bool {
	return s != "" && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// list judges each entry of a list of rules. A list that is there has entries: an empty
// one would read as "nobody" and be "everybody".
func (r *resolver) list(list []string, form string, ok func(string) bool, loc ...any) {
	r.when(list != nil && len(list) == 0, "is empty; leave it out", loc...)
	r.when(len(list) > maxRule, "at most 1000", loc...)
	for i, entry := range list[:min(len(list), maxRule)] {
		r.when(len(entry) > maxEntry || !ok(entry) || slices.Contains(list[:i], entry), form+", each once", append(slices.Clip(loc), i)...)
	}
}

func (r *resolver) scopes(scopes []string, block string) {
	r.when(len(scopes) > maxScopes, "at most 30", block, "scopes")
	for i, scope := range scopes {
		r.when(!scopeForm.MatchString(scope), "a scope (RFC 6749 section 3.3)", block, "scopes", i)
	}
}

func (r *resolver) oidcRules(c *Config) {
	o := c.OIDC
	r.scopes(o.Scopes, "oidc")
	for i, a := range o.Algorithms {
		r.when(!slices.Contains(allowedAlgorithms, a), "one of "+strings.Join(allowedAlgorithms, ", "), "oidc", "algorithms", i)
	}
	r.when(strings.ContainsAny(o.Issuer, "?#"), "without query and fragment", "oidc", "issuer")
	r.when(!oneOf(o.Prompt, "", "login", "select_account", "consent"), "login, select_account or consent", "oidc", "prompt")
	r.when(o.ACRRequired && len(o.ACRValues) == 0, "needs acr_values", "oidc", "acr_required")
	for i, acr := range o.ACRValues {
		r.when(!plainText(acr) || strings.Contains(acr, " ") || len(acr) > maxEntry, "an acr without a space", "oidc", "acr_values", i)
	}
	r.when(o.Hosted != "" && len(c.Allow.Domains) == 0, "is missing: the domains of the organisation, for with this preset everybody else is refused", "allow", "domains")
	tenant := strings.Contains(o.Issuer, TenantPlaceholder)
	r.when(tenant && !o.Entra, TenantPlaceholder+" is for Entra ID alone", "oidc", "issuer")
	for _, shared := range []string{"/common/", "/organizations/", "/consumers/"} {
		r.when(o.Entra && strings.Contains(o.Issuer+"/", shared), "names no tenant: give its id, or "+TenantPlaceholder+" with allow.tenants", "oidc", "issuer")
	}
}

func (r *resolver) oauth2Rules(c *Config, s shape) {
	o := c.OAuth2
	r.when(c.ForceAuthn, "not with OAuth 2.0, which cannot ask for a fresh sign-in", "force_authn")
	r.when(s.Claims.Subject != nil, "is oauth2.subject_path here", "claims", "subject")
	r.scopes(o.Scopes, "oauth2")
	has := func(any ...string) bool {
		return slices.ContainsFunc(any, func(scope string) bool { return slices.Contains(o.Scopes, scope) })
	}
	path := s.OAuth2.SubjectPath
	switch o.Kind {
	case KindGitHub:
		r.when(!has("user:email", "user"), "with user:email among them, for the address", "oauth2", "scopes")
		r.when(len(c.Allow.Organizations) > 0 && !has("read:org", "write:org", "admin:org"), "with read:org among them, for allow.organizations", "oauth2", "scopes")
	case KindGitLab:
		r.when(!has("read_user", "api", "read_api"), "with read_user among them", "oauth2", "scopes")
	default:
		r.when(path == nil || *path == "", "is missing: where the permanent id stands in the profile", "oauth2", "subject_path")
		if path != nil && *path != "" {
			last := (*path)[strings.LastIndex(*path, ".")+1:]
			r.when(!plainText(*path) || len(*path) > maxEntry, "names of the profile with dots between them", "oauth2", "subject_path")
			r.when(slices.Contains(changing, strings.ToLower(last)), "never a name or an address, which change hands: the permanent id", "oauth2", "subject_path")
		}
		return
	}
	r.when(path != nil && *path != "id", "id: this provider numbers people", "oauth2", "subject_path")
	const fixed = "is fixed by this preset"
	r.when(s.Claims.Email != nil, fixed, "claims", "email")
	r.when(s.Claims.EmailVerified != nil, fixed, "claims", "email_verified")
	r.when(s.Claims.Groups != nil, fixed, "claims", "groups")
}

// privateKey refuses a key that could not sign, while somebody looks.
func (r *resolver) privateKey(algorithm string) {
	text := r.secrets.PrivateKey.Reveal()
	if text == "" {
		return
	}
	wrong := func(msg string) { r.add(msg, "oidc", "private_key") }
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(strings.TrimSpace(string(rest))) > 0 {
		wrong("one private key in PEM")
		return
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		wrong("one private key in PEM, without a password")
		return
	}
	if err != nil {
		wrong("a private key of PKCS #8, PKCS #1 or SEC 1")
		return
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		r.when(algorithm == "ES256", "does not fit key_algorithm ES256", "oidc", "private_key")
		r.when(k.N.BitLen() < minRSABits, "RSA of at least 2048 bits", "oidc", "private_key")
	case *ecdsa.PrivateKey:
		r.when(algorithm != "ES256" || k.Curve != elliptic.P256(), "on P-256, with key_algorithm ES256", "oidc", "private_key")
	default:
		wrong("RSA, or ECDSA on P-256")
	}
}
