// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// owners is who owns which domain.
type owners map[string]string

func (o owners) Owner(_ context.Context, domain string) (string, error) { return o[domain], nil }

func (o owners) IssuerOwner(_ context.Context, issuer string) (string, error) { return o[issuer], nil }

type brokenOwners struct{}

func (brokenOwners) Owner(context.Context, string) (string, error) {
	return "", errors.New("the database is gone")
}

func (brokenOwners) IssuerOwner(context.Context, string) (string, error) {
	return "", errors.New("the database is gone")
}

const corp = "corp-okta"

var domains = owners{"corp.example": corp, "other.example": "other-okta"}

func config(edit ...func(*connection.Config)) connection.Config {
	c := connection.Config{
		Protocol: connection.OIDC,
		OIDC:     &connection.OIDCConfig{Issuer: "https://corp.okta.example"},
		Claims:   connection.ClaimNames{Subject: "sub", Email: "email", EmailVerified: "email_verified", Name: "name", Groups: "groups"},
		Domains:  []string{"corp.example"},
	}
	for _, e := range edit {
		e(&c)
	}
	return c
}

func claims(edit ...func(*identity.Claims)) identity.Claims {
	c := identity.Claims{
		Issuer: "https://corp.okta.example", Subject: "00u1", Emails: []string{"ada@corp.example"},
		Verified: identity.StatedTrue, VerifiedRaw: "true", Name: "Ada Lovelace",
	}
	for _, e := range edit {
		e(&c)
	}
	return c
}

// judge asks both doors of the walk and insists that they agree.
func judge(t *testing.T, c identity.Claims, cfg connection.Config, o identity.Owners) (identity.Identity, failure.Code) {
	t.Helper()
	id, err := identity.Map(t.Context(), c, corp, cfg, o)
	r := identity.Explain(t.Context(), c, corp, cfg, o)
	if err == nil {
		if r.Failure != nil || !cmp.Equal(id, r.Identity) {
			t.Errorf("Map admits %v, Explain says %v", id, r.Failure)
		}
		for _, check := range r.Checks {
			if check.Verdict != identity.Passed {
				t.Errorf("admitted although %s is %s", check.Name, check.Verdict)
			}
		}
		return id, ""
	}
	refusal, ok := errors.AsType[*failure.Error](err)
	if !ok {
		t.Fatalf("not a refusal of the catalogue: %v", err)
	}
	if r.Failure == nil || r.Failure.Code != refusal.Code {
		t.Errorf("Map refuses with %s, Explain with %v", refusal.Code, r.Failure)
	}
	if !slices.ContainsFunc(r.Checks, func(c identity.Check) bool { return c.Verdict == identity.Failed && c.Code == refusal.Code }) {
		t.Errorf("no check failed with %s: %v", refusal.Code, r.Checks)
	}
	if !cmp.Equal(id, identity.Identity{}) {
		t.Errorf("a refusal comes with an identity: %v", id)
	}
	entry, _ := failure.About(refusal.Code)
	for field, value := range refusal.Facts {
		if !slices.Contains(entry.Fields, field) {
			t.Errorf("%s has no field %s", refusal.Code, field)
		}
		for _, personal := range append(slices.Clone(c.Emails), c.Subject, c.Name) {
			if len(personal) > 3 && strings.Contains(value, personal) {
				t.Errorf("fact %s repeats what is the person's", field)
			}
		}
	}
	return id, refusal.Code
}

func TestVerifiedEmail(t *testing.T) {
	for _, tc := range []struct {
		said, whose     string
		asText          bool
		want            failure.Code
		statedInsteadOf bool // email_verified of the identity
	}{
		{said: `true`, whose: "owned", statedInsteadOf: true},
		{said: `true`, whose: "foreign", statedInsteadOf: true},
		{said: `true`, whose: "other", want: failure.EmailDomainOfOther},
		{said: `false`, whose: "owned", want: failure.EmailNotVerified},
		{said: `false`, whose: "foreign", want: failure.EmailNotVerified},
		{said: `false`, whose: "other", want: failure.EmailDomainOfOther},
		{said: ``, whose: "owned"},
		{said: ``, whose: "foreign", want: failure.EmailNotVerified},
		{said: ``, whose: "other", want: failure.EmailDomainOfOther},
		{said: `"true"`, whose: "owned"},
		{said: `"true"`, whose: "foreign", want: failure.EmailNotVerified},
		{said: `"true"`, whose: "foreign", asText: true, statedInsteadOf: true},
		{said: `"true"`, whose: "other", asText: true, want: failure.EmailDomainOfOther},
		{said: `"false"`, whose: "owned", want: failure.EmailNotVerified},
		{said: `"false"`, whose: "owned", asText: true, want: failure.EmailNotVerified},
		{said: `"False"`, whose: "owned", want: failure.EmailNotVerified},
		{said: `0`, whose: "owned", want: failure.EmailNotVerified},
		{said: `1`, whose: "owned"},
		{said: `1`, whose: "foreign", want: failure.EmailNotVerified},
		{said: `1`, whose: "other", want: failure.EmailDomainOfOther},
		{said: `null`, whose: "owned"},
		{said: `null`, whose: "foreign", want: failure.EmailNotVerified},
		{said: `"TRUE"`, whose: "foreign", asText: true, want: failure.EmailNotVerified},
		{said: `[true]`, whose: "foreign", want: failure.EmailNotVerified},
	} {
		with := map[bool]string{true: " with email_verified_strings"}[tc.asText]
		t.Run("OIDC-20 SSO-71 email_verified "+tc.said+" of a domain "+tc.whose+with, func(t *testing.T) {
			address := map[string]string{"owned": "ada@corp.example", "foreign": "ada@nobody.example", "other": "ada@other.example"}[tc.whose]
			c := claims(func(c *identity.Claims) {
				c.Emails, c.VerifiedRaw = []string{address}, tc.said
				c.Verified = identity.ReadStated(json.RawMessage(tc.said), tc.asText)
			})
			id, code := judge(t, c, config(), domains)
			if code != tc.want {
				t.Fatalf("code %q, want %q", code, tc.want)
			}
			if code == "" && (id.EmailVerified != tc.statedInsteadOf || id.Email != address) {
				t.Errorf("%+v", id)
			}
		})
	}
	t.Run("OIDC-20 restrict_to_domains refuses a verified foreign address", func(t *testing.T) {
		c := claims(func(c *identity.Claims) { c.Emails = []string{"ada@nobody.example"} })
		restricted := config(func(c *connection.Config) { c.RestrictToDomains = true })
		if _, code := judge(t, c, restricted, domains); code != failure.EmailDomainNotAllowed {
			t.Errorf("code %q", code)
		}
		if _, code := judge(t, claims(), restricted, domains); code != "" {
			t.Errorf("code %q", code)
		}
	})
	t.Run("OIDC-20 a sub-domain of an owned one is foreign", func(t *testing.T) {
		c := claims(func(c *identity.Claims) { c.Emails, c.Verified = []string{"ada@eng.corp.example"}, identity.Unstated })
		if _, code := judge(t, c, config(), domains); code != failure.EmailNotVerified {
			t.Errorf("code %q", code)
		}
	})
	t.Run("SSO-94 owners that cannot be asked are no answer", func(t *testing.T) {
		if _, code := judge(t, claims(), config(), brokenOwners{}); code != failure.StoreUnavailable {
			t.Errorf("code %q", code)
		}
	})
}

func TestEmail(t *testing.T) {
	sized := func(n int) string {
		return strings.Repeat("a", 64) + "@" + strings.Repeat(strings.Repeat("b", 58)+".", 3) + strings.Repeat("c", n-64-1-3*59)
	}
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "ada@corp.example", "ada@corp.example"},
		{"upper case", "Ada.Lovelace+x@Corp.Example", "ada.lovelace+x@corp.example"},
		{"blank ends", " ada@corp.example\n", "ada@corp.example"},
		{"punycode stays what it is", "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
		{"254 bytes", sized(254), sized(254)},
		{"255 bytes", sized(255), ""},
		{"display name", "Ada Lovelace <ada@corp.example>", ""},
		{"display name without a blank", "Ada<ada@corp.example>", ""},
		{"two @", "ada@evil.example@corp.example", ""},
		{"two addresses", "ada@corp.example,eve@corp.example", ""},
		{"non-ASCII local part", "adá@corp.example", ""},
		{"non-ASCII domain", "ada@corp.exämple", ""},
		{"Kelvin sign folds to no k", "\u212Aate@corp.example", ""},
		{"full-width @", "ada＠corp.example", ""},
		{"no-break space", "\u00a0ada@corp.example", ""},
		{"quoted part", `"ada"@corp.example`, ""},
		{"quoted part with an @", `"ada@x"@corp.example`, ""},
		{"comment", "ada(x)@corp.example", ""},
		{"trailing dot of the domain", "ada@corp.example.", ""},
		{"leading dot of the domain", "ada@.corp.example", ""},
		{"two dots", "a..da@corp.example", ""},
		{"dot before the @", "ada.@corp.example", ""},
		{"hyphen at the end of a label", "ada@corp-.example", ""},
		{"address literal", "ada@[127.0.0.1]", ""},
		{"NUL", "ada\x00@corp.example", ""},
		{"DEL", "ada\x7f@corp.example", ""},
		{"empty", "", ""},
		{"JSON of a list", `["ada@corp.example"]`, ""},
	} {
		t.Run("OIDC-22 SSO-72 "+tc.name, func(t *testing.T) {
			got, ok := canon.PlainEmail(tc.in)
			if got != tc.want || ok != (tc.want != "") {
				t.Fatalf("PlainEmail(%q) = %q, %v", tc.in, got, ok)
			}
			if tc.want == "" && tc.in != "" {
				c := claims(func(c *identity.Claims) { c.Emails = []string{tc.in} })
				if _, code := judge(t, c, config(), domains); code != failure.EmailMalformed {
					t.Errorf("code %q", code)
				}
			}
		})
	}
	for name, tc := range map[string]struct {
		raw  string
		want failure.Code
	}{
		"none":          {``, failure.EmailMissing},
		"null":          {`null`, failure.EmailMissing},
		"an empty list": {`[]`, failure.EmailMissing},
		"a list of one": {`["ada@corp.example"]`, ""},
		"a list of two": {`["ada@corp.example","eve@corp.example"]`, failure.EmailAmbiguous},
		"a number":      {`5`, failure.EmailMalformed},
		"a mapping":     {`{"value":"ada@corp.example"}`, failure.EmailMalformed},
		"an empty text": {`""`, failure.EmailMalformed},
	} {
		t.Run("OIDC-22 SSO-72 the claim is "+name, func(t *testing.T) {
			c := claims(func(c *identity.Claims) { c.Emails = identity.ReadEmails(json.RawMessage(tc.raw)) })
			if _, code := judge(t, c, config(), domains); code != tc.want {
				t.Errorf("code %q", code)
			}
		})
	}
}

func TestHowThePersonSignedIn(t *testing.T) {
	long := strings.Repeat("m", 33)
	id, code := judge(t, claims(func(c *identity.Claims) {
		c.AMR = []string{"", long, "1", "2", "3", "4", "5", "6", "7", "8", "9"}
		c.ACR, c.AuthTime = strings.Repeat("a", 256), -1
	}), config(), domains)
	want := []string{"1", "2", "3", "4", "5", "6", "7", "8"}
	if code != "" || !slices.Equal(id.AMR, want) || id.ACR != "" || id.AuthTime != 0 {
		t.Errorf("what an assertion has no room for is left out and refuses nobody: %+v, %q", id, code)
	}
}

func TestKey(t *testing.T) {
	t.Run("OIDC-21 SSO-73 one address from two connections is two identities", func(t *testing.T) {
		a, _ := judge(t, claims(), config(), owners{})
		cfg := config(func(c *connection.Config) { c.OIDC.Issuer = "https://other.okta.example" })
		b, code := judge(t, claims(func(c *identity.Claims) { c.Issuer = "https://other.okta.example" }), cfg, owners{})
		if code != "" || a.Issuer == b.Issuer || a.Email != b.Email {
			t.Errorf("%v, %v, %q", a, b, code)
		}
	})
	t.Run("OIDC-23 a new address or name leaves the key", func(t *testing.T) {
		a, _ := judge(t, claims(), config(), domains)
		b, _ := judge(t, claims(func(c *identity.Claims) { c.Emails, c.Name = []string{"ada.byron@corp.example"}, "Ada Byron" }), config(), domains)
		if a.Issuer != b.Issuer || a.Subject != b.Subject || a.Email == b.Email {
			t.Errorf("%v, %v", a, b)
		}
	})
	t.Run("OIDC-23 another subject with the same address is another identity", func(t *testing.T) {
		a, _ := judge(t, claims(), config(), domains)
		b, _ := judge(t, claims(func(c *identity.Claims) { c.Subject = "00u2" }), config(), domains)
		if a.Subject == b.Subject {
			t.Error("one key")
		}
	})
	for name, tc := range map[string]struct {
		subject string
		want    failure.Code
	}{
		"absent":             {"", failure.SubjectMissing},
		"255 characters":     {strings.Repeat("a", 255), ""},
		"256 characters":     {strings.Repeat("a", 256), failure.SubjectMalformed},
		"padded in front":    {" 00u1", failure.SubjectMalformed},
		"padded behind":      {"00u1 ", failure.SubjectMalformed},
		"a tab":              {"00\tu1", failure.SubjectMalformed},
		"NUL":                {"00u1\x00", failure.SubjectMalformed},
		"not ASCII":          {"аda", failure.SubjectMalformed},
		"a space inside":     {"auth0|ada lovelace", ""},
		"case is not folded": {"Ada", ""},
	} {
		t.Run("SSO-76 OIDC-13 subject id "+name, func(t *testing.T) {
			id, code := judge(t, claims(func(c *identity.Claims) { c.Subject = tc.subject }), config(), domains)
			if code != tc.want || code == "" && id.Subject != tc.subject {
				t.Errorf("code %q, %q", code, id.Subject)
			}
		})
	}
	for name, tc := range map[string]struct {
		configured, verified string
		p                    connection.Protocol
		want                 failure.Code
	}{
		"exact":                        {"https://corp.okta.example", "https://corp.okta.example", connection.OIDC, ""},
		"final slash":                  {"https://corp.okta.example", "https://corp.okta.example/", connection.OIDC, failure.OIDCIssuer},
		"other case":                   {"https://corp.okta.example", "https://Corp.okta.example", connection.OIDC, failure.OIDCIssuer},
		"of accounts":                  {"dify:account", "dify:account", connection.OIDC, failure.OIDCIssuer},
		"of an OAuth 2.0 connection":   {"oauth2:github", "oauth2:github", connection.OIDC, failure.OIDCIssuer},
		"OAuth 2.0":                    {"", "oauth2:" + corp, connection.OAuth2, ""},
		"of another OAuth 2.0 one":     {"", "oauth2:other", connection.OAuth2, failure.OIDCIssuer},
		"an OIDC issuer for OAuth 2.0": {"", "https://corp.okta.example", connection.OAuth2, failure.OIDCIssuer},
		"256 characters":               {"https://" + strings.Repeat("a", 248), "https://" + strings.Repeat("a", 248), connection.OIDC, failure.OIDCIssuer},
	} {
		t.Run("OIDC-10 SSO-77 issuer "+name, func(t *testing.T) {
			cfg := config(func(c *connection.Config) {
				c.Protocol, c.OIDC.Issuer = tc.p, tc.configured
				if tc.p == connection.OAuth2 {
					c.OIDC, c.OAuth2 = nil, &connection.OAuth2Config{}
				}
			})
			_, code := judge(t, claims(func(c *identity.Claims) { c.Issuer = tc.verified }), cfg, domains)
			if code != tc.want {
				t.Errorf("code %q", code)
			}
		})
	}
}

func TestName(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*identity.Claims)
		want string
	}{
		"as sent":                           {func(c *identity.Claims) { c.Name = "张伟" }, "张伟"},
		"given and family name":             {func(c *identity.Claims) { c.Name, c.GivenName, c.FamilyName = "", "Ada", "Lovelace" }, "Ada Lovelace"},
		"given name alone":                  {func(c *identity.Claims) { c.Name, c.GivenName = "", "Ada" }, "Ada"},
		"none":                              {func(c *identity.Claims) { c.Name = "" }, ""},
		"nothing left of it":                {func(c *identity.Claims) { c.Name, c.GivenName = "\u202e", "Ada" }, "Ada"},
		"bidi and control characters go":    {func(c *identity.Claims) { c.Name = "A\u202ed\x00a" }, "Ada"},
		"markup is text, escaped elsewhere": {func(c *identity.Claims) { c.Name = "<b>Ada</b>" }, "<b>Ada</b>"},
		"129 characters":                    {func(c *identity.Claims) { c.Name = strings.Repeat("é", 129) }, strings.Repeat("é", 128)},
	} {
		t.Run(name, func(t *testing.T) {
			if id, code := judge(t, claims(tc.edit), config(), domains); code != "" || id.Name != tc.want {
				t.Errorf("%q, code %q", id.Name, code)
			}
		})
	}
}
