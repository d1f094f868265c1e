// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const callback = "http://127.0.0.1:5003/sso/oidc/callback/dev"

// stage is the provider on a port and a real client of it.
type stage struct {
	issuer   string
	client   oauth2.Config
	provider *oidc.Provider
	browser  http.Client
}

func newStage(t *testing.T) stage {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	p, err := newProvider(options{Issuer: issuer, ClientID: "dify-sso", ClientSecret: "s&cret", RedirectURIs: []string{callback}, ConsumerURLs: []string{consumer}, Now: time.Now, Slow: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = p
	server.Start()
	t.Cleanup(server.Close)
	discovered, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	return stage{
		issuer: issuer, provider: discovered,
		client:  oauth2.Config{ClientID: "dify-sso", ClientSecret: "s&cret", RedirectURL: callback, Endpoint: discovered.Endpoint(), Scopes: []string{"openid", "email"}},
		browser: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// callbackOf posts the form of an authorization request without a browser.
func (s stage) callbackOf(t *testing.T, address, who string) url.Values {
	t.Helper()
	r, err := s.browser.PostForm(address, url.Values{"person": {who}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	to, err := r.Location()
	if err != nil || r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), callback+"?") {
		body, _ := io.ReadAll(r.Body)
		t.Fatalf("%d %s: %v", r.StatusCode, body, err)
	}
	if to.Query().Get("iss") != s.issuer || to.Query().Get("state") != "the-state" {
		t.Fatalf("%v", to)
	}
	return to.Query()
}

// login goes the whole way and gives the ID token, unverified, and what the verifier says.
func (s stage) login(t *testing.T, who string) (*oauth2.Token, string, error) {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	q := s.callbackOf(t, s.client.AuthCodeURL("the-state", oauth2.S256ChallengeOption(verifier), oidc.Nonce("the-nonce")), who)
	token, err := s.client.Exchange(t.Context(), q.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := s.provider.Verifier(&oidc.Config{ClientID: "dify-sso"}).Verify(t.Context(), raw)
	if err != nil {
		return token, "", err
	}
	return token, id.Nonce, id.VerifyAccessToken(token.AccessToken)
}

func TestPeopleWhoBehave(t *testing.T) {
	s := newStage(t)
	for who, name := range map[string]string{"alice": "Alice Liddell", "bob": "Bob Cratchit", "zhangwei": "张伟"} {
		t.Run(who, func(t *testing.T) {
			token, nonce, err := s.login(t, who)
			if err != nil || nonce != "the-nonce" {
				t.Fatalf("%q, %v", nonce, err)
			}
			info, err := s.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
			if err != nil {
				t.Fatal(err)
			}
			var c struct{ Name string }
			if err := info.Claims(&c); err != nil || c.Name != name || !info.EmailVerified || info.Email != who+"@corp.example" || info.Subject != "dev|"+who {
				t.Errorf("%+v, %+v, %v", info, c, err)
			}
		})
	}
}

func TestPeopleWhoDoNot(t *testing.T) {
	s := newStage(t)
	claimsOf := func(t *testing.T, who string) claims {
		token, _, err := s.login(t, who)
		if err != nil {
			t.Fatal(err)
		}
		info, err := s.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
		if err != nil {
			t.Fatal(err)
		}
		var c claims
		if err := info.Claims(&c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("OIDC-20 unverified e-mail", func(t *testing.T) {
		if c := claimsOf(t, "unverified"); c["email_verified"] != false {
			t.Error(c)
		}
	})
	t.Run("OIDC-22 no e-mail", func(t *testing.T) {
		if c := claimsOf(t, "nomail"); c["email"] != nil || c["sub"] == nil {
			t.Error(c)
		}
	})
	t.Run("OIDC-21 foreign e-mail", func(t *testing.T) {
		if c := claimsOf(t, "foreign"); c["email"] != "fay@elsewhere.example" {
			t.Error(c)
		}
	})
	t.Run("OIDC-24 too many groups", func(t *testing.T) {
		if groups, _ := claimsOf(t, "manygroups")["groups"].([]any); len(groups) != 1001 {
			t.Error(len(groups))
		}
	})
	t.Run("OIDC-24 overage", func(t *testing.T) {
		if c := claimsOf(t, "overage"); c["groups"] != nil || c["_claim_names"] == nil {
			t.Error(c)
		}
	})
	t.Run("OIDC-14 wrong nonce", func(t *testing.T) {
		if _, nonce, err := s.login(t, "wrongnonce"); err != nil || nonce == "the-nonce" {
			t.Errorf("%q, %v", nonce, err)
		}
	})
	t.Run("OIDC-12 expired token", func(t *testing.T) {
		_, _, err := s.login(t, "expired")
		if _, ok := errors.AsType[*oidc.TokenExpiredError](err); !ok {
			t.Error(err)
		}
	})
	t.Run("OIDC-11 wrong audience", func(t *testing.T) {
		if _, _, err := s.login(t, "wrongaudience"); err == nil || !strings.Contains(err.Error(), "audience") {
			t.Error(err)
		}
	})
	t.Run("OIDC-19 refuses consent", func(t *testing.T) {
		q := s.callbackOf(t, s.client.AuthCodeURL("the-state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), "refuses")
		if q.Get("error") != "access_denied" || q.Has("code") {
			t.Error(q)
		}
	})
	t.Run("SSO-69 slow", func(t *testing.T) {
		verifier := oauth2.GenerateVerifier()
		q := s.callbackOf(t, s.client.AuthCodeURL("the-state", oauth2.S256ChallengeOption(verifier)), "slow")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := s.client.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(verifier)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestRequests(t *testing.T) {
	s := newStage(t)
	for name, tc := range map[string]struct {
		edit func(url.Values)
		want string
	}{
		"OIDC-16 no PKCE":    {func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") }, "invalid_request"},
		"OIDC-16 plain PKCE": {func(q url.Values) { q.Set("code_challenge_method", "plain") }, "invalid_request"},
		"no openid":          {func(q url.Values) { q.Set("scope", "email") }, "invalid_scope"},
		"implicit":           {func(q url.Values) { q.Set("response_type", "token") }, "unsupported_response_type"},
		"prompt none":        {func(q url.Values) { q.Set("prompt", "none") }, "login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			u, _ := url.Parse(s.client.AuthCodeURL("the-state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))
			q := u.Query()
			tc.edit(q)
			u.RawQuery = q.Encode()
			if got := s.callbackOf(t, u.String(), "alice"); got.Get("error") != tc.want || got.Has("code") {
				t.Errorf("%v", got)
			}
		})
	}
	t.Run("nobody is sent to an address that is not registered", func(t *testing.T) {
		other := s.client
		other.RedirectURL = "http://127.0.0.1:5003/elsewhere"
		r, err := s.browser.PostForm(other.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), url.Values{"person": {"alice"}})
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusBadRequest || r.Header.Get("Location") != "" {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
	})
	t.Run("OIDC-16 a code of another verifier, and a code twice", func(t *testing.T) {
		verifier := oauth2.GenerateVerifier()
		address := s.client.AuthCodeURL("the-state", oauth2.S256ChallengeOption(verifier))
		code := s.callbackOf(t, address, "alice").Get("code")
		for _, v := range []string{oauth2.GenerateVerifier(), verifier} { // the first try has spent it
			_, err := s.client.Exchange(t.Context(), code, oauth2.VerifierOption(v))
			if refused, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refused.ErrorCode != "invalid_grant" {
				t.Errorf("%v", err)
			}
		}
	})
	t.Run("OIDC-32 a wrong secret", func(t *testing.T) {
		other := s.client
		other.ClientSecret = "wrong"
		_, err := other.Exchange(t.Context(), "x")
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refused.ErrorCode != "invalid_client" {
			t.Errorf("%v", err)
		}
	})
	t.Run("the page has a button for everybody", func(t *testing.T) {
		r, err := http.Get(s.client.AuthCodeURL("the-state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		body, _ := io.ReadAll(r.Body)
		for _, who := range peopleOf(byOIDC) {
			if !strings.Contains(string(body), `name="person" value="`+who.Key+`">`+who.Name()) {
				t.Errorf("no button for %s in\n%s", who.Key, body)
			}
		}
	})
	t.Run("userinfo without a token", func(t *testing.T) {
		r, err := http.Get(s.issuer + "/userinfo")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		var body struct{ Error string }
		if json.NewDecoder(r.Body).Decode(&body) != nil || r.StatusCode != 401 || body.Error != "invalid_token" {
			t.Errorf("%d %+v", r.StatusCode, body)
		}
	})
}

func TestSettings(t *testing.T) {
	none := func(string) string { return "" }
	t.Run("flags win over the environment", func(t *testing.T) {
		env := func(name string) string {
			return map[string]string{"DEVIDP_CLIENT_ID": "from-env", "DEVIDP_REDIRECT_URI": "http://a, http://b"}[name]
		}
		listen, o, err := settings([]string{"--client-id", "from-flag"}, env)
		if err != nil || listen != "127.0.0.1:5005" || o.Issuer != "http://127.0.0.1:5005" || o.ClientID != "from-flag" || o.ClientSecret == "" || !slices.Equal(o.RedirectURIs, []string{"http://a", "http://b"}) {
			t.Errorf("%s %+v %v", listen, o, err)
		}
	})
	for name, args := range map[string][]string{
		"not on a public address": {"--listen", "0.0.0.0:5005", "--redirect-uri", "http://a"},
		"not without a client":    {},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := settings(args, none); err == nil {
				t.Error("accepted")
			}
		})
	}
	t.Run("it serves until it is told to end", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out, w := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- run(ctx, []string{"--listen", "127.0.0.1:0", "--redirect-uri", "http://a"}, none, w) }()
		if _, err := out.Read(make([]byte, 200)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
