// SPDX-License-Identifier: Apache-2.0

package oidcrp_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
)

func pemOf(t *testing.T, k idptest.Key) secret.Text {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func TestClientAuthentication(t *testing.T) {
	p := newParty(t)
	t.Run("OIDC-32 client_secret_basic, both parts encoded", func(t *testing.T) {
		p.must(t)
		header, form := p.idp.LastTokenRequest()
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte(idptest.ClientID+":"+url.QueryEscape(idptest.ClientSecret)))
		if header.Get("Authorization") != want || form.Has("client_secret") || form.Has("client_id") {
			t.Errorf("%q %v", header.Get("Authorization"), form)
		}
		if form.Get("grant_type") != "authorization_code" || form.Get("redirect_uri") != callback || len(form.Get("code_verifier")) != 43 {
			t.Errorf("%v", form)
		}
	})
	t.Run("OIDC-32 client_secret_post", func(t *testing.T) {
		p.oidc().Auth = "client_secret_post"
		p.must(t)
		if header, form := p.idp.LastTokenRequest(); header.Get("Authorization") != "" || form.Get("client_secret") != idptest.ClientSecret {
			t.Errorf("%q %v", header.Get("Authorization"), form)
		}
	})
	t.Run("OIDC-32 OIDC-34 a wrong secret is not tried another way", func(t *testing.T) {
		p := beside(t, p.idp)
		p.serving.Secrets.ClientSecret = secret.New("wrong-canary")
		before := p.idp.Count(idptest.TokenEndpoint)
		f := p.refused(t, failure.TokenEndpoint)
		if p.idp.Count(idptest.TokenEndpoint) != before+1 || f.Facts["status"] != "401" || f.Facts["error"] != "invalid_client" {
			t.Errorf("%v after %d calls", f.Facts, p.idp.Count(idptest.TokenEndpoint)-before)
		}
		if strings.Contains(f.Error()+p.log.String(), "canary") {
			t.Error("the secret stands in the error or the log")
		}
	})
	for _, tc := range []struct {
		name, algorithm, audience string
		key                       idptest.Key
	}{
		{"OIDC-32 private_key_jwt by RS256", "RS256", "", idptest.RSA()},
		{"OIDC-32 private_key_jwt by PS256 for the token endpoint", "PS256", "token_endpoint", idptest.RSA()},
		{"OIDC-32 private_key_jwt by ES256 for the issuer", "ES256", "issuer", idptest.EC("client")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := beside(t, p.idp)
			p.idp.ClientKey(tc.key.Private.Public())
			p.oidc().Auth, p.oidc().KeyAlgorithm, p.oidc().KeyID, p.oidc().AssertionAudience = "private_key_jwt", tc.algorithm, "client-key", tc.audience
			p.serving.Secrets.ClientSecret, p.serving.Secrets.PrivateKey = secret.Text{}, pemOf(t, tc.key)
			seen := map[string]bool{}
			for range 2 {
				p.must(t)
				_, form := p.idp.LastTokenRequest()
				parts := strings.Split(form.Get("client_assertion"), ".")
				var head, claims map[string]any
				for i, into := range []*map[string]any{&head, &claims} {
					raw, err := base64.RawURLEncoding.DecodeString(parts[i])
					if err != nil || json.Unmarshal(raw, into) != nil {
						t.Fatal(err)
					}
				}
				want := p.idp.URL + "/token"
				if tc.audience == "issuer" {
					want = p.idp.URL
				}
				if head["alg"] != tc.algorithm || head["kid"] != "client-key" || claims["iss"] != idptest.ClientID || claims["sub"] != idptest.ClientID || claims["aud"] != want {
					t.Errorf("%v %v", head, claims)
				}
				if life := claims["exp"].(float64) - claims["iat"].(float64); life != 60 {
					t.Errorf("it lives %v s", life)
				}
				id, _ := claims["jti"].(string)
				if len(id) != 22 || seen[id] {
					t.Errorf("jti %q", id)
				}
				seen[id] = true
			}
		})
	}
	t.Run("what cannot be done is a defect of the configuration", func(t *testing.T) {
		for _, set := range []func(*party){
			func(p *party) { p.oidc().Auth = "none" },
			func(p *party) { p.oidc().Auth = "private_key_jwt"; p.oidc().KeyAlgorithm = "RS256" },
			func(p *party) {
				p.oidc().Auth, p.oidc().KeyAlgorithm = "private_key_jwt", "HS256"
				p.serving.Secrets.PrivateKey = pemOf(t, idptest.RSA())
			},
			func(p *party) { p.config().OIDC = nil },
		} {
			p := beside(t, p.idp)
			set(p)
			p.refused(t, failure.Internal)
		}
	})
	t.Run("older forms of a key", func(t *testing.T) {
		ec := idptest.EC("client")
		der, err := x509.MarshalECPrivateKey(ec.Private.(*ecdsa.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		p := beside(t, p.idp)
		p.idp.ClientKey(ec.Private.Public())
		p.oidc().Auth, p.oidc().KeyAlgorithm = "private_key_jwt", "ES256"
		p.serving.Secrets.PrivateKey = secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
		p.must(t)
	})
}
