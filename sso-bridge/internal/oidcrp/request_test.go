// SPDX-License-Identifier: Apache-2.0

package oidcrp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

func query(t *testing.T, p *party, r login.Request) url.Values {
	t.Helper()
	address, err := p.Address(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Scheme + "://" + u.Host + u.Path; got != p.idp.URL+"/authorize" {
		t.Errorf("sent to %s", got)
	}
	if strings.Contains(address.URL, r.Material.Verifier.Reveal()) {
		t.Error("the verifier stands in the address")
	}
	return u.Query()
}

func TestAuthorizationRequest(t *testing.T) {
	p := newParty(t)
	r := p.request()
	t.Run("SSO-68 OIDC-16 code flow, S256, nonce, the handle as state, and no more", func(t *testing.T) {
		want := url.Values{
			"response_type": {"code"}, "client_id": {idptest.ClientID}, "redirect_uri": {callback}, "scope": {"openid email profile"},
			"state": {r.State.Reveal()}, "nonce": {r.Material.Nonce.Reveal()},
			"code_challenge": {oauth2.S256ChallengeFromVerifier(r.Material.Verifier.Reveal())}, "code_challenge_method": {"S256"},
		}
		if got := query(t, p, r); got.Encode() != want.Encode() {
			t.Errorf("%v\nwant %v", got, want)
		}
	})
	for _, tc := range []struct {
		name string
		set  func(*party, *login.Request)
		want url.Values
	}{
		{"the typed address", func(_ *party, r *login.Request) { r.Material.LoginHint = "a+b@corp.example" }, url.Values{"login_hint": {"a+b@corp.example"}}},
		{"a fresh sign-in of the attempt", func(_ *party, r *login.Request) { r.Material.ForceAuthn = true }, url.Values{"prompt": {"login"}, "max_age": {"0"}}},
		{"a fresh sign-in of the connection, whatever its prompt", func(p *party, _ *login.Request) { p.config().ForceAuthn = true; p.oidc().Prompt = "select_account" }, url.Values{"prompt": {"login"}, "max_age": {"0"}}},
		{"prompt", func(p *party, _ *login.Request) { p.oidc().Prompt = "select_account" }, url.Values{"prompt": {"select_account"}, "max_age": nil}},
		{"acr_values", func(p *party, _ *login.Request) { p.oidc().ACRValues = []string{"mfa", "phr"} }, url.Values{"acr_values": {"mfa phr"}}},
		{"form_post", func(p *party, _ *login.Request) { p.oidc().ResponseMode = "form_post" }, url.Values{"response_mode": {"form_post"}}},
		{"openid is always asked for", func(p *party, _ *login.Request) { p.oidc().Scopes = []string{"email"} }, url.Values{"scope": {"openid email"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := beside(t, p.idp)
			r := p.request()
			tc.set(p, &r)
			r.Serving = p.serving
			got := query(t, p, r)
			for name, value := range tc.want {
				if strings.Join(got[name], "|") != strings.Join(value, "|") {
					t.Errorf("%s is %q, want %q", name, got[name], value)
				}
			}
		})
	}
	t.Run("an endpoint with a query of its own keeps it", func(t *testing.T) {
		p.idp.Reset()
		p.idp.Discovery(func(d map[string]any) { d["authorization_endpoint"] = p.idp.URL + "/authorize?tenant=a%20b" })
		p := beside(t, p.idp)
		if got := query(t, p, p.request()); got.Get("tenant") != "a b" || got.Get("state") == "" {
			t.Errorf("%v", got)
		}
		p.idp.Reset()
	})
	t.Run("OIDC-16 an attempt without verifier, nonce or handle is not sent", func(t *testing.T) {
		for _, take := range []func(*login.Request){
			func(r *login.Request) { r.Material.Verifier = secret.Text{} }, func(r *login.Request) { r.Material.Nonce = secret.Text{} }, func(r *login.Request) { r.State = secret.Text{} },
		} {
			r := p.request()
			take(&r)
			if _, err := p.Address(t.Context(), r); codeOf(err) != failure.Internal {
				t.Error(err)
			}
		}
	})
}

func TestAttemptsAreNotMixed(t *testing.T) {
	p := newParty(t)
	start := func() (login.Request, url.Values) {
		r := p.request()
		address, err := p.Address(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return r, p.idp.SignIn(t, address.URL)
	}
	t.Run("SSO-68 OIDC-16 another verifier is refused by the provider", func(t *testing.T) {
		r, back := start()
		r.Material.Verifier = secret.New(oauth2.GenerateVerifier())
		if _, _, err := p.finish(t, r, back); codeOf(err) != failure.TokenEndpoint || failure.Of(err).Facts["error"] != "invalid_grant" {
			t.Error(err)
		}
	})
	t.Run("OIDC-15 the code of another attempt", func(t *testing.T) {
		victim, _ := start()
		_, attacker := start()
		if _, _, err := p.finish(t, victim, attacker); codeOf(err) != failure.TokenEndpoint {
			t.Error(err)
		}
	})
	t.Run("OIDC-14 the ID token of another attempt", func(t *testing.T) {
		r, back := start()
		r.Material.Nonce = secret.New("AAAAAAAAAAAAAAAAAAAAAA")
		_, _, err := p.finish(t, r, back)
		if codeOf(err) != failure.OIDCNonce || failure.Of(err).Facts["present"] != "true" {
			t.Error(err)
		}
	})
	t.Run("OIDC-14 an ID token that was used before", func(t *testing.T) {
		defer p.idp.Reset()
		old := ""
		p.idp.Answer(func(m map[string]any) {
			if old == "" {
				old, _ = m["id_token"].(string)
			}
			m["id_token"] = old
		})
		p.must(t)
		p.idp.Claim("at_hash", nil)
		p.refused(t, failure.OIDCNonce)
	})
	t.Run("OIDC-18 the answer of another provider", func(t *testing.T) {
		other := newParty(t)
		r, _ := start()
		theirs := other.request()
		address, err := other.Address(t.Context(), theirs)
		if err != nil {
			t.Fatal(err)
		}
		calls := p.idp.Count(idptest.TokenEndpoint)
		if _, _, err := p.finish(t, r, other.idp.SignIn(t, address.URL)); codeOf(err) != failure.OIDCIssuer || failure.Of(err).Facts["where"] != "callback" {
			t.Error(err)
		}
		if p.idp.Count(idptest.TokenEndpoint) != calls || other.idp.Count(idptest.TokenEndpoint) != 0 {
			t.Error("the code went to a token endpoint")
		}
	})
}

func TestIssuerOfTheCallback(t *testing.T) {
	idp := idptest.New(t)
	for _, tc := range []struct {
		name      string
		announced bool
		set       func(url.Values)
		want      failure.Code
	}{
		{"SSO-67 announced and right", true, func(url.Values) {}, ""},
		{"SSO-67 announced and absent", true, func(v url.Values) { v.Del("iss") }, failure.OIDCIssuer},
		{"SSO-67 announced and wrong", true, func(v url.Values) { v.Set("iss", "https://evil.example") }, failure.OIDCIssuer},
		{"SSO-67 announced and in other case", true, func(v url.Values) { v.Set("iss", strings.ToUpper(v.Get("iss"))) }, failure.OIDCIssuer},
		{"SSO-67 not announced and absent", false, func(url.Values) {}, ""},
		{"SSO-67 not announced and right", false, func(v url.Values) { v.Set("iss", idp.URL) }, ""},
		{"SSO-67 not announced and wrong", false, func(v url.Values) { v.Set("iss", "https://evil.example") }, failure.OIDCIssuer},
		{"SSO-67 not announced and empty", false, func(v url.Values) { v.Set("iss", "") }, failure.OIDCIssuer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			idp.Reset()
			idp.AnnounceIssuer(tc.announced)
			idp.Callback(tc.set)
			p := beside(t, idp)
			calls := idp.Count(idptest.TokenEndpoint)
			if _, _, err := p.signIn(t); codeOf(err) != tc.want {
				t.Errorf("%v", err)
			}
			if tc.want != "" && idp.Count(idptest.TokenEndpoint) != calls {
				t.Error("the code was sent although the issuer is wrong")
			}
		})
	}
}

func TestASharedCallback(t *testing.T) {
	for name, want := range map[string]failure.Code{"absent": failure.OIDCIssuer, "right": "", "wrong": failure.OIDCIssuer} {
		t.Run("OIDC-18 iss is not announced, the address is several connections' and iss is "+name, func(t *testing.T) {
			p := newParty(t)
			p.idp.AnnounceIssuer(false)
			r := p.request()
			r.Shared = true
			address, err := p.Address(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			back := p.idp.SignIn(t, address.URL)
			switch name {
			case "right":
				back.Set("iss", p.idp.URL)
			case "wrong":
				back.Set("iss", "https://evil.example")
			}
			if _, _, err := p.finish(t, r, back); codeOf(err) != want || want != "" && p.idp.Count(idptest.TokenEndpoint) != 0 {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRefusalOfTheProvider(t *testing.T) {
	p := newParty(t)
	r := p.request()
	_, err := p.Verify(t.Context(), login.Answer{
		Request: r, Issuer: p.idp.URL, IssuerSent: true, Error: "server_error", Description: "line\n\x1b[31m" + strings.Repeat("d", 300),
	}, &login.Trace{})
	t.Run("OIDC-19 the description goes to the trace alone, cut and printable", func(t *testing.T) {
		f := failure.Of(err)
		if f.Code != failure.OIDCProviderError || f.Facts["error"] != "server_error" || len(f.Facts["description"]) != 200 || strings.ContainsAny(f.Facts["description"], "\n\x1b") {
			t.Errorf("%+v", f)
		}
		if strings.Contains(err.Error(), "ddd") {
			t.Error("the error shows the description")
		}
	})
	t.Run("OIDC-17 neither code nor error", func(t *testing.T) {
		_, err := p.Verify(t.Context(), login.Answer{Request: r, Issuer: p.idp.URL, IssuerSent: true}, &login.Trace{})
		if codeOf(err) != failure.CallbackMalformed || p.idp.Count(idptest.TokenEndpoint) != 0 {
			t.Error(err)
		}
	})
}

func TestConfiguredEndpoints(t *testing.T) {
	p := newParty(t)
	p.idp.Replace(idptest.Discovery, http.NotFound)
	p.oidc().Endpoints = &connection.OIDCEndpoints{
		Authorization: p.idp.URL + "/authorize", Token: p.idp.URL + "/token", JWKS: p.idp.URL + "/jwks", IssuerInCallback: true,
	}
	p.must(t)
	if n := p.idp.Count(idptest.Discovery); n != 0 {
		t.Errorf("discovery was read %d times", n)
	}
	p.idp.Callback(func(v url.Values) { v.Del("iss") })
	p.refused(t, failure.OIDCIssuer)
	p.oidc().Endpoints.Token = "http://idp.example/token"
	p.refused(t, failure.OIDCDiscovery)
}
