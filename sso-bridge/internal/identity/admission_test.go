// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

const (
	tenantA = "1f0c3d52-0000-4000-8000-00000000000a"
	tenantB = "1f0c3d52-0000-4000-8000-00000000000b"
)

func entra(edit ...func(*connection.Config)) connection.Config {
	return config(append([]func(*connection.Config){func(c *connection.Config) {
		c.OIDC.Issuer, c.OIDC.Entra = "https://login.example/{tenantid}/v2.0", true
		c.Claims.Subject, c.Claims.EmailVerified = "oid", "xms_edov"
		c.Allow.Tenants, c.Guests = []string{tenantA}, connection.GuestsRefuse
	}}, edit...)...)
}

func ofTenant(tenant string, edit ...func(*identity.Claims)) identity.Claims {
	return claims(append([]func(*identity.Claims){func(c *identity.Claims) {
		c.Issuer, c.Tenant = "https://login.example/"+tenant+"/v2.0", tenant
	}}, edit...)...)
}

func TestEntra(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    identity.Claims
		cfg  connection.Config
		want failure.Code
	}{
		{"a listed tenant", ofTenant(tenantA), entra(), ""},
		{"a foreign tenant", ofTenant(tenantB), entra(), failure.PolicyTenant},
		{"a template as issuer", claims(func(c *identity.Claims) { c.Issuer = "https://login.example/{tenantid}/v2.0" }), entra(), failure.OIDCIssuer},
		{"another tenant in the issuer than in tid", ofTenant(tenantB, func(c *identity.Claims) { c.Tenant = tenantA }), entra(), failure.OIDCIssuer},
		{"a template without a list lets nobody in", ofTenant(tenantA), entra(func(c *connection.Config) { c.Allow.Tenants = nil }), failure.PolicyTenant},
		{"a guest", ofTenant(tenantA, func(c *identity.Claims) { c.Guest = true }), entra(), failure.PolicyGuest},
		{"a guest where guests may", ofTenant(tenantA, func(c *identity.Claims) { c.Guest = true }), entra(func(c *connection.Config) { c.Guests = connection.GuestsAllow }), ""},
		{"a guest where nothing is said", ofTenant(tenantA, func(c *identity.Claims) { c.Guest = true }), entra(func(c *connection.Config) { c.Guests = "" }), failure.PolicyGuest},
		{"overage under a group rule", ofTenant(tenantA, func(c *identity.Claims) { c.Overage = true }), entra(func(c *connection.Config) { c.Allow.Groups = []string{"g"} }), failure.GroupsOverage},
		{"overage without a group rule", ofTenant(tenantA, func(c *identity.Claims) { c.Overage = true }), entra(), ""},
	} {
		t.Run("OIDC-21 SSO-74 "+tc.name, func(t *testing.T) {
			if _, code := judge(t, tc.c, tc.cfg, domains); code != tc.want {
				t.Errorf("code %q, want %q", code, tc.want)
			}
		})
	}
	t.Run("SSO-74 another sub with the same oid is the same identity", func(t *testing.T) {
		sub := func(s string) identity.Claims {
			return ofTenant(tenantA, func(c *identity.Claims) {
				c.Seen = []identity.Claim{{Name: "sub", Value: s, Source: "id_token"}, {Name: "oid", Value: "00u1", Source: "id_token"}}
			})
		}
		a, _ := judge(t, sub("one"), entra(), domains)
		b, _ := judge(t, sub("two"), entra(), domains)
		if a.Subject != b.Subject || a.Issuer != b.Issuer || a.Subject != "00u1" {
			t.Errorf("%v, %v", a, b)
		}
	})
}

func TestGroups(t *testing.T) {
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("g%d", i)
	}
	tooMany, _ := json.Marshal(many)
	most, _ := json.Marshal(many[:1000])
	long := strings.Repeat("x", 256)
	for _, tc := range []struct {
		name, raw string
		overage   bool
		allow     string
		want      failure.Code
	}{
		{"absent", ``, false, "eng", failure.GroupsMissing},
		{"null", `null`, false, "eng", failure.GroupsMissing},
		{"overage", ``, true, "eng", failure.GroupsOverage},
		{"overage beside a list", `["eng"]`, true, "eng", failure.GroupsOverage},
		{"a text is one group", `"eng"`, false, "eng", ""},
		{"a text that lists two is still one", `"eng,ops"`, false, "eng", failure.PolicyNotAllowed},
		{"a list", `["ops","eng"]`, false, "eng", ""},
		{"an empty list is no group", `[]`, false, "eng", failure.PolicyNotAllowed},
		{"another group", `["ops"]`, false, "eng", failure.PolicyNotAllowed},
		{"another case", `["Eng"]`, false, "eng", failure.PolicyNotAllowed},
		{"a nested list", `[["eng"]]`, false, "eng", failure.GroupsMissing},
		{"a mapping", `{"eng":true}`, false, "eng", failure.GroupsMissing},
		{"a number among them", `["eng",5]`, false, "eng", failure.GroupsMissing},
		{"1000 groups", string(most), false, "g999", ""},
		{"1001 groups", string(tooMany), false, "g1", failure.GroupsOverage},
		{"a group of 256 bytes matches nothing", `["` + long + `"]`, false, long, failure.PolicyNotAllowed},
	} {
		t.Run("OIDC-24 SSO-78 "+tc.name, func(t *testing.T) {
			c := claims(func(c *identity.Claims) {
				c.Groups, c.GroupsPresent = identity.ReadTexts(json.RawMessage(tc.raw))
				c.Overage = tc.overage
			})
			cfg := config(func(c *connection.Config) { c.Allow.Groups = []string{tc.allow} })
			if _, code := judge(t, c, cfg, domains); code != tc.want {
				t.Errorf("code %q, want %q", code, tc.want)
			}
			if _, code := judge(t, c, config(), domains); code != "" {
				t.Errorf("without a rule: %q", code)
			}
		})
	}
}

func TestAdmission(t *testing.T) {
	rules := func(edit func(*connection.Config)) connection.Config { return config(edit) }
	for _, tc := range []struct {
		name, rule string
		cfg        connection.Config
		c          identity.Claims
		want       failure.Code
	}{
		{"a subject that is denied", identity.CheckDenied, rules(func(c *connection.Config) { c.Deny.Subjects = []string{"00u1"} }), claims(), failure.PolicyNotAllowed},
		{"denied although allowed", identity.CheckDenied, rules(func(c *connection.Config) { c.Deny.Subjects, c.Allow.Subjects = []string{"00u1"}, []string{"00u1"} }), claims(), failure.PolicyNotAllowed},
		{"another subject is denied", identity.CheckDenied, rules(func(c *connection.Config) { c.Deny.Subjects = []string{"00u2"} }), claims(), ""},
		{"a listed subject", identity.CheckSubjects, rules(func(c *connection.Config) { c.Allow.Subjects = []string{"00u2", "00u1"} }), claims(), ""},
		{"a subject that is not listed", identity.CheckSubjects, rules(func(c *connection.Config) { c.Allow.Subjects = []string{"00U1"} }), claims(), failure.PolicyNotAllowed},
		{"a listed domain", identity.CheckDomains, rules(func(c *connection.Config) { c.Allow.Domains = []string{"corp.example"} }), claims(), ""},
		{"a domain that is not listed", identity.CheckDomains, rules(func(c *connection.Config) { c.Allow.Domains = []string{"eng.corp.example"} }), claims(), failure.PolicyNotAllowed},
		{"an organization", identity.CheckOrganizations, rules(func(c *connection.Config) { c.Allow.Organizations = []string{"corp"} }), claims(func(c *identity.Claims) { c.Organizations = []string{"corp"} }), ""},
		{"no organization", identity.CheckOrganizations, rules(func(c *connection.Config) { c.Allow.Organizations = []string{"corp"} }), claims(), failure.PolicyNotAllowed},
		{"a listed tenant of one issuer", identity.CheckTenants, rules(func(c *connection.Config) { c.Allow.Tenants = []string{tenantA} }), claims(func(c *identity.Claims) { c.Tenant = tenantA }), ""},
		{"no tenant", identity.CheckTenants, rules(func(c *connection.Config) { c.Allow.Tenants = []string{tenantA} }), claims(), failure.PolicyTenant},
		{"hd of the organisation", identity.CheckHosted, rules(func(c *connection.Config) { c.OIDC.Hosted, c.Allow.Domains = "hd", []string{"corp.example"} }), claims(func(c *identity.Claims) { c.Hosted = "corp.example" }), ""},
		{"hd of another organisation", identity.CheckHosted, rules(func(c *connection.Config) { c.OIDC.Hosted, c.Allow.Domains = "hd", []string{"corp.example"} }), claims(func(c *identity.Claims) { c.Hosted = "evil.example" }), failure.PolicyNotAllowed},
		{"no hd: a consumer's account", identity.CheckHosted, rules(func(c *connection.Config) { c.OIDC.Hosted, c.Allow.Domains = "hd", []string{"corp.example"} }), claims(), failure.PolicyNotAllowed},
		{"hd without a list lets nobody in", identity.CheckHosted, rules(func(c *connection.Config) { c.OIDC.Hosted = "hd" }), claims(func(c *identity.Claims) { c.Hosted = "corp.example" }), failure.PolicyNotAllowed},
		{"one list matches, one does not", identity.CheckGroups, rules(func(c *connection.Config) { c.Allow.Subjects, c.Allow.Groups = []string{"00u1"}, []string{"eng"} }), claims(func(c *identity.Claims) { c.GroupsPresent, c.Groups = true, []string{"ops"} }), failure.PolicyNotAllowed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, code := judge(t, tc.c, tc.cfg, domains); code != tc.want {
				t.Fatalf("code %q, want %q", code, tc.want)
			}
			r := identity.Explain(t.Context(), tc.c, corp, tc.cfg, domains)
			if !slices.ContainsFunc(r.Checks, func(c identity.Check) bool {
				return c.Name == tc.rule && (c.Verdict == identity.Failed) == (tc.want != "")
			}) {
				t.Errorf("%s is not the check that decides: %+v", tc.rule, r.Checks)
			}
			if tc.want != "" && r.Failure.Facts["rule"] != tc.rule {
				t.Errorf("the refusal names the rule %q", r.Failure.Facts["rule"])
			}
		})
	}
}

func TestExplain(t *testing.T) {
	c := claims(func(c *identity.Claims) {
		c.Emails = nil
		c.Seen = []identity.Claim{
			{Name: "sub", Value: `"00u1"`, Source: "id_token"}, {Name: "name", Value: `"Ada"`, Source: "id_token"},
			{Name: "name", Value: `"Eve"`, Source: "userinfo"}, {Name: "zoneinfo", Value: `"UTC"`, Source: "userinfo"},
		}
	})
	r := identity.Explain(t.Context(), c, corp, config(func(c *connection.Config) { c.Allow.Subjects = []string{"00u2"} }), domains)
	t.Run("SSO-80 the walk goes on behind a refusal and says what it could not look at", func(t *testing.T) {
		var got []string
		for _, check := range r.Checks {
			got = append(got, check.Name+" "+string(check.Verdict)+" "+string(check.Code))
		}
		want := []string{"issuer_owner passed ", "subject passed ", "email failed email_missing", "email_domain_owner skipped ",
			"email_verified skipped ", "allow.subjects failed policy_not_allowed"}
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if r.Failure.Code != failure.EmailMissing {
			t.Errorf("the first refusal is %s", r.Failure.Code)
		}
	})
	t.Run("SSO-80 each claim says what is taken from it", func(t *testing.T) {
		var got []string
		for _, m := range r.Claims {
			got = append(got, fmt.Sprintf("%s of %s → %v", m.Name, m.Source, m.To))
		}
		want := []string{"sub of id_token → [subject]", "name of id_token → [name]", "name of userinfo → []", "zoneinfo of userinfo → []"}
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}
