// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

const example = `version: 1
connections:
  - { id: corp-okta, name: Okta, preset: okta-oidc, listed: false, domains: [eng.corp.example],
      oidc: { issuer: "https://corp.okta.com", client_id: 0oa1b2c3, client_secret_file: /run/secrets/okta, auth: client_secret_basic, scopes: [openid, email, profile, groups] },
      claims: { email: email, name: name, groups: groups } }
  - { id: github, name: GitHub, preset: github, position: 20, intents: [device_flow], allow: { organizations: [corp] }, restrict_to_domains: false,
      oauth2: { client_id: Iv1.a1b2, client_secret_file: /run/secrets/github } }
  - id: google
    name: Google
    button: Sign in with Google
    preset: google-oidc
    default: true
    domains: [corp.example]
    allow: { domains: [corp.example] }
    enable: force
    reason: moved from the old server
    take_over_issuer: the old connection was deleted by mistake
    oidc:
      client_id: 1234-abc.apps.googleusercontent.com
      client_secret: GOCSPX-hunter2
`

func files(name string) ([]byte, error) {
	content, ok := map[string]string{"/run/secrets/okta": "okta-secret\n", "/run/secrets/github": "github-secret", "/run/secrets/empty": "\n"}[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return []byte(content), nil
}

func TestFile(t *testing.T) {
	declared, err := connection.ParseFile([]byte(example), files)
	if err != nil {
		t.Fatal(err)
	}
	if len(declared) != 3 {
		t.Fatalf("%d declarations", len(declared))
	}
	okta, github, google := declared[0], declared[1], declared[2]
	t.Run("SSO-81 what is written replaces the preset's, and the rest is the preset's", func(t *testing.T) {
		want := connection.Config{
			Protocol: connection.OIDC, Preset: "okta-oidc", Callback: "own", Domains: []string{"eng.corp.example"}, RestrictToDomains: true,
			OIDC: &connection.OIDCConfig{
				Issuer: "https://corp.okta.com", ClientID: "0oa1b2c3", Auth: "client_secret_basic",
				Scopes: []string{"openid", "email", "profile", "groups"}, Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"},
			},
			Claims: connection.ClaimNames{Subject: "sub", Email: "email", EmailVerified: "email_verified", Name: "name", GivenName: "given_name", FamilyName: "family_name", Groups: "groups"},
		}
		if diff := cmp.Diff(want, okta.Config); diff != "" {
			t.Error(diff)
		}
		if okta.Listed || okta.Default || okta.Enable != connection.EnableTested || !slices.Equal(okta.Intents, []connection.Intent{"device_flow", "account_login"}) {
			t.Errorf("%+v", okta)
		}
	})
	t.Run("SSO-81 secrets out of files are read and marked, others are not", func(t *testing.T) {
		if okta.Secrets.ClientSecret.Reveal() != "okta-secret" || !okta.SecretsInFiles || google.Secrets.ClientSecret.Reveal() != "GOCSPX-hunter2" || google.SecretsInFiles {
			t.Error("secrets")
		}
		if strings.Contains(fmt.Sprintf("%+v", declared), "hunter2") {
			t.Error("a declaration prints its secret")
		}
	})
	t.Run("SSO-75 organizations bring their scope", func(t *testing.T) {
		want := connection.OAuth2Config{
			ClientID: "Iv1.a1b2", Auth: "client_secret_post", Kind: "github", AuthorizationURL: "https://github.com/login/oauth/authorize", TokenURL: "https://github.com/login/oauth/access_token",
			UserinfoURL: "https://api.github.com/user", Scopes: []string{"read:user", "user:email", "read:org"}, PKCE: "S256",
		}
		if diff := cmp.Diff(&want, github.Config.OAuth2); diff != "" {
			t.Error(diff)
		}
		if github.Config.RestrictToDomains || github.Position != 20 || !slices.Equal(github.Intents, []connection.Intent{"device_flow"}) {
			t.Errorf("%+v", github)
		}
	})
	t.Run("SSO-79 force and a take-over come with their reasons", func(t *testing.T) {
		if google.Enable != connection.EnableForce || google.Reason == "" || google.TakeOverIssuer == "" || !google.Default || google.Button != "Sign in with Google" {
			t.Errorf("%+v", google)
		}
	})
}

// one is a file with one connection, whose lines a test replaces.
func one(edit ...string) string {
	text := `version: 1
connections:
  - id: corp
    name: Corp
    preset: generic-oidc
    oidc:
      issuer: https://id.corp.example
      client_id: bridge
      client_secret: hunter2
`
	return strings.NewReplacer(edit...).Replace(text)
}

func oauth2(lines string) string {
	return "version: 1\nconnections:\n  - id: corp\n    name: Corp\n    preset: generic-oauth2\n" + lines
}

const endpoints = `    oauth2: { client_id: a, client_secret: hunter2, authorization_url: "https://a.example/a", token_url: "https://a.example/t", userinfo_url: "https://a.example/u", subject_path: id }
`

func TestFileProblems(t *testing.T) {
	const issuer = "issuer: https://id.corp.example"
	for _, tc := range []struct {
		name, content string
		want          []string // path and place, or a part of the sentence
	}{
		{"SSO-81 good", one(), nil},
		{"SSO-81 empty", "", []string{"connections file: is empty"}},
		{"SSO-81 a comment alone", "# nothing\n", []string{"connections file: is empty"}},
		{"SSO-81 a second document", one() + "---\nversion: 1\n", []string{"more than one document"}},
		{"SSO-81 no YAML", "version: [1\n", []string{"cannot be read as YAML"}},
		{"SSO-81 a key twice", one("      client_id: bridge\n", "      client_id: bridge\n      client_id: bridge\n"), []string{"line 9, column 7"}},
		{"SSO-81 a list", "- a\n", []string{"must be a mapping"}},
		{"SSO-81 an unknown key at the top", one("version: 1\n", "version: 1\nlinks: []\n"), []string{"links (line 2, column 1): is not known here"}},
		{"SSO-81 unknown keys, all of them, with line and column", one("    name: Corp\n", "    name: Corp\n    colour: red\n", "      client_id", "      clientid: x\n      client_id"),
			[]string{"connections[0].colour (line 5, column 5): is not known here", "connections[0].oidc.clientid (line 9, column 7): is not known here"}},
		{"SSO-81 an unknown key that may be a value", one("client_secret: hunter2", `"Hunter2 is it": 1`), []string{"connections[0].oidc.… (line 9, column 7): is not known here"}},
		{"SSO-81 an anchor", one("name: Corp", "name: &a Corp"), []string{"connections[0].name (line 4", "no anchors"}},
		{"SSO-81 an alias", one("name: Corp", "name: *a"), []string{"connections[0].name (line 4", "no anchors"}},
		{"SSO-81 a merge key", one("    name: Corp\n", "    <<: {name: Corp}\n"), []string{"no plain text"}},
		{"SSO-81 a tag", one("name: Corp", "name: !!str Corp"), []string{"no anchors"}},
		{"SSO-99 brackets without end", strings.Repeat("[", 1<<19), []string{"nested too deep"}},
		{"SSO-99 mappings without end", strings.Repeat("{a: ", 1<<18), []string{"nested too deep"}},
		{"SSO-99 dashes without end", strings.Repeat("- ", 1<<19), []string{"nested too deep"}},
		{"SSO-99 larger than a file may be", strings.Repeat("#", 1<<20+1), []string{"at most 1 MiB"}},
		{"SSO-81 no UTF-8", one("name: Corp", "name: C\xff"), []string{"UTF-8"}},
		{"SSO-81 version 2", one("version: 1", "version: 2"), []string{"version (line 1, column 1): must be 1"}},
		{"SSO-81 no version", one("version: 1\n", ""), []string{"version: must be 1"}},
		{"SSO-81 no connections", "version: 1\n", []string{"connections: is missing"}},
		{"SSO-81 no list", "version: 1\nconnections: 5\n", []string{"connections (line 2, column 1): has the wrong type"}},
		{"SSO-81 a number where text belongs", one("client_id: bridge", "client_id: 2040"), []string{"connections[0].oidc.client_id (line 8, column 7): has the wrong type"}},
		{"SSO-81 problems of several connections at once", one() + "  - id: X\n    name: Other\n    preset: okta\n  - id: third\n    nme: x\n",
			[]string{"connections[1].preset (line 12, column 5): one of adfs-saml, entra-oidc", "connections[2].nme (line 14, column 5)"}},
		{"SSO-81 a secret file that is not there", one("client_secret: hunter2", "client_secret_file: /run/secrets/none"), []string{"connections[0].oidc.client_secret_file (line 9, column 7): names a file that cannot be read"}},
		{"SSO-81 an empty secret file", one("client_secret: hunter2", "client_secret_file: /run/secrets/empty"), []string{"names an empty file"}},
		{"SSO-81 secret and file", one("client_secret: hunter2", "client_secret: hunter2\n      client_secret_file: /run/secrets/okta"), []string{"keep one"}},
		{"SSO-81 no secret", one("      client_secret: hunter2\n", ""), []string{"connections[0].oidc.client_secret (line 6, column 5): is missing"}},
		{"SSO-81 no client id", one("      client_id: bridge\n", ""), []string{"connections[0].oidc.client_id (line 6, column 5): is missing"}},
		{"SSO-81 no block", one("    oidc:\n", "    oidc:\n    claims:\n", "      issuer: https://id.corp.example\n", "", "      client_id: bridge\n", "", "      client_secret: hunter2\n", "      name: x\n"),
			[]string{"connections[0].oidc (line 6, column 5): is missing"}},
		{"SSO-81 the other protocol's block", one() + endpoints, []string{"connections[0].oauth2 (line 10, column 5): not with this preset"}},
		{"SSO-81 an id in upper case", one("id: corp", "id: Corp"), []string{"connections[0].id (line 3, column 5)"}},
		{"SSO-81 an id of one letter", one("id: corp", "id: c"), []string{"connections[0].id"}},
		{"SSO-81 an id of 37 letters", one("id: corp", "id: "+strings.Repeat("c", 37)), []string{"connections[0].id"}},
		{"SSO-81 no name", one("    name: Corp\n", ""), []string{"connections[0].name"}},
		{"SSO-81 two owners of a domain", one("preset: generic-oidc", "preset: generic-oidc\n    domains: [corp.example]") + strings.TrimPrefix(one("id: corp", "id: other", issuer, "issuer: https://other.example", "preset: generic-oidc", "preset: generic-oidc\n    domains: [corp.example]"), "version: 1\nconnections:\n"),
			[]string{"connections[1].domains[0] (line 14, column 15): belongs to connection corp"}},
		{"SSO-81 one id twice", one() + strings.TrimPrefix(one(), "version: 1\nconnections:\n"), []string{"connections[1].id (line 10, column 5): is declared twice"}},
		{"SSO-77 two connections with one issuer", one() + strings.TrimPrefix(one("id: corp", "id: other"), "version: 1\nconnections:\n"), []string{"connections[1].oidc.issuer", "belongs to connection corp"}},
		{"SSO-77 an issuer of ours", one(issuer, "issuer: dify:account"), []string{"connections[0].oidc.issuer (line 7, column 7)"}},
		{"SSO-77 the issuer of an OAuth 2.0 connection", one(issuer, "issuer: oauth2:github"), []string{"connections[0].oidc.issuer"}},
		{"SSO-77 an issuer on http", one(issuer, "issuer: http://id.corp.example"), []string{"connections[0].oidc.issuer", "an https address"}},
		{"SSO-77 an issuer on http of this machine", one(issuer, "issuer: http://127.0.0.1:5005"), nil},
		{"SSO-77 an issuer with a query", one(issuer, "issuer: https://id.corp.example?a=b"), []string{"without query"}},
		{"SSO-77 an issuer with a password", one(issuer, "issuer: https://a:b@id.corp.example"), []string{"connections[0].oidc.issuer"}},
		{"SSO-77 an issuer of 256 characters", one(issuer, "issuer: https://"+strings.Repeat("a", 248)), []string{"connections[0].oidc.issuer"}},
		{"OIDC-02 an algorithm that shares the secret", one("client_id: bridge", "client_id: bridge\n      algorithms: [RS256, HS256]"), []string{"connections[0].oidc.algorithms[1] (line 9, column 27)"}},
		{"OIDC-02 no algorithm", one("client_id: bridge", "client_id: bridge\n      algorithms: [none]"), []string{"connections[0].oidc.algorithms[0]"}},
		{"scopes without openid", one("client_id: bridge", "client_id: bridge\n      scopes: [email]"), []string{"connections[0].oidc.scopes", "openid"}},
		{"a scope with a space", one("client_id: bridge", "client_id: bridge\n      scopes: [openid, \"a b\"]"), []string{"connections[0].oidc.scopes[1]"}},
		{"prompt none", one("client_id: bridge", "client_id: bridge\n      prompt: none"), []string{"connections[0].oidc.prompt"}},
		{"acr required and none named", one("client_id: bridge", "client_id: bridge\n      acr_required: true"), []string{"connections[0].oidc.acr_required"}},
		{"hosted without domains", one("preset: generic-oidc", "preset: google-oidc", "      "+issuer+"\n", ""), []string{"connections[0].allow.domains", "everybody else is refused"}},
		{"a key that is none", one("client_secret: hunter2", "auth: private_key_jwt\n      private_key: hunter2"), []string{"connections[0].oidc.private_key", "PEM"}},
		{"a secret with private_key_jwt", one("client_secret: hunter2", "auth: private_key_jwt\n      client_secret: hunter2"), []string{"not with private_key_jwt", "connections[0].oidc.private_key"}},
		{"SSO-74 common as tenant", one("preset: generic-oidc", "preset: entra-oidc", issuer, "issuer: https://login.microsoftonline.com/common/v2.0"), []string{"names no tenant"}},
		{"SSO-74 every tenant of the world", one("preset: generic-oidc", "preset: entra-oidc", issuer, "issuer: https://login.microsoftonline.com/{tenantid}/v2.0"), []string{"connections[0].allow.tenants"}},
		{"SSO-74 listed tenants", one("preset: generic-oidc", "preset: entra-oidc\n    allow: { tenants: [1f0c3d52-0000-4000-8000-00000000000a] }", issuer, "issuer: https://login.microsoftonline.com/{tenantid}/v2.0"), nil},
		{"SSO-74 a tenant that is no id", one("preset: generic-oidc", "preset: entra-oidc\n    allow: { tenants: [corp.onmicrosoft.com] }"), []string{"connections[0].allow.tenants[0]"}},
		{"SSO-74 a template elsewhere", one(issuer, "issuer: https://id.example/{tenantid}"), []string{"for Entra ID alone"}},
		{"SSO-74 tenants elsewhere", one("preset: generic-oidc", "preset: generic-oidc\n    allow: { tenants: [1f0c3d52-0000-4000-8000-00000000000a] }"), []string{"connections[0].allow.tenants"}},
		{"guests elsewhere", one("preset: generic-oidc", "preset: generic-oidc\n    guests: allow"), []string{"connections[0].guests"}},
		{"an empty list of rules", one("preset: generic-oidc", "preset: generic-oidc\n    allow: { subjects: [] }"), []string{"connections[0].allow.subjects", "is empty"}},
		{"groups that no claim has", one("preset: generic-oidc", "preset: generic-oidc\n    allow: { groups: [eng] }"), []string{"needs claims.groups"}},
		{"a rule that does not exist", one("preset: generic-oidc", "preset: generic-oidc\n    deny: { groups: [eng] }"), []string{"connections[0].deny.groups", "is not known here"}},
		{"a domain in upper case", one("preset: generic-oidc", "preset: generic-oidc\n    domains: [Corp.example]"), []string{"connections[0].domains[0]"}},
		{"restricted to nothing", one("preset: generic-oidc", "preset: generic-oidc\n    restrict_to_domains: true"), []string{"connections[0].restrict_to_domains"}},
		{"an unknown intent", one("preset: generic-oidc", "preset: generic-oidc\n    intents: [connection_test]"), []string{"connections[0].intents[0]"}},
		{"SSO-79 force without a reason", one("preset: generic-oidc", "preset: generic-oidc\n    enable: force"), []string{"connections[0].reason", "is missing"}},
		{"SSO-79 enable at once", one("preset: generic-oidc", "preset: generic-oidc\n    enable: yes"), []string{"connections[0].enable"}},
		{"SSO-108 take-over without a reason", one("preset: generic-oidc", `preset: generic-oidc`+"\n    take_over_issuer: ''"), []string{"connections[0].take_over_issuer"}},
		{"OIDC-27 generic", oauth2(endpoints), nil},
		{"OIDC-27 no subject_path", oauth2(strings.Replace(endpoints, ", subject_path: id", "", 1)), []string{"connections[0].oauth2.subject_path"}},
		{"OIDC-27 a login name as subject", oauth2(strings.Replace(endpoints, "subject_path: id", "subject_path: data.Login", 1)), []string{"connections[0].oauth2.subject_path", "permanent id"}},
		{"OIDC-27 an e-mail as subject", oauth2(strings.Replace(endpoints, "subject_path: id", "subject_path: email", 1)), []string{"connections[0].oauth2.subject_path"}},
		{"OIDC-27 an endpoint on http", oauth2(strings.Replace(endpoints, `token_url: "https`, `token_url: "http`, 1)), []string{"connections[0].oauth2.token_url"}},
		{"OIDC-27 force_authn", oauth2(endpoints + "    force_authn: true\n"), []string{"connections[0].force_authn (line 7, column 5)"}},
		{"OIDC-27 a shared callback", oauth2(endpoints + "    callback: shared\n"), nil},
		{"OIDC-27 a callback of another kind", oauth2(endpoints + "    callback: any\n"), []string{"connections[0].callback"}},
		{"SSO-75 another subject of GitHub", strings.Replace(oauth2("    oauth2: { client_id: a, client_secret: b, subject_path: node_id }\n"), "generic-oauth2", "github", 1), []string{"connections[0].oauth2.subject_path"}},
		{"SSO-75 scopes of GitHub without the address", strings.Replace(oauth2("    oauth2: { client_id: a, client_secret: b, scopes: [read:user] }\n"), "generic-oauth2", "github", 1), []string{"connections[0].oauth2.scopes"}},
		{"organizations of GitLab", strings.Replace(oauth2("    oauth2: { client_id: a, client_secret: b }\n    allow: { organizations: [corp] }\n"), "generic-oauth2", "gitlab", 1), []string{"connections[0].allow.organizations"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			declared, err := connection.ParseFile([]byte(tc.content), files)
			if len(tc.want) == 0 {
				if err != nil || len(declared) == 0 {
					t.Fatal(err)
				}
				return
			}
			if declared != nil {
				t.Error("a refused file declares something")
			}
			if _, ok := errors.AsType[connection.FileError](err); !ok {
				t.Fatalf("%v", err)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in\n%v", part, err)
				}
			}
			if strings.Contains(strings.ToLower(err.Error()), "hunter2") {
				t.Errorf("a secret in\n%v", err)
			}
		})
	}
}

func TestBaseURL(t *testing.T) {
	for preset, want := range map[string][3]string{
		"github": {"https://git.corp.example/login/oauth/authorize", "https://git.corp.example/login/oauth/access_token", "https://git.corp.example/api/v3/user"},
		"gitlab": {"https://git.corp.example/oauth/authorize", "https://git.corp.example/oauth/token", "https://git.corp.example/api/v4/user"},
	} {
		t.Run(preset+" of one's own", func(t *testing.T) {
			content := strings.Replace(oauth2("    oauth2: { client_id: a, client_secret: b, base_url: \"https://git.corp.example/\" }\n"), "generic-oauth2", preset, 1)
			declared, err := connection.ParseFile([]byte(content), files)
			if err != nil {
				t.Fatal(err)
			}
			o := declared[0].Config.OAuth2
			if got := [3]string{o.AuthorizationURL, o.TokenURL, o.UserinfoURL}; got != want {
				t.Errorf("%v", got)
			}
		})
	}
}

// blocks counts the protocols that a configuration has settings of.
func blocks(c connection.Config) (n int) {
	for _, there := range []bool{c.OIDC != nil, c.OAuth2 != nil, c.SAML != nil} {
		if there {
			n++
		}
	}
	return n
}

const samlSeed = `version: 1
connections:
  - id: corp
    name: Corp
    preset: generic-saml
    saml:
      subject: { attribute: "urn:oid:1.3.6.1.4.1.5923.1.1.1.13" }
      authn_contexts: [urn:a]
      idp: { entity_id: "http://idp.example/", sso_url: "https://idp.example/sso", certificates: [aGk=, "-----BEGIN CERTIFICATE-----"] }
`

func FuzzConnectionsFile(f *testing.F) {
	for _, seed := range []string{example, one(), oauth2(endpoints), samlSeed, "", "version: 1\nconnections: []\n", "a: &a [*a]\n", "<<: {a: 1}", "- - - - -", "{{{{", "[[[[", "a: |\n  b\n", "? a\n: b\n", "\"\\u0000\": 1", "a: .nan\n", "a: 1\n---\nb: 2\n", "x: !!binary aGk=\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		declared, err := connection.ParseFile(content, files)
		if err != nil {
			if declared != nil {
				t.Fatal("a refused file declares something")
			}
			return
		}
		for _, d := range declared {
			if !connection.IsID(d.ID) || d.Name == "" || blocks(d.Config) != 1 {
				t.Fatalf("%+v", d)
			}
			for _, issuer := range d.Config.Issuers(d.ID) {
				if !connection.ValidIssuer(issuer, d.Config.Protocol) {
					t.Fatalf("%q", issuer)
				}
			}
		}
	})
}
