// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

// Probe is one run and what it holds so far.
type Probe struct {
	target  Target
	origin  string
	http    *http.Client
	client  *deviceauth.Client
	bearer  *http.Client
	grant   *deviceauth.Authorization
	token   deviceauth.Secret
	cookies []*http.Cookie
}

const (
	oneRequest = 15 * time.Second
	maxAnswer  = 1 << 20
)

// New judges the addresses. The errors are about what was given, none about the network.
func New(t Target) (*Probe, error) {
	p := &Probe{target: t}
	var base http.RoundTripper = t.Transport
	if t.Via != "" {
		via, err := url.Parse(t.Via)
		if err != nil || via.Host == "" || via.User != nil || via.Scheme != "http" && via.Scheme != "https" || strings.Trim(via.Path, "/") != "" {
			return nil, errors.New("--via must be an origin such as http://10.0.0.7:5001")
		}
		base = detour{via, t.Transport}
	}
	p.http = &http.Client{Transport: base, Timeout: oneRequest, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	p.client = &deviceauth.Client{Host: t.Address, ClientID: t.ClientID, HTTPClient: p.http, UserAgent: "core-probe/" + t.Version, AllowHTTP: t.Email == ""}
	var err error
	if p.origin, err = p.client.Origin(); err != nil {
		return nil, err
	}
	return p, nil
}

// detour sends requests to another place under the name of the first, as a proxy in front
// of it does.
type detour struct {
	via  *url.URL
	base http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (d detour) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.URL.Scheme, r.URL.Host = d.via.Scheme, d.via.Host
	return d.base.RoundTrip(r)
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request in the console session, if there is one, and reads the answer.
func (p *Probe) call(ctx context.Context, method, path string, body any, headers map[string]string) (answer, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		content = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.origin+path, content)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("User-Agent", p.client.UserAgent)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	for _, c := range p.cookies {
		r.AddCookie(c)
	}
	return read(p.http, r)
}

func read(client *http.Client, r *http.Request) (answer, error) {
	res, err := client.Do(r)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err // the address is known
		}
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, body: body}
	return a, nil
}

// refusal is the answer as an error, unless it is one of success.
func (a answer) refusal() error {
	if a.status/100 == 2 {
		return nil
	}
	return deviceauth.ReadError(&http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body))})
}

// get reads a public document.
func (p *Probe) get(ctx context.Context, path string, into any) error {
	a, err := p.call(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	if err := a.refusal(); err != nil {
		return err
	}
	if json.Unmarshal(a.body, into) != nil {
		return errStranger
	}
	return nil
}

// withToken calls a route of the API with the token.
func (p *Probe) withToken(ctx context.Context, method, path string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.origin+deviceauth.BasePath+path, nil)
	if err != nil {
		return answer{}, err
	}
	a, err := read(p.bearer, r)
	if err != nil {
		return a, err
	}
	return a, a.refusal()
}

// signIn begins a console session. On its route a password is base64.
func (p *Probe) signIn(ctx context.Context) (string, error) {
	var login struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	login.Email, login.Password = p.target.Email, base64.StdEncoding.EncodeToString([]byte(p.target.Password.Reveal()))
	a, err := p.call(ctx, http.MethodPost, "/console/api/login", login, map[string]string{"Origin": p.origin})
	if err != nil {
		return "", err
	}
	if err := a.refusal(); err != nil {
		return "", err
	}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Value != "" {
			p.cookies = append(p.cookies, &http.Cookie{Name: c.Name, Value: c.Value}) //nolint:gosec // G124: it is sent, not set
		}
	}
	if len(p.cookies) == 0 {
		return "", errStranger
	}
	return "", nil
}

// write sends what changes state in the console session, with its CSRF token.
func (p *Probe) write(ctx context.Context, path string, body any) error {
	var csrf struct {
		Token string `json:"csrf_token"`
	}
	if err := p.get(ctx, "/console/api/csrf-token", &csrf); err != nil {
		return err
	}
	a, err := p.call(ctx, http.MethodPost, path, body, map[string]string{"X-CSRF-Token": csrf.Token, "Origin": p.origin})
	if err != nil {
		return err
	}
	return a.refusal()
}

func (p *Probe) approve(ctx context.Context) (string, error) {
	return "", p.write(ctx, deviceauth.BasePath+"/oauth/device/approve", map[string]string{"user_code": p.grant.UserCode})
}

// signOut ends the console session and makes sure that it is one no more.
func (p *Probe) signOut(ctx context.Context) (string, error) {
	if err := p.write(ctx, "/console/api/logout", nil); err != nil {
		return "", err
	}
	a, err := p.call(ctx, http.MethodGet, "/console/api/csrf-token", nil, nil)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusUnauthorized {
		return "", errors.New("a browser session that was signed out is still taken")
	}
	p.cookies = nil
	return "", nil
}

// short makes what a server says fit for a line of a terminal.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 120)]
}
