// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// options make a provider; all fields without a word on their emptiness are required.
type options struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	RedirectURIs []string
	// ConsumerURLs are the assertion consumer services that answers are posted to.
	ConsumerURLs []string
	// KeyFile keeps key and certificate across restarts; empty for a pair of this run.
	KeyFile string
	Now     func() time.Time
	Slow    time.Duration // what the slow take
}

const (
	codeLife  = time.Minute
	tokenLife = 5 * time.Minute
	maxForm   = 64 << 10

	nobodyOfThatName = "nobody has this name"
)

// provider is an OpenID provider with one client, and a SAML identity provider for the
// services at ConsumerURLs. What it issues lives in memory.
type provider struct {
	options
	mux         *http.ServeMux
	key         *rsa.PrivateKey
	certificate []byte // DER
	keyID       string
	signer      jose.Signer

	mu     sync.Mutex
	codes  map[string]grant
	tokens map[string]grant
}

// grant is what a person has allowed, behind a code and then behind an access token.
type grant struct {
	person                        person
	redirectURI, challenge, nonce string
	at, until                     time.Time
}

func newProvider(o options) (*provider, error) {
	key, certificate, err := pair(o.KeyFile, o.Now())
	if err != nil {
		return nil, err
	}
	p := &provider{options: o, mux: http.NewServeMux(), key: key, certificate: certificate, keyID: random(), codes: map[string]grant{}, tokens: map[string]grant{}}
	p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: p.keyID}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	issuer, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, err
	}
	base := issuer.Path
	p.mux.HandleFunc("GET "+base+"/.well-known/openid-configuration", p.discovery)
	p.mux.HandleFunc("GET "+base+"/jwks", p.jwks)
	p.mux.HandleFunc("GET "+base+"/authorize", p.ask)
	p.mux.HandleFunc("POST "+base+"/authorize", p.decide)
	p.mux.HandleFunc("POST "+base+"/token", p.token)
	p.mux.HandleFunc("GET "+base+"/userinfo", p.userinfo)
	p.mux.HandleFunc("GET "+base+"/saml/metadata", p.samlMetadata)
	p.mux.HandleFunc("GET "+base+"/saml/sso", p.samlAsk)
	p.mux.HandleFunc("POST "+base+"/saml/sso", p.samlDecide)
	return p, nil
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	w.Header().Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

func random() string {
	var b [24]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, claims{
		"issuer": p.Issuer, "authorization_endpoint": p.Issuer + "/authorize", "token_endpoint": p.Issuer + "/token",
		"userinfo_endpoint": p.Issuer + "/userinfo", "jwks_uri": p.Issuer + "/jwks",
		"response_types_supported": []string{"code"}, "response_modes_supported": []string{"query"}, "grant_types_supported": []string{"authorization_code"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"}, "code_challenge_methods_supported": []string{"S256"},
		"scopes_supported": []string{"openid", "email", "profile", "groups"}, "authorization_response_iss_parameter_supported": true,
	})
}

func (p *provider) jwks(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: p.keyID, Algorithm: string(jose.RS256), Use: "sig"}}})
}

// requestProblem judges an authorization request. Before client and redirect address are
// known good nobody is sent anywhere (RFC 6749 section 4.1.2.1).
func (p *provider) requestProblem(q url.Values) (code string, safe bool) {
	if q.Get("client_id") != p.ClientID || !slices.Contains(p.RedirectURIs, q.Get("redirect_uri")) {
		return "unknown client or redirect address", false
	}
	switch {
	case q.Get("response_type") != "code":
		return "unsupported_response_type", true
	case !slices.Contains(splitScope(q.Get("scope")), "openid"):
		return "invalid_scope", true
	case q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		return "invalid_request", true
	case q.Get("prompt") == "none":
		return "login_required", true
	}
	return "", true
}

func (p *provider) ask(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	problem, safe := p.requestProblem(q)
	switch {
	case !safe:
		http.Error(w, problem, http.StatusBadRequest)
	case problem != "":
		p.back(w, r, q, url.Values{"error": {problem}})
	default:
		show(w, pageData{People: peopleOf(byOIDC)})
	}
}

// show asks who somebody is.
func show(w http.ResponseWriter, data pageData) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_ = page.Execute(w, data)
}

func (p *provider) decide(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	problem, safe := p.requestProblem(q)
	if !safe {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	if problem != "" {
		p.back(w, r, q, url.Values{"error": {problem}})
		return
	}
	who, ok := find(byOIDC, r.PostFormValue("person"))
	if !ok {
		http.Error(w, nobodyOfThatName, http.StatusBadRequest)
		return
	}
	if who.refuses {
		p.back(w, r, q, url.Values{"error": {"access_denied"}, "error_description": {"The person refused."}})
		return
	}
	code, now := random(), p.Now()
	p.mu.Lock()
	p.codes[code] = grant{person: who, redirectURI: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), at: now, until: now.Add(codeLife)}
	p.mu.Unlock()
	p.back(w, r, q, url.Values{"code": {code}})
}

// back sends the browser to the client, with the issuer (RFC 9207).
func (p *provider) back(w http.ResponseWriter, r *http.Request, q, result url.Values) {
	to, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		http.Error(w, "the redirect address is none", http.StatusBadRequest)
		return
	}
	query := to.Query()
	for name, values := range result {
		query[name] = values
	}
	query.Set("iss", p.Issuer)
	if q.Has("state") {
		query.Set("state", q.Get("state"))
	}
	to.RawQuery = query.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther) //nolint:gosec // requestProblem has found it among the registered ones
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code string) { answer(w, status, claims{"error": code}) }
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, "invalid_request")
		return
	}
	if !p.authenticated(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="devidp"`)
		refuse(http.StatusUnauthorized, "invalid_client")
		return
	}
	if r.PostForm.Get("grant_type") != "authorization_code" {
		refuse(http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	now := p.Now()
	p.mu.Lock()
	g, ok := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code")) // single use, also for who cannot prove it is theirs
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || now.After(g.until) || g.redirectURI != r.PostForm.Get("redirect_uri") || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		refuse(http.StatusBadRequest, "invalid_grant")
		return
	}
	if g.person.slow {
		select {
		case <-time.After(p.Slow):
		case <-r.Context().Done():
			return
		}
	}
	access := random()
	id, err := p.idToken(g, access, now)
	if err != nil {
		refuse(http.StatusInternalServerError, "server_error")
		return
	}
	p.mu.Lock()
	g.until = now.Add(tokenLife)
	p.tokens[access] = g
	p.mu.Unlock()
	answer(w, http.StatusOK, claims{"access_token": access, "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "id_token": id})
}

// authenticated takes the secret in the header or in the body (RFC 6749 section 2.3.1).
func (p *provider) authenticated(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	if basic {
		var e1, e2 error
		id, e1 = url.QueryUnescape(id)
		secret, e2 = url.QueryUnescape(secret)
		if errors.Join(e1, e2) != nil {
			return false
		}
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	return id == p.ClientID && subtle.ConstantTimeCompare([]byte(secret), []byte(p.ClientSecret)) == 1
}

func (p *provider) idToken(g grant, access string, now time.Time) (string, error) {
	half := sha256.Sum256([]byte(access))
	c := claims{
		"iss": p.Issuer, "aud": p.ClientID, "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(), "auth_time": g.at.Unix(), "amr": []string{"pwd"},
		"at_hash": base64.RawURLEncoding.EncodeToString(half[:len(half)/2]),
	}
	if g.nonce != "" {
		c["nonce"] = g.nonce
	}
	for name, value := range g.person.claims {
		c[name] = value
	}
	if g.person.spoil != nil {
		g.person.spoil(c, now)
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed, err := p.signer.Sign(body)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func (p *provider) userinfo(w http.ResponseWriter, r *http.Request) {
	const scheme = "Bearer "
	var access string
	if h := r.Header.Get("Authorization"); len(h) > len(scheme) && h[:len(scheme)] == scheme {
		access = h[len(scheme):]
	}
	p.mu.Lock()
	g, ok := p.tokens[access]
	p.mu.Unlock()
	if !ok || p.Now().After(g.until) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		answer(w, http.StatusUnauthorized, claims{"error": "invalid_token"})
		return
	}
	answer(w, http.StatusOK, g.person.claims)
}
