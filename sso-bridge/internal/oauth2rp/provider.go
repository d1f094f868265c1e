// SPDX-License-Identifier: Apache-2.0

package oauth2rp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/oauth2"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// Doer calls the provider of one connection: guarded, bounded, no redirect followed. A
// form is sent once. Every error is an *egress.Error.
type Doer interface {
	Get(ctx context.Context, address string, header http.Header) (egress.Response, error)
	PostForm(ctx context.Context, address string, form url.Values, header http.Header) (egress.Response, error)
}

// Deps is what a Provider needs; all fields are required.
type Deps struct {
	// Client gives the client of a connection.
	Client func(connectionID string) Doer
}

// Provider speaks OAuth 2.0. It is safe for concurrent use.
type Provider struct{ client func(string) Doer }

var _ login.Provider = (*Provider)(nil)

// New checks the dependencies.
func New(d Deps) (*Provider, error) {
	if d.Client == nil {
		return nil, errors.New("oauth2rp: the client is required")
	}
	return &Provider{client: d.Client}, nil
}

// stepFresh is the step by which a trace says that a fresh sign-in was asked for and
// that OAuth 2.0 has no way to ask.
const stepFresh = "force_authn_ignored"

// Address gives the authorization request (RFC 6749 section 4.1.1).
func (p *Provider) Address(_ context.Context, r login.Request) (login.Destination, error) {
	c := r.Serving.Config.OAuth2
	if c == nil {
		return login.Destination{}, failure.New(failure.Internal).Because(errors.New("oauth2rp: the connection has another protocol"))
	}
	if r.Shared {
		return login.Destination{}, mixable(r)
	}
	var options []oauth2.AuthCodeOption
	if pkce(c) {
		options = append(options, oauth2.S256ChallengeOption(r.Material.Verifier.Reveal()))
	}
	request := oauth2.Config{ClientID: c.ClientID, RedirectURL: r.RedirectURI, Scopes: c.Scopes, Endpoint: oauth2.Endpoint{AuthURL: c.AuthorizationURL}}
	return login.Destination{URL: request.AuthCodeURL(r.State.Reveal(), options...)}, nil
}

// mixable refuses an answer at an address that other connections have too: nothing in it
// says whose it is.
func mixable(r login.Request) error {
	return failure.New(failure.OIDCIssuer).With("where", "shared callback").Showing(r.Serving.Config.Issuer(r.Serving.ID), "")
}

func pkce(c *connection.OAuth2Config) bool { return c.PKCE != connection.PKCEOff }

// Verify turns an answer into the claims of the profile. The access token lives no
// longer than the call.
func (p *Provider) Verify(ctx context.Context, a login.Answer, t *login.Trace) (identity.Claims, error) {
	c := a.Serving.Config.OAuth2
	if c == nil {
		return identity.Claims{}, failure.New(failure.Internal).Because(errors.New("oauth2rp: the connection has another protocol"))
	}
	if a.Shared {
		return identity.Claims{}, mixable(a.Request)
	}
	if a.Material.ForceAuthn {
		t.Steps = append(t.Steps, login.Step{Name: stepFresh, OK: true})
	}
	if a.Error != "" {
		return identity.Claims{}, refused(a)
	}
	s := session{client: p.client(a.Serving.ID), config: a.Serving.Config, trace: t}
	token, err := s.exchange(ctx, a)
	if err != nil {
		return identity.Claims{}, err
	}
	s.bearer = token
	claims, err := s.profile(ctx)
	if err != nil {
		return identity.Claims{}, err
	}
	claims.Issuer = a.Serving.Config.Issuer(a.Serving.ID)
	return claims, nil
}

// refused classifies the error of a callback (RFC 6749 section 4.1.2.1).
func refused(a login.Answer) error {
	switch a.Error {
	case "access_denied", "login_required", "interaction_required", "consent_required":
		return failure.New(failure.OIDCDenied).With("error", a.Error)
	}
	return failure.New(failure.OIDCProviderError).With("error", a.Error).With("description", a.Description)
}

// session is one exchange with the provider.
type session struct {
	client Doer
	config connection.Config
	trace  *login.Trace
	bearer string
}

// answered notes who answered and how, and gives the refusal of a call that brought no
// answer at all.
func (s *session) answered(code failure.Code, address string, status int, err error) *failure.Error {
	if u, e := url.Parse(address); e == nil {
		s.trace.ProviderHost = u.Host
	}
	s.trace.ProviderStatus = status
	if err == nil {
		return nil
	}
	call, ok := errors.AsType[*egress.Error](err)
	if !ok {
		return failure.New(code).Publicly(ssocode.ProviderSilent).Because(err)
	}
	s.trace.ProviderStatus = call.Status
	if call.Phase == egress.Open {
		return failure.New(failure.ProviderCircuitOpen).With("host", call.Host).Because(err)
	}
	refusal := failure.New(code).With("cause", string(call.Phase)).Because(err)
	if call.Silent() || call.Phase == egress.Redirect || call.Status >= http.StatusInternalServerError {
		refusal = refusal.Publicly(ssocode.ProviderSilent)
	}
	if call.Status != 0 {
		refusal = refusal.With("status", strconv.Itoa(call.Status))
	}
	return refusal
}
