// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// resolver makes a connection of its shape and its preset, and collects what is wrong.
type resolver struct {
	problems
	// readFile reads what a *_file member names; nil refuses such members: who may write
	// an order could have this host's files read, and sent to a provider of theirs.
	readFile func(string) ([]byte, error)
	// parse is idpmetadata.Parse.
	parse   func(text []byte, want string, now time.Time) (idpmetadata.IdP, idpmetadata.Terms, error)
	inFiles bool
	secrets Secrets
}

// content gives the connection. What it gives is of use only while nothing is wrong.
func (r *resolver) content(s shape) Content {
	c := Content{Listed: true, Intents: []Intent{DeviceFlow, AccountLogin}}
	set(&c.ID, s.ID)
	set(&c.Name, s.Name)
	set(&c.Button, s.Button)
	set(&c.Listed, s.Listed)
	set(&c.Default, s.Default)
	set(&c.Position, s.Position)
	setList(&c.Intents, s.Intents)
	c.Config = r.config(s)
	c.Secrets = r.secrets
	if len(r.problems) == 0 || c.Config.Protocol != "" {
		r.merge(c.check())
	}
	return c
}

// merge takes over the details of a refusal, but one for a member that, or a part of
// which, has been refused.
func (r *resolver) merge(err error) {
	for _, d := range detailsOf(err) {
		if !slices.ContainsFunc(r.problems, func(had detail) bool { return strings.HasPrefix(pathOf(had.Loc), pathOf(d.Loc)) }) {
			r.problems = append(r.problems, d)
		}
	}
}

func (r *resolver) config(s shape) Config {
	var name string
	set(&name, s.Preset)
	preset, ok := PresetNamed(name)
	if !ok {
		r.add("one of "+strings.Join(presetNames(), ", "), "preset")
		return Config{}
	}
	c := preset.Defaults
	c.Preset = preset.Name
	set(&c.Callback, s.Callback)
	set(&c.ForceAuthn, s.ForceAuthn)
	set(&c.EmailVerifiedStrings, s.EmailVerifiedStrings)
	set(&c.Guests, s.Guests)
	c.Domains = s.Domains
	c.RestrictToDomains = len(s.Domains) > 0
	set(&c.RestrictToDomains, s.RestrictToDomains)
	c.Allow = Rules(s.Allow)
	c.Deny = Rules{Subjects: s.Deny.Subjects}
	for _, claim := range []struct{ to, from *string }{
		{&c.Claims.Subject, s.Claims.Subject}, {&c.Claims.Email, s.Claims.Email}, {&c.Claims.EmailVerified, s.Claims.EmailVerified},
		{&c.Claims.Name, s.Claims.Name}, {&c.Claims.GivenName, s.Claims.GivenName}, {&c.Claims.FamilyName, s.Claims.FamilyName}, {&c.Claims.Groups, s.Claims.Groups},
	} {
		set(claim.to, claim.from)
	}
	for _, block := range []struct {
		name  string
		of    Protocol
		there bool
	}{
		{"oidc", OIDC, s.OIDC != nil}, {"oauth2", OAuth2, s.OAuth2 != nil}, {"saml", SAML, s.SAML != nil},
	} {
		r.when(block.there && block.of != c.Protocol, "not with this preset, which is of "+titles[c.Protocol], block.name)
	}
	switch c.Protocol {
	case OIDC:
		r.oidc(&c, s.OIDC)
	case OAuth2:
		r.oauth2(&c, s, preset)
	case SAML:
		r.saml(&c, s)
	}
	r.rules(c)
	return c
}

// titles are the protocols as people call them.
var titles = map[Protocol]string{OIDC: "OpenID Connect", OAuth2: "OAuth 2.0", SAML: "SAML 2.0"}

func presetNames() []string {
	var names []string
	for _, p := range Presets() {
		names = append(names, p.Name)
	}
	return names
}

func (r *resolver) oidc(c *Config, s *oidcShape) {
	if s == nil {
		r.add("is missing: the provider's settings", "oidc")
		return
	}
	o := c.OIDC
	for _, text := range []struct{ to, from *string }{
		{&o.Issuer, s.Issuer}, {&o.ClientID, s.ClientID}, {&o.Auth, s.Auth}, {&o.KeyID, s.KeyID}, {&o.KeyAlgorithm, s.KeyAlgorithm},
		{&o.AssertionAudience, s.AssertionAudience}, {&o.ResponseMode, s.ResponseMode}, {&o.Prompt, s.Prompt}, {&o.Hosted, s.Hosted},
	} {
		set(text.to, text.from)
	}
	setList(&o.Scopes, s.Scopes)
	setList(&o.Algorithms, s.Algorithms)
	setList(&o.ACRValues, s.ACRValues)
	set(&o.ACRRequired, s.ACRRequired)
	set(&o.Entra, s.Entra)
	if e := s.Endpoints; e != nil {
		o.Endpoints = &OIDCEndpoints{}
		set(&o.Endpoints.Authorization, e.Authorization)
		set(&o.Endpoints.Token, e.Token)
		set(&o.Endpoints.Userinfo, e.Userinfo)
		set(&o.Endpoints.JWKS, e.JWKS)
		set(&o.Endpoints.IssuerInCallback, e.IssuerInCallback)
	}
	if o.Auth == AuthKey {
		r.secrets.PrivateKey = r.secret("oidc", "private_key", s.PrivateKey, s.PrivateKeyFile)
		r.when(s.ClientSecret != nil || s.ClientSecretFile != nil, "not with private_key_jwt", "oidc", "client_secret")
		if o.KeyAlgorithm == "" {
			o.KeyAlgorithm = "RS256"
		}
		if o.AssertionAudience == "" {
			o.AssertionAudience = "token_endpoint"
		}
		r.privateKey(o.KeyAlgorithm)
	} else {
		r.secrets.ClientSecret = r.secret("oidc", "client_secret", s.ClientSecret, s.ClientSecretFile)
		r.when(s.PrivateKey != nil || s.PrivateKeyFile != nil, "with auth: private_key_jwt alone", "oidc", "private_key")
	}
	r.oidcRules(c)
}

func (r *resolver) oauth2(c *Config, all shape, preset Preset) {
	s := all.OAuth2
	if s == nil {
		r.add("is missing: the provider's settings", "oauth2")
		return
	}
	o := c.OAuth2
	set(&o.BaseURL, s.BaseURL)
	if o.BaseURL != "" {
		if preset.OnBase == nil {
			r.add("not with this preset: give the three addresses", "oauth2", "base_url")
		} else {
			base := strings.TrimSuffix(o.BaseURL, "/")
			o.AuthorizationURL = strings.ReplaceAll(preset.OnBase.Authorization, "{base}", base)
			o.TokenURL = strings.ReplaceAll(preset.OnBase.Token, "{base}", base)
			o.UserinfoURL = strings.ReplaceAll(preset.OnBase.Userinfo, "{base}", base)
		}
	}
	for _, text := range []struct{ to, from *string }{
		{&o.ClientID, s.ClientID}, {&o.Auth, s.Auth}, {&o.AuthorizationURL, s.AuthorizationURL}, {&o.TokenURL, s.TokenURL}, {&o.UserinfoURL, s.UserinfoURL}, {&o.PKCE, s.PKCE},
	} {
		set(text.to, text.from)
	}
	if s.Scopes == nil && o.Kind == KindGitHub && len(c.Allow.Organizations) > 0 {
		o.Scopes = append(o.Scopes, "read:org")
	}
	setList(&o.Scopes, s.Scopes)
	r.secrets.ClientSecret = r.secret("oauth2", "client_secret", s.ClientSecret, s.ClientSecretFile)
	r.oauth2Rules(c, all)
	set(&c.Claims.Subject, s.SubjectPath)
}

const maxSecret = 16 << 10 // bytes, of a secret or a key

// secret takes a secret out of its member or its file.
func (r *resolver) secret(block, name string, inline, file *string) secret.Text {
	var text string
	switch {
	case inline != nil && file != nil:
		r.add("and "+name+"_file are both there; keep one", block, name)
	case file != nil && r.readFile == nil:
		r.add("is for the connections file alone; send "+name, block, name+"_file")
	case file != nil:
		content, err := r.readFile(*file)
		if err != nil {
			r.add("names a file that cannot be read", block, name+"_file")
			break
		}
		r.inFiles = true
		text = strings.TrimRight(string(content), "\r\n")
		r.when(text == "", "names an empty file", block, name+"_file")
	case inline != nil:
		text = *inline
		r.when(text == "", "is empty", block, name)
	}
	r.when(len(text) > maxSecret, "is longer than 16 KiB", block, name)
	return secret.New(text)
}
