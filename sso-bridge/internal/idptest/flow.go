// SPDX-License-Identifier: Apache-2.0

package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// grant is what a code stands for.
type grant struct {
	redirect, challenge, nonce, access, code string
	claims                                   map[string]any
	at                                       time.Time
}

func draw() string {
	var b [24]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// serveAuthorization signs the person in without asking and sends the browser back.
func (p *Provider) serveAuthorization(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for _, name := range []string{"state", "nonce", "code_challenge", "redirect_uri"} {
		if len(q[name]) != 1 || q.Get(name) == "" {
			http.Error(w, name+" is needed once", http.StatusBadRequest)
			return
		}
	}
	scopes := strings.Fields(q.Get("scope"))
	if q.Get("response_type") != "code" || q.Get("client_id") != ClientID || q.Get("code_challenge_method") != "S256" || !slices.Contains(scopes, "openid") {
		http.Error(w, "not the request of a registered client with PKCE", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	person, ok := p.people[q.Get("login_hint")]
	if !ok {
		person = p.people[""]
	}
	g := grant{
		redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), nonce: q.Get("nonce"),
		access: draw(), code: draw(), claims: maps.Clone(person), at: p.now(),
	}
	p.grants[g.code] = g
	back := url.Values{"state": {q.Get("state")}, "code": {g.code}}
	if p.announce {
		back.Set("iss", p.URL)
	}
	for _, f := range p.callback {
		f(back)
	}
	p.mu.Unlock()
	if q.Get("response_mode") == "form_post" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, page(g.redirect, back))
		return
	}
	mark := "?"
	if strings.Contains(g.redirect, "?") {
		mark = "&"
	}
	w.Header().Set("Location", g.redirect+mark+back.Encode())
	w.WriteHeader(http.StatusFound)
}

// page posts the answer (OAuth 2.0 Form Post Response Mode section 4).
func page(to string, values url.Values) string {
	var b strings.Builder
	b.WriteString(`<!doctype html><form id="f" method="post" action="` + html.EscapeString(to) + `">`)
	for name, list := range values {
		for _, v := range list {
			b.WriteString(`<input type="hidden" name="` + html.EscapeString(name) + `" value="` + html.EscapeString(v) + `">`)
		}
	}
	b.WriteString(`<button>Continue</button></form><script>document.getElementById("f").submit()</script>`)
	return b.String()
}

var inputs = regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`)

// SignIn opens an authorization address as a browser does, and gives what it brings to
// the callback.
func (p *Provider) SignIn(t testing.TB, address string) url.Values {
	t.Helper()
	r, err := p.Browser().Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	switch r.StatusCode {
	case http.StatusFound:
		u, err := r.Location()
		if err != nil {
			t.Fatal(err)
		}
		return u.Query()
	case http.StatusOK:
		back := url.Values{}
		for _, m := range inputs.FindAllStringSubmatch(string(body), -1) {
			back.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
		}
		return back
	}
	t.Fatalf("the provider refuses the authorization request: %d %s", r.StatusCode, body)
	return nil
}

func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code string) { write(w, status, map[string]any{"error": code}) }
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		refuse(http.StatusBadRequest, "invalid_request")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.lastForm = r.Header.Clone(), r.PostForm
	if !p.authenticated(r) {
		refuse(http.StatusUnauthorized, "invalid_client")
		return
	}
	g, ok := p.grants[r.PostForm.Get("code")]
	verifier := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || g.redirect != r.PostForm.Get("redirect_uri") || g.challenge != base64.RawURLEncoding.EncodeToString(verifier[:]) {
		refuse(http.StatusBadRequest, "invalid_grant")
		return
	}
	delete(p.grants, g.code)
	p.grants["access "+g.access] = g
	answer := map[string]any{"access_token": g.access, "token_type": "Bearer", "expires_in": 300, "id_token": p.issue(g)}
	for _, f := range p.answer {
		f(answer)
	}
	write(w, http.StatusOK, answer)
}

// authenticated judges the client in one of the three ways.
func (p *Provider) authenticated(r *http.Request) bool {
	if id, password, ok := r.BasicAuth(); ok {
		id, _ = url.QueryUnescape(id)
		password, _ = url.QueryUnescape(password)
		return id == ClientID && password == ClientSecret && !r.PostForm.Has("client_secret")
	}
	if r.PostForm.Get("client_id") != ClientID {
		return false
	}
	if assertion := r.PostForm.Get("client_assertion"); assertion != "" {
		s, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
		if err != nil {
			return false
		}
		_, err = s.Verify(p.client)
		return err == nil
	}
	return r.PostForm.Get("client_secret") == ClientSecret
}

func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	g, ok := p.grants["access "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok {
		p.mu.Unlock()
		write(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	claims := maps.Clone(g.claims)
	for _, f := range p.userinfo {
		f(claims)
	}
	p.mu.Unlock()
	write(w, http.StatusOK, claims)
}
