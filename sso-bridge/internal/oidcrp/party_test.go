// SPDX-License-Identifier: Apache-2.0

package oidcrp_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/oidcrp"
)

const callback = "https://sso.corp.example/sso/oidc/callback/corp"

// party is a relying party beside one provider.
type party struct {
	*oidcrp.Provider
	idp     *idptest.Provider
	serving connection.Serving
	clock   *clock
	log     *bytes.Buffer
	// circuits are kept for a process that begins anew.
	circuits *egress.Circuits
}

// follower takes every document, as a store of pins would whose provider never moves.
type follower struct {
	mu  sync.Mutex
	all map[string]connection.Discovered
}

func (f *follower) Pinned(_ context.Context, id, source string) (connection.Discovered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[id+source], nil
}

func (f *follower) Settle(_ context.Context, id, source string, found connection.Discovered, _ bool) (connection.Discovered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[id+source] = found
	return found, nil
}

type clock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += d
}

func newParty(t testing.TB, set ...func(*egress.Options)) *party {
	t.Helper()
	return beside(t, idptest.New(t), set...)
}

// beside makes a relying party without memory for a provider that runs already.
func beside(t testing.TB, idp *idptest.Provider, set ...func(*egress.Options)) *party {
	t.Helper()
	p := &party{idp: idp, clock: &clock{}, log: &bytes.Buffer{}}
	idp.Clock(p.clock.now)
	options := egress.Options{Allow: []string{"127.0.0.1"}, Roots: idp.Roots(), Now: time.Now}
	for _, f := range set {
		f(&options)
	}
	client, err := egress.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p.circuits = egress.NewCircuits(client, p.clock.now)
	p.restart(t, &follower{all: map[string]connection.Discovered{}})
	p.serving = connection.Serving{
		Connection: connection.Connection{ID: "corp"},
		Revision: connection.Revision{
			Config: connection.Config{
				Protocol: connection.OIDC,
				OIDC:     &connection.OIDCConfig{Issuer: idp.URL, ClientID: idptest.ClientID, Auth: "client_secret_basic", Scopes: []string{"openid", "email", "profile"}},
				Claims:   connection.ClaimNames{Subject: "sub", Email: "email", EmailVerified: "email_verified", Name: "name", Groups: "groups"},
			},
			Secrets: connection.Secrets{ClientSecret: secret.New(idptest.ClientSecret)},
		},
	}
	return p
}

// restart has a process without memory take over.
func (p *party) restart(t testing.TB, pins oidcrp.Pins) {
	t.Helper()
	provider, err := oidcrp.New(oidcrp.Deps{Circuits: p.circuits, Pins: pins, Now: p.clock.now, Log: slog.New(slog.NewTextHandler(p.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p.Provider = provider
}

func (p *party) config() *connection.Config   { return &p.serving.Config }
func (p *party) oidc() *connection.OIDCConfig { return p.serving.Config.OIDC }

func (p *party) request() login.Request {
	return login.Request{
		Serving: p.serving, State: secret.New("handle-" + oauth2.GenerateVerifier()[:36]), RedirectURI: callback,
		Material: login.Material{
			Verifier: secret.New(oauth2.GenerateVerifier()), Nonce: secret.New(oauth2.GenerateVerifier()[:22]), RequestedAt: p.clock.now(),
		},
	}
}

// answerOf reads a callback as the transport does.
func answerOf(r login.Request, back url.Values) login.Answer {
	return login.Answer{
		Request: r, Code: secret.New(back.Get("code")), Error: back.Get("error"), Description: back.Get("error_description"),
		Issuer: back.Get("iss"), IssuerSent: back.Has("iss"),
	}
}

// signIn runs one login.
func (p *party) signIn(t testing.TB) (identity.Claims, login.Trace, error) {
	t.Helper()
	r := p.request()
	address, err := p.Address(t.Context(), r)
	if err != nil {
		return identity.Claims{}, login.Trace{}, err
	}
	return p.finish(t, r, p.idp.SignIn(t, address.URL))
}

func (p *party) finish(t testing.TB, r login.Request, back url.Values) (identity.Claims, login.Trace, error) {
	t.Helper()
	var trace login.Trace
	c, err := p.Verify(t.Context(), answerOf(r, back), &trace)
	return c, trace, err
}

func (p *party) must(t testing.TB) identity.Claims {
	t.Helper()
	c, _, err := p.signIn(t)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func codeOf(err error) failure.Code {
	if err == nil {
		return ""
	}
	return failure.Of(err).Code
}

// refused signs in, expects the code, and gives a copy of the refusal.
func (p *party) refused(t testing.TB, want failure.Code) failure.Error {
	t.Helper()
	_, _, err := p.signIn(t)
	if got := codeOf(err); got != want {
		t.Fatalf("%q (%v), want %q", got, err, want)
	}
	if err == nil {
		return failure.Error{}
	}
	return *failure.Of(err)
}
