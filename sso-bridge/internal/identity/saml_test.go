// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

const entity = "http://www.okta.example/exk1"

func samlConfig(saml connection.SAMLConfig, edit ...func(*connection.Config)) connection.Config {
	return config(append([]func(*connection.Config){func(c *connection.Config) {
		c.Protocol, c.OIDC, c.SAML, c.Claims.EmailVerified = connection.SAML, nil, &saml, ""
	}}, edit...)...)
}

func samlClaims(edit ...func(*identity.Claims)) identity.Claims {
	return claims(append([]func(*identity.Claims){func(c *identity.Claims) {
		c.Issuer, c.Verified, c.VerifiedRaw = entity, identity.Unstated, ""
	}}, edit...)...)
}

func TestSAMLIssuer(t *testing.T) {
	typed := connection.SAMLConfig{IdP: &idpmetadata.IdP{EntityID: entity}}
	stated := connection.SAMLConfig{MetadataURL: "https://okta.example/m", IdPEntityID: entity}
	pinned := connection.SAMLConfig{MetadataURL: "https://okta.example/m"}
	for _, tc := range []struct {
		name   string
		saml   connection.SAMLConfig
		issuer string
		owners identity.Owners
		want   failure.Code
	}{
		{"SAML-39 typed", typed, entity, owners{}, ""},
		{"SAML-39 typed, of another connection", typed, "http://other.example", owners{"http://other.example": "other"}, failure.SAMLIssuer},
		{"SAML-39 typed, also when the other is one of this connection's", typed, "http://other.example", owners{"http://other.example": corp}, failure.SAMLIssuer},
		{"SAML-39 typed, final slash", typed, entity + "/", owners{}, failure.SAMLIssuer},
		{"SAML-39 stated beside the metadata's address", stated, entity, owners{}, ""},
		{"SAML-39 stated, other case", stated, "http://www.Okta.example/exk1", owners{}, failure.SAMLIssuer},
		{"SAML-39 pinned by the first reading", pinned, entity, owners{entity: corp}, ""},
		{"SAML-39 pinned, of another connection", pinned, entity, owners{entity: "other"}, failure.SAMLIssuer},
		{"SAML-39 pinned, of nobody", pinned, entity, owners{}, failure.SAMLIssuer},
		{"SAML-39 pinned, absent", pinned, "", owners{}, failure.SAMLIssuer},
		{"SAML-39 SSO-77 pinned, one of core's", pinned, "dify:account", owners{"dify:account": corp}, failure.SAMLIssuer},
		{"SAML-39 SSO-77 pinned, one of a connection without issuer", pinned, "oauth2:" + corp, owners{"oauth2:" + corp: corp}, failure.SAMLIssuer},
		{"SAML-39 SSO-94 pinned, and nobody can be asked", pinned, entity, brokenOwners{}, failure.StoreUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, code := judge(t, samlClaims(func(c *identity.Claims) { c.Issuer = tc.issuer }), samlConfig(tc.saml), tc.owners)
			if code != tc.want {
				t.Fatalf("code %q, want %q", code, tc.want)
			}
			if code == "" && id.Issuer != entity {
				t.Errorf("%+v", id)
			}
		})
	}
}

func TestSAMLEmail(t *testing.T) {
	saml := connection.SAMLConfig{IdP: &idpmetadata.IdP{EntityID: entity}}
	for _, tc := range []struct {
		name     string
		emails   []string
		verified identity.Stated
		want     failure.Code
		stated   bool
	}{
		{"SAML-50 SSO-71 nothing says verified, an owned domain vouches", []string{"ada@corp.example"}, identity.Unstated, "", false},
		{"SAML-50 SSO-71 nothing says verified, a foreign domain", []string{"ada@nobody.example"}, identity.Unstated, failure.EmailNotVerified, false},
		{"SAML-50 SSO-71 nothing says verified, a sub-domain of an owned one", []string{"ada@eng.corp.example"}, identity.Unstated, failure.EmailNotVerified, false},
		{"SAML-50 SSO-71 another connection's domain", []string{"ada@other.example"}, identity.StatedTrue, failure.EmailDomainOfOther, false},
		{"SAML-50 SSO-71 an attribute says verified", []string{"ada@nobody.example"}, identity.StatedTrue, "", true},
		{"SAML-50 SSO-71 an attribute says false", []string{"ada@corp.example"}, identity.StatedFalse, failure.EmailNotVerified, false},
		{"SAML-50 SSO-72 look-alikes of an owned domain", []string{"ada@corp.exаmple"}, identity.Unstated, failure.EmailMalformed, false},
		{"SAML-51 SSO-72 several addresses", []string{"ada@corp.example", "eve@corp.example"}, identity.Unstated, failure.EmailAmbiguous, false},
		{"SAML-50 SSO-72 none", nil, identity.Unstated, failure.EmailMissing, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, code := judge(t, samlClaims(func(c *identity.Claims) { c.Emails, c.Verified = tc.emails, tc.verified }), samlConfig(saml), domains)
			if code != tc.want || code == "" && (id.EmailVerified != tc.stated || id.Subject != "00u1") {
				t.Errorf("code %q, %+v", code, id)
			}
		})
	}
	t.Run("SAML-50 an address as the subject is taken as it came, and is no e-mail", func(t *testing.T) {
		cfg := samlConfig(saml, func(c *connection.Config) { c.Claims.Subject = connection.SubjectNameID })
		id, code := judge(t, samlClaims(func(c *identity.Claims) { c.Subject = "Eve@Nobody.example" }), cfg, domains)
		if code != "" || id.Subject != "Eve@Nobody.example" || id.Email != "ada@corp.example" {
			t.Errorf("code %q, %+v", code, id)
		}
	})
	t.Run("SSO-78 overage of a SAML group attribute", func(t *testing.T) {
		cfg := samlConfig(saml, func(c *connection.Config) { c.Allow.Groups = []string{"eng"} })
		if _, code := judge(t, samlClaims(func(c *identity.Claims) { c.Overage = true }), cfg, domains); code != failure.GroupsOverage {
			t.Errorf("code %q", code)
		}
	})
}
