// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

func TestDeclare(t *testing.T) {
	const order = `{"name":"Okta","preset":"okta-oidc","oidc":{"issuer":"https://corp.okta.com"}}`
	t.Run("an order is read by the rules of the file, and may be completed later", func(t *testing.T) {
		c, err := connection.Declare([]byte(order), "")
		if err != nil {
			t.Fatal(err)
		}
		if !connection.IsID(c.ID) || !strings.HasPrefix(c.ID, "c-") || len(c.ID) != 12 || c.Config.OIDC.Issuer != "https://corp.okta.com" || !c.Listed {
			t.Errorf("%+v", c)
		}
		other, _ := connection.Declare([]byte(order), "")
		if other.ID == c.ID {
			t.Error("one id for two connections")
		}
	})
	t.Run("the id of the address", func(t *testing.T) {
		c, err := connection.Declare([]byte(order), "corp-okta")
		if err != nil || c.ID != "corp-okta" {
			t.Errorf("%s, %v", c.ID, err)
		}
		if _, err := connection.Declare([]byte(`{"id":"other",`+order[1:]), "corp-okta"); !errors.Is(err, connection.ErrInvalid) {
			t.Errorf("%v", err)
		}
	})
	for _, tc := range []struct{ name, body, path string }{
		{"an unknown member", `{"colour":1,` + order[1:], "colour"},
		{"SSO-81 a file of this host", `{"name":"O","preset":"okta-oidc","oidc":{"issuer":"https://corp.okta.com","client_secret_file":"/etc/shadow"}}`, "oidc.client_secret_file"},
		{"a member of the file", `{"enable":"force",` + order[1:], "enable"},
		{"a fingerprint sent back", `{"name":"O","preset":"okta-oidc","oidc":{"issuer":"https://corp.okta.com","client_secret":{"set":true}}}`, "oidc.client_secret"},
		{"the issuer of an account", `{"name":"O","preset":"okta-oidc","oidc":{"issuer":"dify:account"}}`, "oidc.issuer"},
	} {
		t.Run("SSO-84 "+tc.name, func(t *testing.T) {
			_, err := connection.Declare([]byte(tc.body), "")
			if !errors.Is(err, connection.ErrInvalid) {
				t.Fatalf("%v", err)
			}
			if !slices.ContainsFunc(fault.Of(err).Details(), func(d fault.Detail) bool {
				parts := make([]string, len(d.Loc))
				for i, l := range d.Loc {
					parts[i] = fmt.Sprint(l)
				}
				return strings.Join(parts, ".") == tc.path
			}) {
				t.Errorf("%v", fault.Of(err).Details())
			}
		})
	}
	t.Run("no JSON", func(t *testing.T) {
		if _, err := connection.Declare([]byte(`{"name":`), ""); !errors.Is(err, wire.ErrInvalidJSON) {
			t.Errorf("%v", err)
		}
	})
}

func TestPrivateKey(t *testing.T) {
	rsaKey := func(bits int) any {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	ec := func(curve elliptic.Curve) any {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	good := rsaKey(2048)
	for _, tc := range []struct {
		name, algorithm string
		key             any
		ok              bool
	}{
		{"RSA", "RS256", good, true},
		{"RSA for PSS", "PS256", good, true},
		{"RSA by default", "", good, true},
		{"RSA for ECDSA", "ES256", good, false},
		{"P-256", "ES256", ec(elliptic.P256()), true},
		{"P-256 for RSA", "RS256", ec(elliptic.P256()), false},
		{"P-384", "ES256", ec(elliptic.P384()), false},
		{"RSA of 1024 bits", "RS256", rsaKey(1024), false},
	} {
		t.Run("OIDC-32 "+tc.name, func(t *testing.T) {
			der, err := x509.MarshalPKCS8PrivateKey(tc.key)
			if err != nil {
				t.Fatal(err)
			}
			key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
			oidc := map[string]string{"issuer": "https://id.corp.example", "auth": "private_key_jwt", "private_key": key}
			if tc.algorithm != "" {
				oidc["key_algorithm"] = tc.algorithm
			}
			body, err := json.Marshal(map[string]any{"name": "Corp", "preset": "generic-oidc", "oidc": oidc})
			if err != nil {
				t.Fatal(err)
			}
			c, err := connection.Declare(body, "corp")
			if (err == nil) != tc.ok {
				t.Fatalf("%v", err)
			}
			if tc.ok && (c.Secrets.PrivateKey.Reveal() != key || c.Config.OIDC.AssertionAudience != "token_endpoint" || c.Config.OIDC.KeyAlgorithm == "") {
				t.Errorf("%+v", c.Config.OIDC)
			}
		})
	}
}

func TestPresets(t *testing.T) {
	want := []string{
		"adfs-saml", "entra-oidc", "entra-saml", "generic-oauth2", "generic-oidc", "generic-saml", "github", "gitlab",
		"google-oidc", "google-saml", "keycloak-oidc", "keycloak-saml", "okta-oidc", "okta-saml",
	}
	var got []string
	for _, p := range connection.Presets() {
		got = append(got, p.Name)
		t.Run(p.Name+" is complete but for what comes from the provider", func(t *testing.T) {
			if p.Title == "" || len(p.ToThem) == 0 || len(p.ToUs) == 0 || len(p.Notes) == 0 {
				t.Errorf("%+v", p)
			}
			if (p.Defaults.OIDC != nil) != (p.Defaults.Protocol == connection.OIDC) || (p.Defaults.OAuth2 != nil) != (p.Defaults.Protocol == connection.OAuth2) ||
				(p.Defaults.SAML != nil) != (p.Defaults.Protocol == connection.SAML) {
				t.Errorf("%+v", p.Defaults)
			}
			knows := func(value string) bool {
				return slices.ContainsFunc(p.ToThem, func(c connection.Copy) bool { return c.Value == value })
			}
			whole := p.Defaults.SAML != nil && knows(connection.MetadataAddress)
			if !knows(connection.RedirectURI) && !whole || p.Defaults.SAML != nil && !knows(connection.EntityID) && !whole {
				t.Errorf("the provider does not learn where to answer, or whom: %+v", p.ToThem)
			}
		})
		t.Run(p.Name+" is data that nobody can change for others", func(t *testing.T) {
			if p.Defaults.OIDC != nil {
				p.Defaults.OIDC.Scopes[0] = "changed"
				again, _ := connection.PresetNamed(p.Name)
				if again.Defaults.OIDC.Scopes[0] != "openid" {
					t.Error("a preset was changed")
				}
			}
			if p.Defaults.SAML != nil {
				p.Defaults.SAML.Signed = "changed"
				again, _ := connection.PresetNamed(p.Name)
				if again.Defaults.SAML.Signed != connection.SignedEither {
					t.Error("a preset was changed")
				}
			}
		})
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
