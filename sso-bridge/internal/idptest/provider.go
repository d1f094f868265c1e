// SPDX-License-Identifier: Apache-2.0

package idptest

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Endpoint names one of the provider's addresses.
type Endpoint string

// The endpoints.
const (
	Discovery     Endpoint = "/.well-known/openid-configuration"
	Authorization Endpoint = "/authorize"
	TokenEndpoint Endpoint = "/token"
	Userinfo      Endpoint = "/userinfo"
	JWKS          Endpoint = "/jwks"
)

// The client that is registered.
const (
	ClientID     = "bridge"
	ClientSecret = "idptest-secret-+/:%canary"
	// Tenant and Subject are those of the person who signs in by default.
	Tenant  = "11111111-2222-4333-8444-555555555555"
	Subject = "alice-0001"
)

// Provider is the provider. Its setters take effect at the next request; all of it is
// safe for concurrent use.
type Provider struct {
	URL    string // the issuer
	server *httptest.Server
	canary *Canary

	mu       sync.Mutex
	now      func() time.Time
	keys     []Key
	signing  Key
	people   map[string]map[string]any
	infoOnly []string
	announce bool
	client   crypto.PublicKey // for private_key_jwt
	grants   map[string]grant
	counts   map[Endpoint]int
	last     http.Header
	lastForm url.Values

	changes
}

// changes are what a test does to the provider's answers.
type changes struct {
	discovery []func(map[string]any)
	callback  []func(url.Values)
	token     []func(*Token)
	answer    []func(map[string]any)
	userinfo  []func(map[string]any)
	jwks      []func([]map[string]any) []map[string]any
	replaced  map[Endpoint]http.HandlerFunc
}

// New starts a provider with one RSA key and one person, alice, who is called by any
// login_hint that nobody else has. It stops with the test.
func New(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{
		now: time.Now, keys: []Key{RSA()}, signing: RSA(), announce: true,
		people: map[string]map[string]any{}, grants: map[string]grant{}, counts: map[Endpoint]int{},
		canary: newCanary(t),
	}
	p.people[""] = map[string]any{
		"sub": Subject, "email": "alice@corp.example", "email_verified": true, "name": "Alice", "groups": []string{"staff"},
	}
	mux := http.NewServeMux()
	for e, h := range map[Endpoint]http.HandlerFunc{
		Discovery: p.serveDiscovery, Authorization: p.serveAuthorization, TokenEndpoint: p.serveToken, Userinfo: p.serveUserinfo, JWKS: p.serveJWKS,
	} {
		mux.HandleFunc(string(e), p.counted(e, h))
	}
	p.server = httptest.NewUnstartedServer(mux)
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // it is treated badly on purpose
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	p.URL = p.server.URL
	return p
}

func (p *Provider) counted(e Endpoint, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.counts[e]++
		handler := h
		if other := p.replaced[e]; other != nil {
			handler = other
		}
		p.mu.Unlock()
		handler(w, r)
	}
}

// Roots trust the provider's certificate.
func (p *Provider) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.server.Certificate())
	return pool
}

// Browser is an HTTP client that trusts the provider and follows nothing.
func (p *Provider) Browser() *http.Client {
	c := *p.server.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// Canary counts connections to an address that nobody may call.
func (p *Provider) Canary() *Canary { return p.canary }

// Count gives the requests to an endpoint.
func (p *Provider) Count(e Endpoint) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[e]
}

// LastTokenRequest gives header and form of the newest token request.
func (p *Provider) LastTokenRequest() (http.Header, url.Values) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.lastForm
}

func (p *Provider) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// Reset takes every change back; keys, people and counts stay.
func (p *Provider) Reset() { p.change(func() { p.changes = changes{} }) }

// Clock sets the provider's clock.
func (p *Provider) Clock(now func() time.Time) { p.change(func() { p.now = now }) }

// Discovery changes the discovery document.
func (p *Provider) Discovery(f func(map[string]any)) {
	p.change(func() { p.discovery = append(p.discovery, f) })
}

// Callback changes what the browser brings back.
func (p *Provider) Callback(f func(url.Values)) {
	p.change(func() { p.callback = append(p.callback, f) })
}

// Token changes the ID token before it is signed.
func (p *Provider) Token(f func(*Token)) { p.change(func() { p.token = append(p.token, f) }) }

// Claim sets a claim of the ID token; nil takes it out.
func (p *Provider) Claim(name string, value any) {
	p.Token(func(t *Token) {
		if value == nil {
			delete(t.Claims, name)
			return
		}
		t.Claims[name] = value
	})
}

// Answer changes the token endpoint's answer.
func (p *Provider) Answer(f func(map[string]any)) {
	p.change(func() { p.answer = append(p.answer, f) })
}

// Userinfo changes what userinfo answers.
func (p *Provider) Userinfo(f func(map[string]any)) {
	p.change(func() { p.userinfo = append(p.userinfo, f) })
}

// Keys changes the published key set.
func (p *Provider) Keys(f func([]map[string]any) []map[string]any) {
	p.change(func() { p.jwks = append(p.jwks, f) })
}

// Replace serves an endpoint with another handler.
func (p *Provider) Replace(e Endpoint, h http.HandlerFunc) {
	p.change(func() {
		if p.replaced == nil {
			p.replaced = map[Endpoint]http.HandlerFunc{}
		}
		p.replaced[e] = h
	})
}

// Person sets the claims of whoever signs in with a login_hint, "" for everybody else.
func (p *Provider) Person(hint string, claims map[string]any) {
	p.change(func() { p.people[hint] = maps.Clone(claims) })
}

// Thin leaves claims out of ID tokens; userinfo still has them.
func (p *Provider) Thin(names ...string) { p.change(func() { p.infoOnly = names }) }

// AnnounceIssuer says whether discovery announces the iss of callbacks and callbacks
// carry it (RFC 9207). It does at the start.
func (p *Provider) AnnounceIssuer(yes bool) { p.change(func() { p.announce = yes }) }

// ClientKey registers the key of private_key_jwt.
func (p *Provider) ClientKey(k crypto.PublicKey) { p.change(func() { p.client = k }) }

// SignWith publishes a key beside the others and signs with it from now on.
func (p *Provider) SignWith(k Key) {
	p.change(func() {
		p.signing = k
		if !slices.ContainsFunc(p.keys, func(have Key) bool { return have.ID == k.ID }) {
			p.keys = append(p.keys, k)
		}
	})
}

// Withdraw takes a key out of the published set.
func (p *Provider) Withdraw(id string) {
	p.change(func() { p.keys = slices.DeleteFunc(p.keys, func(k Key) bool { return k.ID == id }) })
}

func (p *Provider) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	doc := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + string(Authorization), "token_endpoint": p.URL + string(TokenEndpoint),
		"userinfo_endpoint": p.URL + string(Userinfo), "jwks_uri": p.URL + string(JWKS), "response_types_supported": []string{"code"},
		"id_token_signing_alg_values_supported":          []string{"RS256", "HS256", "none"}, // nobody may believe it
		"authorization_response_iss_parameter_supported": p.announce,
	}
	for _, f := range p.discovery {
		f(doc)
	}
	p.mu.Unlock()
	write(w, http.StatusOK, doc)
}

func (p *Provider) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	var list []map[string]any
	for _, k := range p.keys {
		list = append(list, k.JWK())
	}
	for _, f := range p.jwks {
		list = f(list)
	}
	p.mu.Unlock()
	if list == nil {
		list = []map[string]any{}
	}
	write(w, http.StatusOK, map[string]any{"keys": list})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
