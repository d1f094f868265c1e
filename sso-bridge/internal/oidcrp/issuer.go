// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// What is Entra ID's own: an issuer for many tenants is a template, which the token's
// tenant fills.
const (
	tenantClaim   = "tid"
	entraVerified = "xms_edov" // the owner of the e-mail's domain verified it
)

func (x *exchange) template() bool {
	return x.oidc.Entra && strings.Contains(x.oidc.Issuer, connection.TenantPlaceholder)
}

// ours reports whether a callback's iss is the connection's, byte for byte. For a
// template it is that of any listed tenant; the ID token says of which.
func (x *exchange) ours(issuer string) bool {
	if !x.template() {
		return issuer == x.oidc.Issuer
	}
	return slices.ContainsFunc(x.config.Allow.Tenants, func(tenant string) bool { return issuer == x.issuerOf(tenant) })
}

func (x *exchange) issuerOf(tenant string) string {
	return strings.ReplaceAll(x.oidc.Issuer, connection.TenantPlaceholder, tenant)
}

// checkIssuer compares iss byte for byte. A template is filled with a listed tenant
// alone, for anybody can have a tenant.
func (x *exchange) checkIssuer(c claims, k key) error {
	got, _ := c.text("iss")
	want := x.oidc.Issuer
	if x.oidc.Entra {
		tenant, ok := c.text(tenantClaim)
		listed := slices.Contains(x.config.Allow.Tenants, tenant)
		if !ok || !listed && (x.template() || len(x.config.Allow.Tenants) > 0) {
			return failure.New(failure.PolicyTenant).With("rule", "allow.tenants")
		}
		want = x.issuerOf(tenant)
		// A key of the shared set may be for one tenant; it signs for no other.
		if k.issuer != "" && strings.ReplaceAll(k.issuer, connection.TenantPlaceholder, tenant) != want {
			return failure.New(failure.OIDCIssuer).With("where", "key").Showing(want, k.issuer)
		}
	}
	if got != want {
		return failure.New(failure.OIDCIssuer).With("where", "id_token").Showing(want, got)
	}
	x.trace.Issuer = got
	return nil
}

// guest reports a person of another tenant or provider: acct is 1 for one, and idp names
// where the person is at home.
func guest(c claims) bool {
	if c.has("acct") && strings.Trim(string(c["acct"]), `"`) != "0" {
		return true
	}
	if !c.has("idp") {
		return false
	}
	home, _ := c.text("idp")
	tenant, _ := c.text(tenantClaim)
	issuer, _ := c.text("iss")
	return home != issuer && home != "https://sts.windows.net/"+tenant+"/"
}
