// SPDX-License-Identifier: Apache-2.0

package oauth2rp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/oauth2rp"
)

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	code     = "the-code"
	bearer   = "gho_16C7e42F292c6912E7710c838347Ae178B4a"
	callback = "https://sso.corp.example/sso/oauth2/callback/github"
)

// peer is a provider whose answers a test writes.
type peer struct {
	*httptest.Server
	token    reply // empty for a good one
	get      map[string]reply
	requests []*http.Request
	form     url.Values // of the token request
}

type reply struct {
	status      int
	contentType string
	body        string
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{get: map[string]reply{}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *peer) serve(w http.ResponseWriter, r *http.Request) {
	p.requests = append(p.requests, r)
	if r.URL.Path == "/token" {
		_ = r.ParseForm()
		p.form = r.PostForm
		answer := p.token
		if answer == (reply{}) {
			answer = reply{body: `{"access_token":"` + bearer + `","token_type":"bearer","scope":"user:email"}`}
		}
		answer.write(w)
		return
	}
	answer, ok := p.get[r.URL.Path]
	if !ok {
		answer = reply{status: http.StatusNotFound, body: `{"message":"Not Found"}`}
	}
	if r.Header.Get("Authorization") != "Bearer "+bearer {
		answer = reply{status: http.StatusUnauthorized, body: `{}`}
	}
	answer.write(w)
}

func (r reply) write(w http.ResponseWriter) {
	kind := r.contentType
	if kind == "" {
		kind = "application/json; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	if r.status >= 300 && r.status < 400 {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(max(r.status, http.StatusOK))
	_, _ = w.Write([]byte(r.body))
}

// answer is a callback of a connection to the peer.
func (p *peer) answer(edit ...func(*login.Answer)) login.Answer {
	a := login.Answer{Code: secret.New(code), Request: login.Request{State: secret.New("the-handle"), RedirectURI: callback, Material: login.Material{Verifier: secret.New(verifier)}}}
	a.Serving.ID = "github"
	a.Serving.Secrets.ClientSecret = secret.New("s&cret")
	a.Serving.Config = connection.Config{
		Protocol: connection.OAuth2,
		Claims:   connection.ClaimNames{Subject: "id", Email: "email", EmailVerified: "email_verified", Name: "name"},
		OAuth2: &connection.OAuth2Config{
			ClientID: "Iv1.a1b2", Auth: connection.AuthPost, Kind: connection.KindGitHub, PKCE: connection.PKCES256,
			AuthorizationURL: p.URL + "/authorize?tenant=1", TokenURL: p.URL + "/token", UserinfoURL: p.URL + "/user", Scopes: []string{"read:user", "user:email"},
		},
	}
	for _, e := range edit {
		e(&a)
	}
	return a
}

func provider(t *testing.T) *oauth2rp.Provider {
	t.Helper()
	client, err := egress.New(egress.Options{Allow: []string{"127.0.0.1"}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	lines := egress.NewCircuits(client, time.Now)
	p, err := oauth2rp.New(oauth2rp.Deps{Client: func(id string) oauth2rp.Doer { return lines.For(id) }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// admitted maps what Verify gives, as a login does, and names the refusal of either.
func admitted(t *testing.T, a login.Answer) (identity.Identity, *failure.Error) {
	t.Helper()
	claims, err := provider(t).Verify(t.Context(), a, &login.Trace{})
	if err == nil {
		var id identity.Identity
		if id, err = identity.Map(t.Context(), claims, a.Serving.ID, a.Serving.Config, nobody{}); err == nil {
			return id, nil
		}
	}
	refusal, ok := errors.AsType[*failure.Error](err)
	if !ok {
		t.Fatalf("not a refusal of the catalogue: %v", err)
	}
	entry, _ := failure.About(refusal.Code)
	for field := range refusal.Facts {
		if !slices.Contains(entry.Fields, field) {
			t.Errorf("%s has no field %s", refusal.Code, field)
		}
	}
	if text := fmt.Sprint(refusal.Facts, refusal.Expected, refusal.Got, refusal); strings.Contains(text, bearer) || strings.Contains(text, "s&cret") || strings.Contains(text, code) {
		t.Errorf("a secret in %s", text)
	}
	return identity.Identity{}, refusal
}

func wants(t *testing.T, refusal *failure.Error, want failure.Code) {
	t.Helper()
	if want == "" && refusal != nil || want != "" && (refusal == nil || refusal.Code != want) {
		t.Fatalf("%v, want %q", refusal, want)
	}
}

func TestAddress(t *testing.T) {
	p := newPeer(t)
	ask := func(edit ...func(*login.Answer)) url.Values {
		to, err := provider(t).Address(t.Context(), p.answer(edit...).Request)
		if err != nil {
			t.Fatal(err)
		}
		raw := to.URL
		u, err := url.Parse(raw)
		if err != nil || !strings.HasPrefix(raw, p.URL+"/authorize?") {
			t.Fatal(raw, err)
		}
		if strings.Contains(raw, verifier) {
			t.Error("the verifier travels")
		}
		return u.Query()
	}
	t.Run("SSO-68 OIDC-16 S256 challenge, handle as state, exact redirect address, no verifier", func(t *testing.T) {
		sum := sha256.Sum256([]byte(verifier))
		want := url.Values{
			"tenant": {"1"}, "response_type": {"code"}, "client_id": {"Iv1.a1b2"}, "redirect_uri": {callback}, "state": {"the-handle"}, "scope": {"read:user user:email"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		}
		if got := ask(); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%v", got)
		}
	})
	t.Run("OIDC-16 pkce off leaves the challenge out and nothing else", func(t *testing.T) {
		got := ask(func(a *login.Answer) { a.Serving.Config.OAuth2.PKCE = connection.PKCEOff })
		if got.Has("code_challenge") || got.Has("code_challenge_method") || got.Get("state") != "the-handle" {
			t.Errorf("%v", got)
		}
	})
}

func TestTokenRequest(t *testing.T) {
	for _, tc := range []struct {
		name, auth, pkce, basic string
		want                    url.Values
	}{
		{"secret in the body", connection.AuthPost, connection.PKCES256, "", url.Values{"client_id": {"Iv1.a1b2"}, "client_secret": {"s&cret"}, "code_verifier": {verifier}}},
		{"secret in the header, form-encoded first", connection.AuthBasic, connection.PKCES256, "Iv1.a1b2:s%26cret", url.Values{"code_verifier": {verifier}}},
		{"pkce off", connection.AuthBasic, connection.PKCEOff, "Iv1.a1b2:s%26cret", url.Values{}},
	} {
		t.Run("OIDC-32 "+tc.name, func(t *testing.T) {
			p := newPeer(t)
			good(p)
			if _, refusal := admitted(t, p.answer(func(a *login.Answer) { a.Serving.Config.OAuth2.Auth, a.Serving.Config.OAuth2.PKCE = tc.auth, tc.pkce })); refusal != nil {
				t.Fatal(refusal)
			}
			tc.want.Set("grant_type", "authorization_code")
			tc.want.Set("code", code)
			tc.want.Set("redirect_uri", callback)
			if !maps.EqualFunc(p.form, tc.want, slices.Equal) {
				t.Errorf("%v", p.form)
			}
			want := ""
			if tc.basic != "" {
				want = "Basic " + base64.StdEncoding.EncodeToString([]byte(tc.basic))
			}
			if got := p.requests[0].Header.Get("Authorization"); got != want {
				t.Errorf("Authorization %q", got)
			}
		})
	}
}

func TestTokenAnswer(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer reply
		want   failure.Code
		public ssocode.Code
	}{
		{"a form", reply{contentType: "application/x-www-form-urlencoded; charset=utf-8", body: "access_token=" + bearer + "&token_type=bearer"}, "", ""},
		{"no token_type", reply{body: `{"access_token":"` + bearer + `"}`}, "", ""},
		{"token_type in upper case", reply{body: `{"access_token":"` + bearer + `","token_type":"BEARER"}`}, "", ""},
		{"token_type mac", reply{body: `{"access_token":"` + bearer + `","token_type":"mac"}`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"no access_token", reply{body: `{"token_type":"bearer"}`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"access_token of another type", reply{body: `{"access_token":[1]}`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"two access_tokens", reply{body: `{"access_token":"a","access_token":"` + bearer + `"}`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"two access_tokens of a form", reply{contentType: "application/x-www-form-urlencoded", body: "access_token=a&access_token=" + bearer}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"a token that would split a header", reply{body: `{"access_token":"a\r\nX: y"}`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"a list", reply{body: `["` + bearer + `"]`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"SSO-75 200 with error", reply{body: `{"error":"bad_verification_code","access_token":"` + bearer + `"}`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"SSO-75 200 with error in a form", reply{contentType: "application/x-www-form-urlencoded", body: "error=bad_verification_code"}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"400", reply{status: 400, body: `{"error":"invalid_client"}`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"201", reply{status: 201, body: `{"access_token":"` + bearer + `"}`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"text/html", reply{contentType: "text/html", body: `{"access_token":"` + bearer + `"}`}, failure.TokenEndpoint, ssocode.ResponseRefused},
		{"500", reply{status: 500}, failure.TokenEndpoint, ssocode.ProviderSilent},
		{"SSO-69 307 is not followed", reply{status: 307}, failure.TokenEndpoint, ssocode.ProviderSilent},
	} {
		name := tc.name
		if !strings.HasPrefix(name, "SSO") {
			name = "OIDC-27 " + name
		}
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			good(p)
			p.token = tc.answer
			_, refusal := admitted(t, p.answer())
			wants(t, refusal, tc.want)
			if refusal != nil && refusal.Public != tc.public {
				t.Errorf("public %s", refusal.Public)
			}
			posts := 0
			for _, r := range p.requests {
				if r.Method == http.MethodPost {
					posts++
				}
			}
			if posts != 1 {
				t.Errorf("the code was sent %d times", posts)
			}
		})
	}
	t.Run("SSO-69 a provider that is gone", func(t *testing.T) {
		p := newPeer(t)
		a := p.answer()
		p.Close()
		_, refusal := admitted(t, a)
		wants(t, refusal, failure.TokenEndpoint)
		if refusal.Public != ssocode.ProviderSilent || refusal.Facts["cause"] == "" {
			t.Errorf("%s, %v", refusal.Public, refusal.Facts)
		}
	})
}

func TestRefusedByProvider(t *testing.T) {
	p := newPeer(t)
	for said, want := range map[string]failure.Code{"access_denied": failure.OIDCDenied, "application_suspended": failure.OIDCProviderError, "invalid_scope": failure.OIDCProviderError} {
		t.Run("OIDC-19 "+said, func(t *testing.T) {
			_, refusal := admitted(t, p.answer(func(a *login.Answer) { a.Code, a.Error, a.Description = secret.Text{}, said, "no" }))
			wants(t, refusal, want)
			if len(p.requests) != 0 {
				t.Error("the provider was asked all the same")
			}
		})
	}
}

func TestForceAuthn(t *testing.T) {
	p := newPeer(t)
	good(p)
	var trace login.Trace
	claims, err := provider(t).Verify(t.Context(), p.answer(func(a *login.Answer) { a.Material.ForceAuthn = true }), &trace)
	if err != nil {
		t.Fatal(err)
	}
	if claims.AuthTime != 0 || !slices.ContainsFunc(trace.Steps, func(s login.Step) bool { return s.Name == "force_authn_ignored" }) {
		t.Errorf("%+v, %+v", claims, trace)
	}
	if u, _ := url.Parse(p.URL); trace.ProviderHost != u.Host || trace.ProviderStatus != 200 {
		t.Errorf("%+v", trace)
	}
}

func TestASharedCallback(t *testing.T) {
	t.Run("OIDC-18 nobody signs in at an address that other connections have too", func(t *testing.T) {
		p := newPeer(t)
		a := p.answer(func(a *login.Answer) { a.Shared = true })
		address, out := provider(t).Address(t.Context(), a.Request)
		_, back := provider(t).Verify(t.Context(), a, &login.Trace{})
		for _, err := range []error{out, back} {
			if !errors.Is(err, failure.New(failure.OIDCIssuer)) {
				t.Error(err)
			}
		}
		if address.URL != "" || len(p.requests) != 0 {
			t.Error("the provider was asked")
		}
	})
}
