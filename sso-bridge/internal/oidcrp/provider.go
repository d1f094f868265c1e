// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// Deps is what a Provider needs. All fields are required.
type Deps struct {
	Circuits *egress.Circuits
	Pins     Pins
	Now      func() time.Time
	Log      *slog.Logger
}

// Provider implements login.Provider for every OpenID Connect connection. It is safe for
// concurrent use.
type Provider struct {
	Deps
	mu      sync.Mutex
	sources map[string]*source
}

var _ login.Provider = (*Provider)(nil)

// New checks the dependencies. Nothing is called before the first login.
func New(d Deps) (*Provider, error) {
	if d.Circuits == nil || d.Pins == nil || d.Now == nil || d.Log == nil {
		return nil, errors.New("oidcrp: circuits, pins, clock and log are required")
	}
	return &Provider{Deps: d, sources: map[string]*source{}}, nil
}

// exchange is one login as this package sees it.
type exchange struct {
	*Provider
	request login.Request
	config  connection.Config
	oidc    connection.OIDCConfig
	line    egress.Line
	source  *source
	trace   *login.Trace
	// endpoints are the provider's, once discovery is done.
	endpoints connection.OIDCEndpoints
}

func (p *Provider) begin(r login.Request, t *login.Trace) (*exchange, error) {
	c := r.Serving.Config
	if c.OIDC == nil {
		return nil, failure.New(failure.Internal).Because(errors.New("oidcrp: the connection has no OpenID provider"))
	}
	t.Issuer = c.OIDC.Issuer
	t.ProviderHost = failure.HostOf(c.OIDC.Issuer)
	id := r.Serving.ID
	return &exchange{
		Provider: p, request: r, config: c, oidc: *c.OIDC, trace: t,
		line: p.Circuits.For(id), source: p.sourceOf(id, c.OIDC.Issuer),
	}, nil
}

// Address gives the authorization request (OpenID Connect Core section 3.1.2.1): code
// flow with PKCE always (RFC 7636), the handle as state. The verifier is not in it.
func (p *Provider) Address(ctx context.Context, r login.Request) (login.Destination, error) {
	x, err := p.begin(r, &login.Trace{})
	if err != nil {
		return login.Destination{}, err
	}
	if err := x.discover(ctx); err != nil {
		return login.Destination{}, err
	}
	m := r.Material
	if m.Verifier.IsZero() || m.Nonce.IsZero() || r.State.IsZero() {
		return login.Destination{}, failure.New(failure.Internal).Because(errors.New("oidcrp: the attempt has no verifier, nonce or handle"))
	}
	options := []oauth2.AuthCodeOption{
		oauth2.SetAuthURLParam("nonce", m.Nonce.Reveal()),
		oauth2.S256ChallengeOption(m.Verifier.Reveal()),
	}
	set := func(name, value string) {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	set("login_hint", m.LoginHint)
	set("acr_values", strings.Join(x.oidc.ACRValues, " "))
	set("response_mode", x.oidc.ResponseMode)
	if x.fresh() {
		set("prompt", "login")
		set("max_age", "0")
	} else {
		set("prompt", x.oidc.Prompt)
	}
	scopes := x.oidc.Scopes
	if !slices.Contains(scopes, "openid") {
		scopes = append([]string{"openid"}, scopes...)
	}
	c := oauth2.Config{
		ClientID: x.oidc.ClientID, RedirectURL: r.RedirectURI, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: x.endpoints.Authorization},
	}
	return login.Destination{URL: c.AuthCodeURL(r.State.Reveal(), options...)}, nil
}

// fresh reports whether the person has to sign in anew at the provider.
func (x *exchange) fresh() bool { return x.request.Material.ForceAuthn || x.config.ForceAuthn }

// Verify judges an answer: issuer of the callback, its error, the exchange of the code,
// the ID token, and userinfo where the ID token lacks a claim. The provider's tokens are
// forgotten when it returns.
func (p *Provider) Verify(ctx context.Context, a login.Answer, t *login.Trace) (identity.Claims, error) {
	x, err := p.begin(a.Request, t)
	if err != nil {
		return identity.Claims{}, err
	}
	if err := x.step("discovery", func() error { return x.discover(ctx) }); err != nil {
		return identity.Claims{}, err
	}
	if err := x.callback(a); err != nil {
		return identity.Claims{}, err
	}
	var got tokens
	if err := x.step("token", func() (err error) { got, err = x.redeem(ctx, a.Code); return err }); err != nil {
		return identity.Claims{}, err
	}
	var id claims
	if err := x.step("id_token", func() (err error) { id, err = x.idToken(ctx, got, a.Code); return err }); err != nil {
		return identity.Claims{}, err
	}
	var info claims
	if x.lacks(id) {
		if err := x.step("userinfo", func() (err error) { info, err = x.userinfo(ctx, got, id); return err }); err != nil {
			return identity.Claims{}, err
		}
	}
	return x.extract(id, info)
}

// callback judges what stands beside the code, in this order: iss (RFC 9207), then
// error. A refusal of another provider is no refusal of this one.
func (x *exchange) callback(a login.Answer) error {
	mismatch := failure.New(failure.OIDCIssuer).With("where", "callback").Showing(x.oidc.Issuer, a.Issuer)
	if !a.IssuerSent && a.Shared {
		return mismatch.With("where", "shared callback")
	}
	if !a.IssuerSent && x.endpoints.IssuerInCallback {
		return mismatch
	}
	if a.IssuerSent && !x.ours(a.Issuer) {
		return mismatch
	}
	switch a.Error {
	case "":
	case "access_denied", "login_required", "interaction_required", "consent_required":
		return failure.New(failure.OIDCDenied).With("error", a.Error)
	default:
		return failure.New(failure.OIDCProviderError).With("error", a.Error).With("description", a.Description)
	}
	if a.Code.IsZero() {
		return failure.New(failure.CallbackMalformed).With("parameter", "code")
	}
	return nil
}
