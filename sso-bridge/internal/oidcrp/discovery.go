// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/flight"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

const (
	freshFor  = time.Hour        // a discovery document
	lastGood  = 24 * time.Hour   // it serves while the provider's cannot be read
	restAfter = 30 * time.Second // between two tries, once there is a last good one
	// maxSources bounds what a long life with many edits leaves behind.
	maxSources = 1000
)

// Pins keep what every process of an installation takes for a provider's endpoints;
// *idpsource.Service does. Every error is a *failure.Error.
type Pins interface {
	// Pinned gives what serves of a connection's discovery address; the zero time when none
	// was read yet.
	Pinned(ctx context.Context, connectionID, source string) (connection.Discovered, error)
	// Settle takes note of a document that is acceptable and gives what serves from now on:
	// of one with an endpoint that moved to another host that is the former, until a person
	// has decided. A document that did not settle is not used. With insist one that was
	// rejected before waits again.
	Settle(ctx context.Context, connectionID, source string, found connection.Discovered, insist bool) (connection.Discovered, error)
}

// source is what this process knows of one provider: its keys, and the endpoints that
// served last.
type source struct {
	flight singleflight.Group

	mu        sync.Mutex
	endpoints *connection.OIDCEndpoints
	readAt    time.Time // when the endpoints were last confirmed, by any process
	triedAt   time.Time
	keys      keyState
}

func (p *Provider) sourceOf(connectionID, issuer string) *source {
	key := connectionID + "\n" + issuer
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sources[key]
	if s == nil {
		if len(p.sources) >= maxSources {
			clear(p.sources)
		}
		s = &source{}
		p.sources[key] = s
	}
	return s
}

// discover finds the endpoints: configured, pinned, or read.
func (x *exchange) discover(ctx context.Context) error {
	if e := x.oidc.Endpoints; e != nil {
		x.endpoints = *e
		return x.judge(*e)
	}
	known, err := x.pinned(ctx)
	s, now := x.source, x.Now()
	s.mu.Lock()
	age, rested := now.Sub(s.readAt), now.Sub(s.triedAt) >= restAfter
	s.mu.Unlock()
	if err != nil {
		// What the provider says now could not be compared with what was reviewed.
		if known == nil || age >= lastGood {
			return err
		}
		x.Log.WarnContext(ctx, "the pinned endpoints of a provider cannot be looked up, those that this process knows serve",
			"connection", x.request.Serving.ID, "code", string(failure.Of(err).Code), "age", age.String())
		x.endpoints = *known
		return nil
	}
	if known != nil && (age < freshFor || age < lastGood && !rested) {
		x.endpoints = *known
		return nil
	}
	found, err := shared(ctx, &s.flight, "discovery", func(ctx context.Context) (connection.OIDCEndpoints, error) { return x.readDiscovery(ctx, false) })
	switch {
	case err == nil:
		x.endpoints = found
		return nil
	case known != nil && age < lastGood:
		x.Log.WarnContext(ctx, "the discovery document cannot be read, the last good one serves",
			"connection", x.request.Serving.ID, "code", string(failure.Of(err).Code), "age", age.String())
		x.endpoints = *known
		return nil
	}
	return err
}

// pinned gives the endpoints that serve, and nil for none that are acceptable. With an error
// they are those that this process has used last.
func (x *exchange) pinned(ctx context.Context) (*connection.OIDCEndpoints, error) {
	s := x.source
	pin, err := x.Pins.Pinned(ctx, x.request.Serving.ID, x.oidc.DiscoveryAddress())
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
	case pin.At.IsZero():
		s.endpoints = nil
	default:
		s.endpoints = &pin.Endpoints
		// A document of another issuer says nothing of this one's age.
		if pin.Issuer == x.oidc.Issuer && pin.At.After(s.readAt) {
			s.readAt = pin.At
		}
	}
	if s.endpoints == nil || x.judge(*s.endpoints) != nil {
		return nil, err
	}
	return s.endpoints, err
}

// Rediscover reads a connection's discovery document now, for a person who asks. One that
// was rejected before waits again. Every error is a *failure.Error.
func (p *Provider) Rediscover(ctx context.Context, c connection.Serving) error {
	x, err := p.begin(login.Request{Serving: c}, &login.Trace{})
	if err != nil {
		return err
	}
	_, err = shared(ctx, &x.source.flight, "rediscovery", func(ctx context.Context) (connection.OIDCEndpoints, error) { return x.readDiscovery(ctx, true) })
	return err
}

// shared lets callers that need the same document wait for one fetch, as package flight
// has it.
func shared[T any](ctx context.Context, g *singleflight.Group, key string, do func(context.Context) (T, error)) (T, error) {
	return flight.Share(ctx, g, key, failure.New(failure.ProviderUnreachable).With("phase", "timeout"), do)
}

// readDiscovery reads the document and has it decided what serves from now on.
func (x *exchange) readDiscovery(ctx context.Context, insist bool) (connection.OIDCEndpoints, error) {
	s := x.source
	s.mu.Lock()
	s.triedAt = x.Now()
	s.mu.Unlock()
	address := x.oidc.DiscoveryAddress()
	r, err := x.line.Get(ctx, address, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return connection.OIDCEndpoints{}, unread(failure.OIDCDiscovery, err)
	}
	if r.Status != http.StatusOK {
		return connection.OIDCEndpoints{}, answered(failure.OIDCDiscovery, address, r.Status)
	}
	found, err := parseDiscovery(r.Body, x.oidc.Issuer)
	if err == nil {
		err = x.judge(found)
	}
	if err != nil {
		return connection.OIDCEndpoints{}, err
	}
	at := x.Now()
	serves, err := x.Pins.Settle(ctx, x.request.Serving.ID, address, connection.Discovered{Issuer: x.oidc.Issuer, Endpoints: found, At: at}, insist)
	if err == nil {
		err = x.judge(serves.Endpoints)
	}
	if err != nil {
		return connection.OIDCEndpoints{}, err
	}
	if serves.Endpoints != found {
		x.Log.WarnContext(ctx, "an endpoint of the provider moved to another host, which is not called before an administrator has accepted it; the former one serves",
			"connection", x.request.Serving.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt, s.endpoints = at, &serves.Endpoints
	return serves.Endpoints, nil
}

// parseDiscovery reads a document whose issuer is ours byte for byte. Its lists of
// algorithms are not looked at: the connection says which are taken.
func parseDiscovery(body []byte, issuer string) (connection.OIDCEndpoints, error) {
	var doc struct {
		Issuer        *string `json:"issuer"`
		Authorization *string `json:"authorization_endpoint"`
		Token         *string `json:"token_endpoint"`
		Userinfo      *string `json:"userinfo_endpoint"`
		JWKS          *string `json:"jwks_uri"`
		InCallback    *bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := wire.JSON(body, &doc, wire.Ignore); err != nil {
		return connection.OIDCEndpoints{}, failure.New(failure.OIDCDiscovery).With("host", failure.HostOf(issuer)).With("cause", "json").Because(err)
	}
	if deref(doc.Issuer) != issuer {
		return connection.OIDCEndpoints{}, failure.New(failure.OIDCIssuer).With("where", "discovery").Showing(issuer, deref(doc.Issuer))
	}
	return connection.OIDCEndpoints{
		Authorization: deref(doc.Authorization), Token: deref(doc.Token), Userinfo: deref(doc.Userinfo), JWKS: deref(doc.JWKS),
		IssuerInCallback: doc.InCallback != nil && *doc.InCallback,
	}, nil
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// ownParameters are those of our authorization request. An endpoint that brings one of
// them along would have it twice.
var ownParameters = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"login_hint", "acr_values", "response_mode", "prompt", "max_age",
}

// maxAddress bounds an endpoint, in bytes; it is kept, and shown to administrators.
const maxAddress = 2048

// judge refuses endpoints that are missing or may not be called.
func (x *exchange) judge(e connection.OIDCEndpoints) error {
	for _, n := range e.Named() {
		refuse := func(cause string) *failure.Error {
			return failure.New(failure.OIDCDiscovery).With("host", failure.HostOf(n[1])).With("phase", string(egress.Refused)).With("cause", n[0]+" "+cause)
		}
		if n[1] == "" {
			if n[0] == "userinfo_endpoint" {
				continue
			}
			return refuse("is missing")
		}
		if len(n[1]) > maxAddress {
			return refuse("is too long")
		}
		if err := x.Circuits.Acceptable(n[1]); err != nil {
			return refuse("may not be called").Because(err)
		}
	}
	u, err := url.Parse(e.Authorization)
	if err != nil {
		return failure.New(failure.OIDCDiscovery).With("cause", "authorization_endpoint")
	}
	query := u.Query()
	for _, name := range ownParameters {
		if query.Has(name) {
			return failure.New(failure.OIDCDiscovery).With("host", u.Hostname()).With("cause", "authorization_endpoint sets "+name)
		}
	}
	return nil
}
