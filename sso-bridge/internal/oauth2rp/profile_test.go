// SPDX-License-Identifier: Apache-2.0

package oauth2rp_test

import (
	"context"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

type nobody struct{}

func (nobody) Owner(context.Context, string) (string, error) { return "", nil }

func (nobody) IssuerOwner(context.Context, string) (string, error) { return "", nil }

// good gives the peer the profile of a person at GitHub who can be admitted.
func good(p *peer) {
	p.get["/user"] = reply{body: `{"login":"ada","id":583231,"name":"Ada Lovelace","email":"shown@elsewhere.example"}`}
	p.get["/user/emails"] = reply{body: `[{"email":"old@corp.example","primary":false,"verified":true},{"email":"Ada@corp.example","primary":true,"verified":true,"visibility":null}]`}
}

func TestGitHub(t *testing.T) {
	for _, tc := range []struct {
		name          string
		edit          func(*peer)
		organizations []string
		want          failure.Code
	}{
		{"SSO-75 primary and verified", func(*peer) {}, nil, ""},
		{"SSO-75 unverified primary, another address verified", func(p *peer) {
			p.get["/user/emails"] = reply{body: `[{"email":"ada@corp.example","primary":true,"verified":false},{"email":"x@corp.example","primary":false,"verified":true}]`}
		}, nil, failure.EmailNotVerified},
		{"SSO-75 no primary address", func(p *peer) {
			p.get["/user/emails"] = reply{body: `[{"email":"x@corp.example","primary":false,"verified":true}]`}
		}, nil, failure.EmailMissing},
		{"SSO-75 two primary addresses", func(p *peer) {
			p.get["/user/emails"] = reply{body: `[{"email":"x@corp.example","primary":true,"verified":true},{"email":"y@corp.example","primary":true,"verified":true}]`}
		}, nil, failure.EmailAmbiguous},
		{"SSO-75 verified is no boolean", func(p *peer) {
			p.get["/user/emails"] = reply{body: `[{"email":"x@corp.example","primary":true,"verified":"true"}]`}
		}, nil, failure.OAuth2Profile},
		{"SSO-75 addresses without the scope", func(p *peer) { delete(p.get, "/user/emails") }, nil, failure.OAuth2Profile},
		{"SSO-75 addresses that are no list", func(p *peer) { p.get["/user/emails"] = reply{body: `[]},"of":[{"x":1`} }, nil, failure.OAuth2Profile},
		{"SSO-75 not in the organization", func(*peer) {}, []string{"corp"}, failure.PolicyNotAllowed},
		{"SSO-75 invited only", func(p *peer) { p.get["/user/memberships/orgs/corp"] = reply{body: `{"state":"pending"}`} }, []string{"corp"}, failure.PolicyNotAllowed},
		{"SSO-75 active in one of two organizations", func(p *peer) {
			p.get["/user/memberships/orgs/corp"] = reply{body: `{"state":"active","role":"member"}`}
		}, []string{"lab", "corp"}, ""},
		{"SSO-75 an organization that blocks the application", func(p *peer) { p.get["/user/memberships/orgs/corp"] = reply{status: 403, body: `{}`} }, []string{"corp"}, failure.OAuth2Profile},
		{"OIDC-27 id absent", func(p *peer) { p.get["/user"] = reply{body: `{"login":"ada"}`} }, nil, failure.SubjectMissing},
		{"OIDC-27 id is a text", func(p *peer) { p.get["/user"] = reply{body: `{"id":"ada"}`} }, nil, failure.SubjectMalformed},
		{"OIDC-27 profile twice in one object", func(p *peer) { p.get["/user"] = reply{body: `{"id":1,"id":2}`} }, nil, failure.OAuth2Profile},
		{"OIDC-27 token refused", func(p *peer) { p.get["/user"] = reply{status: 401, body: `{}`} }, nil, failure.OAuth2Profile},
		{"OIDC-28 profile as HTML", func(p *peer) { p.get["/user"] = reply{contentType: "text/html", body: `{"id":1}`} }, nil, failure.OAuth2Profile},
		{"OIDC-28 profile as a JWT", func(p *peer) { p.get["/user"] = reply{contentType: "application/jwt", body: `e30.e30.`} }, nil, failure.OAuth2Profile},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t)
			good(p)
			tc.edit(p)
			id, refusal := admitted(t, p.answer(func(a *login.Answer) { a.Serving.Config.Allow.Organizations = tc.organizations }))
			wants(t, refusal, tc.want)
			if tc.want == "" && (id.Issuer != "oauth2:github" || id.Subject != "583231" || id.Email != "ada@corp.example" || !id.EmailVerified || id.Name != "Ada Lovelace") {
				t.Errorf("%+v", id)
			}
		})
	}
	t.Run("SSO-75 a renamed login is the same identity", func(t *testing.T) {
		p := newPeer(t)
		good(p)
		before, _ := admitted(t, p.answer())
		p.get["/user"] = reply{body: `{"login":"countess","id":583231,"name":"Ada King"}`}
		after, refusal := admitted(t, p.answer())
		if refusal != nil || before.Subject != after.Subject || before.Issuer != after.Issuer {
			t.Errorf("%v, %v, %v", before, after, refusal)
		}
	})
}

func TestGitLab(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       failure.Code
	}{
		{"confirmed", `{"id":42,"state":"active","email":"ada@corp.example","confirmed_at":"2020-01-01T00:00:00Z","name":"Ada"}`, ""},
		{"not confirmed", `{"id":42,"state":"active","email":"ada@corp.example","confirmed_at":null}`, failure.EmailNotVerified},
		{"confirmed_at absent", `{"id":42,"state":"active","email":"ada@corp.example"}`, failure.EmailNotVerified},
		{"confirmed_at is no text", `{"id":42,"state":"active","email":"ada@corp.example","confirmed_at":true}`, failure.EmailNotVerified},
		{"blocked", `{"id":42,"state":"blocked","email":"ada@corp.example","confirmed_at":"2020-01-01T00:00:00Z"}`, failure.PolicyNotAllowed},
		{"state absent", `{"id":42,"email":"ada@corp.example","confirmed_at":"2020-01-01T00:00:00Z"}`, failure.PolicyNotAllowed},
		{"no e-mail", `{"id":42,"state":"active","confirmed_at":"2020-01-01T00:00:00Z"}`, failure.EmailMissing},
	} {
		t.Run("OIDC-27 "+tc.name, func(t *testing.T) {
			p := newPeer(t)
			p.get["/api/v4/user"] = reply{body: tc.body}
			id, refusal := admitted(t, p.answer(func(a *login.Answer) {
				a.Serving.ID = "gitlab"
				a.Serving.Config.OAuth2.Kind, a.Serving.Config.OAuth2.UserinfoURL = connection.KindGitLab, p.URL+"/api/v4/user"
				a.Serving.Config.Domains = []string{"corp.example"} // which does not help against a "no"
			}))
			wants(t, refusal, tc.want)
			if tc.want == "" && (id.Subject != "42" || !id.EmailVerified || id.Issuer != "oauth2:gitlab") {
				t.Errorf("%+v", id)
			}
		})
	}
}

func TestGeneric(t *testing.T) {
	for _, tc := range []struct {
		name, path, body, subject string
		want                      failure.Code
	}{
		{"a text", "id", `{"id":"u-1"}`, "u-1", ""},
		{"an integer beyond what a float holds", "id", `{"id":12345678901234567890}`, "12345678901234567890", ""},
		{"a negative integer", "id", `{"id":-7}`, "-7", ""},
		{"a path", "data.user.id", `{"data":{"user":{"id":7}}}`, "7", ""},
		{"a name with dots", "https://corp.example/id", `{"https://corp.example/id":"x"}`, "x", ""},
		{"a fraction", "id", `{"id":1.0}`, "", failure.SubjectMalformed},
		{"an exponent", "id", `{"id":1e3}`, "", failure.SubjectMalformed},
		{"minus zero", "id", `{"id":-0}`, "", failure.SubjectMalformed},
		{"a boolean", "id", `{"id":true}`, "", failure.SubjectMalformed},
		{"a list", "id", `{"id":["u-1"]}`, "", failure.SubjectMalformed},
		{"null", "id", `{"id":null}`, "", failure.SubjectMissing},
		{"an empty text", "id", `{"id":""}`, "", failure.SubjectMissing},
		{"a path that ends early", "data.user.id", `{"data":{"user":"ada"}}`, "", failure.SubjectMissing},
		{"256 digits", "id", `{"id":` + strings.Repeat("1", 256) + `}`, "", failure.SubjectMalformed},
	} {
		t.Run("OIDC-27 subject id is "+tc.name, func(t *testing.T) {
			p := newPeer(t)
			p.get["/user"] = reply{body: strings.TrimSuffix(tc.body, "}") + `,"mail":"ada@corp.example","mail_ok":true,"who":{"called":"Ada"}}`}
			id, refusal := admitted(t, p.answer(func(a *login.Answer) {
				a.Serving.Config.OAuth2.Kind = connection.KindGeneric
				a.Serving.Config.Claims = connection.ClaimNames{Subject: tc.path, Email: "mail", EmailVerified: "mail_ok", Name: "who.called"}
			}))
			wants(t, refusal, tc.want)
			if tc.want == "" && (id.Subject != tc.subject || id.Name != "Ada" || !id.EmailVerified) {
				t.Errorf("%+v", id)
			}
		})
	}
}
