// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

const (
	freshFor  = time.Hour        // a discovery document
	lastGood  = 24 * time.Hour   // it serves while the provider's cannot be read
	restAfter = 30 * time.Second // between two tries, once there is a last good one
	// maxSources bounds what a long life with many edits leaves behind.
	maxSources = 1000
)

// Held is a change of a discovery document that waits for a review: an endpoint that
// moved to another host, to which codes and secrets would be sent. The endpoints known
// before it go on serving.
type Held struct {
	Endpoint string // its name in the discovery document
	From, To string // hosts; From is empty for an endpoint that is new
	At       time.Time
}

// source is what is known of one provider: its endpoints and keys. It lives in this
// process; a restart pins what it reads first.
type source struct {
	flight singleflight.Group

	mu        sync.Mutex
	endpoints *connection.OIDCEndpoints
	readAt    time.Time // when the endpoints were last confirmed
	triedAt   time.Time
	held      *Held
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

// Held gives the change that waits for a review on a connection's issuer.
func (p *Provider) Held(connectionID, issuer string) (Held, bool) {
	s := p.sourceOf(connectionID, issuer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		return Held{}, false
	}
	return *s.held, true
}

// discover finds the endpoints: configured, remembered, or read.
func (x *exchange) discover(ctx context.Context) error {
	if e := x.oidc.Endpoints; e != nil {
		x.endpoints = *e
		return x.judge(*e)
	}
	s, now := x.source, x.Now()
	s.mu.Lock()
	known, age, rested := s.endpoints, now.Sub(s.readAt), now.Sub(s.triedAt) >= restAfter
	s.mu.Unlock()
	if known != nil && (age < freshFor || age < lastGood && !rested) {
		x.endpoints = *known
		return nil
	}
	found, err := shared(ctx, &s.flight, "discovery", x.readDiscovery)
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

// shared lets logins that need the same document wait for one call. The call outlives
// whoever began it, for others wait too; the client bounds its time. It runs in a goroutine
// that no login's recovery reaches: a panic in it is its error.
func shared[T any](ctx context.Context, g *singleflight.Group, name string, do func(context.Context) (T, error)) (T, error) {
	var none T
	select {
	case r := <-g.DoChan(name, func() (v any, err error) {
		defer func() {
			if p := recover(); p != nil {
				// The value may hold what came; its type and the stack do not.
				err = failure.New(failure.Internal).Because(fmt.Errorf("panic of type %T\n%s", p, debug.Stack()))
			}
		}()
		return do(context.WithoutCancel(ctx))
	}):
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	case <-ctx.Done():
		return none, failure.New(failure.ProviderUnreachable).With("phase", "timeout").Because(ctx.Err())
	}
}

// readDiscovery reads the document and decides what serves from now on.
func (x *exchange) readDiscovery(ctx context.Context) (connection.OIDCEndpoints, error) {
	s := x.source
	s.mu.Lock()
	s.triedAt = x.Now()
	s.mu.Unlock()
	address := discoveryAddress(x.oidc)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt, s.held = x.Now(), nil
	if s.endpoints != nil {
		if h := moved(*s.endpoints, found); h != nil {
			h.At = s.readAt
			s.held = h
			x.Log.WarnContext(ctx, "an endpoint of the provider moved to another host and waits for a review; the former one serves",
				"connection", x.request.Serving.ID, "endpoint", h.Endpoint, "from", h.From, "to", h.To)
			return *s.endpoints, nil
		}
	}
	s.endpoints = &found
	return found, nil
}

// discoveryAddress is the issuer's well-known address (OpenID Connect Discovery section
// 4.1). The template of a multi-tenant Entra ID is published under "organizations".
func discoveryAddress(c connection.OIDCConfig) string {
	issuer := c.Issuer
	if c.Entra {
		issuer = strings.ReplaceAll(issuer, connection.TenantPlaceholder, "organizations")
	}
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
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
		return connection.OIDCEndpoints{}, failure.New(failure.OIDCDiscovery).With("host", hostOf(issuer)).With("cause", "json").Because(err)
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

// named gives the endpoints with their names in a discovery document.
func named(e connection.OIDCEndpoints) [][2]string {
	return [][2]string{
		{"authorization_endpoint", e.Authorization}, {"token_endpoint", e.Token}, {"jwks_uri", e.JWKS}, {"userinfo_endpoint", e.Userinfo},
	}
}

// ownParameters are those of our authorization request. An endpoint that brings one of
// them along would have it twice.
var ownParameters = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"login_hint", "acr_values", "response_mode", "prompt", "max_age",
}

// judge refuses endpoints that are missing or may not be called.
func (x *exchange) judge(e connection.OIDCEndpoints) error {
	for _, n := range named(e) {
		refuse := func(cause string) *failure.Error {
			return failure.New(failure.OIDCDiscovery).With("host", hostOf(n[1])).With("phase", string(egress.Refused)).With("cause", n[0]+" "+cause)
		}
		if n[1] == "" {
			if n[0] == "userinfo_endpoint" {
				continue
			}
			return refuse("is missing")
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

// moved finds an endpoint that is on another host than before. One that is new may be on
// any host that is known already.
func moved(before, after connection.OIDCEndpoints) *Held {
	known := map[string]bool{}
	for _, n := range named(before) {
		known[authority(n[1])] = true
	}
	was := named(before)
	for i, n := range named(after) {
		from, to := authority(was[i][1]), authority(n[1])
		if n[1] == "" || from == to || from == "" && known[to] {
			continue
		}
		return &Held{Endpoint: n[0], From: from, To: to}
	}
	return nil
}

// authority is host and port, as far as a code is sent somewhere else when it changes.
func authority(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}
