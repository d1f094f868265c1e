// SPDX-License-Identifier: Apache-2.0

package oidcrp_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
)

const object = "aaaaaaaa-0000-4000-8000-000000000001"

// entra makes a party of a multi-tenant Entra ID: endpoints are configured, since the
// provider of the tests publishes under its own issuer.
func entra(t *testing.T, idp *idptest.Provider) *party {
	t.Helper()
	idp.Reset()
	idp.AnnounceIssuer(false)
	p := beside(t, idp)
	c := p.oidc()
	c.Entra, c.Issuer = true, idp.URL+"/{tenantid}/v2.0"
	c.Endpoints = &connection.OIDCEndpoints{Authorization: idp.URL + "/authorize", Token: idp.URL + "/token", JWKS: idp.URL + "/jwks"}
	p.config().Claims.Subject = "oid"
	p.config().Allow.Tenants = []string{idptest.Tenant}
	for name, value := range map[string]any{"iss": idp.URL + "/" + idptest.Tenant + "/v2.0", "tid": idptest.Tenant, "oid": object, "email_verified": nil} {
		idp.Claim(name, value)
	}
	return p
}

func TestEntra(t *testing.T) {
	idp := idptest.New(t)
	const foreign = "99999999-2222-4333-8444-555555555555"
	t.Run("SSO-74 a listed tenant", func(t *testing.T) {
		p := entra(t, idp)
		c := p.must(t)
		if c.Issuer != idp.URL+"/"+idptest.Tenant+"/v2.0" || c.Subject != object || c.Tenant != idptest.Tenant || c.Guest || c.Verified != identity.Unstated {
			t.Errorf("%+v", c)
		}
		p.idp.Claim("sub", "another-pairwise-value")
		if again := p.must(t); again.Subject != c.Subject || again.Issuer != c.Issuer {
			t.Errorf("sub changed with oid equal: %+v", again)
		}
	})
	for _, tc := range []struct {
		name   string
		claims map[string]any
		want   failure.Code
	}{
		{"SSO-74 OIDC-21 a foreign tenant with its own issuer", map[string]any{"tid": foreign, "iss": idp.URL + "/" + foreign + "/v2.0"}, failure.PolicyTenant},
		{"SSO-74 OIDC-10 a foreign tenant with a listed issuer", map[string]any{"tid": foreign}, failure.PolicyTenant},
		{"SSO-74 OIDC-10 a listed tenant with a foreign issuer", map[string]any{"iss": idp.URL + "/" + foreign + "/v2.0"}, failure.OIDCIssuer},
		{"SSO-74 OIDC-10 the template itself", map[string]any{"iss": idp.URL + "/{tenantid}/v2.0"}, failure.OIDCIssuer},
		{"SSO-74 OIDC-10 the template as tenant", map[string]any{"tid": "{tenantid}", "iss": idp.URL + "/{tenantid}/v2.0"}, failure.PolicyTenant},
		{"SSO-74 OIDC-10 no tenant", map[string]any{"tid": nil}, failure.PolicyTenant},
		{"SSO-74 OIDC-10 tenant in other case", map[string]any{"tid": strings.ToUpper("a" + idptest.Tenant)}, failure.PolicyTenant},
		{"SSO-74 no oid", map[string]any{"oid": nil}, failure.SubjectMissing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := entra(t, idp)
			for name, value := range tc.claims {
				idp.Claim(name, value)
			}
			p.refused(t, tc.want)
		})
	}
	t.Run("OIDC-10 a template without listed tenants takes nobody", func(t *testing.T) {
		p := entra(t, idp)
		p.config().Allow.Tenants = nil
		p.refused(t, failure.PolicyTenant)
	})
	t.Run("SSO-74 OIDC-10 one tenant's issuer, and the tenant of another", func(t *testing.T) {
		p := entra(t, idp)
		p.oidc().Issuer = idp.URL + "/" + idptest.Tenant + "/v2.0"
		p.must(t)
		idp.Claim("tid", foreign)
		p.refused(t, failure.PolicyTenant)
		p.config().Allow.Tenants = nil // the issuer alone decides then
		p.must(t)
	})
	t.Run("OIDC-10 the template is a text like any other without Entra ID's rules", func(t *testing.T) {
		p := entra(t, idp)
		p.oidc().Entra = false
		p.refused(t, failure.OIDCIssuer)
	})
	t.Run("OIDC-10 a key of one tenant signs for no other", func(t *testing.T) {
		p := entra(t, idp)
		issuer := idp.URL + "/{tenantid}/v2.0"
		idp.Keys(func(list []map[string]any) []map[string]any { list[0]["issuer"] = issuer; return list })
		p.must(t)
		issuer = idp.URL + "/" + foreign + "/v2.0"
		p.clock.add(16 * time.Minute)
		p.refused(t, failure.OIDCIssuer)
	})
	t.Run("SSO-67 iss of the callback is that of a listed tenant", func(t *testing.T) {
		p := entra(t, idp)
		sent := idp.URL + "/" + idptest.Tenant + "/v2.0"
		idp.Callback(func(v url.Values) { v.Set("iss", sent) })
		p.must(t)
		sent = idp.URL + "/" + foreign + "/v2.0"
		p.refused(t, failure.OIDCIssuer)
	})
	for _, tc := range []struct {
		name   string
		claims map[string]any
		want   bool
	}{
		{"SSO-74 OIDC-21 acct 1", map[string]any{"acct": 1}, true},
		{"SSO-74 OIDC-21 acct as a text", map[string]any{"acct": "1"}, true},
		{"SSO-74 acct 0", map[string]any{"acct": 0}, false},
		{"SSO-74 OIDC-21 idp of another tenant", map[string]any{"idp": "https://sts.windows.net/" + foreign + "/"}, true},
		{"SSO-74 OIDC-21 idp of a consumer account", map[string]any{"idp": "live.com"}, true},
		{"SSO-74 OIDC-21 idp is a list", map[string]any{"idp": []string{"a"}}, true},
		{"SSO-74 idp of the own tenant", map[string]any{"idp": "https://sts.windows.net/" + idptest.Tenant + "/"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := entra(t, idp)
			for name, value := range tc.claims {
				idp.Claim(name, value)
			}
			if c := p.must(t); c.Guest != tc.want {
				t.Errorf("guest %v", c.Guest)
			}
		})
	}
	t.Run("SSO-74 overage", func(t *testing.T) {
		p := entra(t, idp)
		idp.Claim("groups", nil)
		idp.Claim("_claim_names", map[string]string{"groups": "src1"})
		idp.Claim("_claim_sources", map[string]any{"src1": map[string]string{"endpoint": idp.Canary().URL}})
		if c := p.must(t); !c.Overage || c.GroupsPresent || idp.Canary().Count() != 0 {
			t.Errorf("%+v", c)
		}
	})
	t.Run("OIDC-20 xms_edov is the word, not email_verified", func(t *testing.T) {
		p := entra(t, idp)
		idp.Claim("email_verified", true)
		if c := p.must(t); c.Verified != identity.Unstated {
			t.Errorf("%v", c.Verified)
		}
		idp.Claim("xms_edov", true)
		if c := p.must(t); c.Verified != identity.StatedTrue {
			t.Errorf("%v", c.Verified)
		}
		idp.Claim("xms_edov", "0")
		if c := p.must(t); c.Verified != identity.StatedFalse {
			t.Errorf("%v", c.Verified)
		}
	})
	t.Run("discovery of a template is that of organizations", func(t *testing.T) {
		p := entra(t, idp)
		p.oidc().Endpoints = nil
		_, err := p.Address(t.Context(), p.request())
		if codeOf(err) != failure.OIDCDiscovery || failure.Of(err).Facts["status"] != "404" {
			t.Error(err)
		}
	})
}

func TestHostedDomain(t *testing.T) {
	p := newParty(t)
	p.oidc().Hosted = "hd"
	if c := p.must(t); c.Hosted != "" {
		t.Errorf("%q", c.Hosted)
	}
	p.idp.Claim("hd", "corp.example")
	if c := p.must(t); c.Hosted != "corp.example" {
		t.Errorf("%q", c.Hosted)
	}
	p.idp.Claim("hd", nil)
	p.idp.Thin("email")
	p.idp.Userinfo(func(m map[string]any) { m["hd"] = "corp.example" })
	if c := p.must(t); c.Hosted != "" {
		t.Errorf("userinfo named the organisation: %q", c.Hosted)
	}
}
