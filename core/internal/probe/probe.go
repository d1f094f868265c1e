// SPDX-License-Identifier: Apache-2.0

// Package probe signs a client in and out again at a public address, as a person with a
// command-line tool would, and says of each step whether it went well. It knows nothing but
// the address: no settings, no stores.
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Target is what is probed, and by whom.
type Target struct {
	Address  string // the public address, an origin; https unless loopback where somebody signs in
	Via      string // where requests are sent in its stead; empty is Address
	ClientID string
	Email    string // of the account that signs in; empty goes as far as a stranger can
	Password secret.Text
	Version  string // of this program, for the User-Agent
	// Transport makes connections. It is used for this probe alone.
	Transport *http.Transport
}

// Step is one thing that was tried.
type Step struct {
	Name   string `json:"step"`
	OK     bool   `json:"ok"`
	Millis int64  `json:"ms"`
	Detail string `json:"detail,omitempty"` // what was found
	Error  string `json:"error,omitempty"`
	Look   string `json:"look,omitempty"` // what to look at next
}

// tidy is how long signing out may take once the probe's own time is over.
const tidy = 5 * time.Second

// Run takes the steps in their order until one fails, and tells each to report as it ends.
// Whatever it has begun, it ends: a session or token is signed out after a failure too.
func (p *Probe) Run(ctx context.Context, report func(Step)) (ok bool) {
	defer p.leave(ctx)
	steps := []step{
		{"health", p.health}, {"ready", p.ready}, {"version", p.version}, {"metadata", p.metadata}, {"closed", p.closed}, {"code", p.code},
	}
	if p.target.Email == "" {
		steps = append(steps, step{"pending", p.pending})
	} else {
		steps = append(steps, step{"sign-in", p.signIn}, step{"approve", p.approve}, step{"token", p.redeem}, step{"account", p.account},
			step{"logout", p.logout}, step{"dead", p.dead}, step{"sign-out", p.signOut})
	}
	for _, s := range steps {
		began := time.Now()
		detail, err := s.take(ctx)
		done := Step{Name: s.name, OK: err == nil, Millis: time.Since(began).Milliseconds(), Detail: detail}
		if err != nil {
			done.Error, done.Look = p.explain(ctx, s.name, err)
		}
		report(done)
		if err != nil {
			return false
		}
	}
	return true
}

type step struct {
	name string
	take func(ctx context.Context) (detail string, err error)
}

func (p *Probe) health(ctx context.Context) (string, error) {
	var got struct {
		OK bool `json:"ok"`
	}
	if err := p.get(ctx, deviceauth.BasePath+"/_health", &got); err != nil {
		return "", err
	}
	if !got.OK {
		return "", errStranger
	}
	return "", nil
}

func (p *Probe) ready(ctx context.Context) (string, error) {
	var got struct {
		Ready bool `json:"ready"`
	}
	if err := p.get(ctx, deviceauth.BasePath+"/_ready", &got); err != nil {
		return "", err
	}
	if !got.Ready {
		return "", errStranger
	}
	return "", nil
}

func (p *Probe) version(ctx context.Context) (string, error) {
	var got struct {
		Version string `json:"version"`
	}
	if err := p.get(ctx, deviceauth.BasePath+"/_version", &got); err != nil {
		return "", err
	}
	if got.Version == "" {
		return "", errStranger
	}
	return short(got.Version), nil
}

// metadata compares what the documents say of themselves with where they were read, as a
// client does (RFC 8414, section 3.3; RFC 9728, section 3.3).
func (p *Probe) metadata(ctx context.Context) (string, error) {
	for _, path := range []string{"", deviceauth.BasePath} {
		var as struct {
			Issuer string `json:"issuer"`
			Device string `json:"device_authorization_endpoint"`
			Token  string `json:"token_endpoint"`
		}
		where := "/.well-known/oauth-authorization-server" + path
		if err := p.get(ctx, where, &as); err != nil {
			return "", err
		}
		if as.Issuer != p.origin+path {
			return "", &mismatch{where, "issuer", as.Issuer, p.origin + path}
		}
		for name, endpoint := range map[string]string{"device_authorization_endpoint": as.Device, "token_endpoint": as.Token} {
			if !strings.HasPrefix(endpoint, p.origin+"/") {
				return "", &mismatch{where, name, endpoint, p.origin + "/…"}
			}
		}
		var resource struct {
			Resource string `json:"resource"`
		}
		where = "/.well-known/oauth-protected-resource" + path
		if err := p.get(ctx, where, &resource); err != nil {
			return "", err
		}
		if resource.Resource != p.origin+path {
			return "", &mismatch{where, "resource", resource.Resource, p.origin + path}
		}
	}
	return "", nil
}

// inside are addresses of the second listener that nobody outside may reach.
var inside = []string{
	"/inner/", "/inner/api/subjects/revoke", "/inner/api/identities/unlink", "/inner/api/auth/verify", "/metrics", "/healthz", "/readyz", "/debug/pprof/goroutine",
}

// closed makes sure that what serves operators is not served to the world. A page of
// somebody else's front end is none of it, and a proxy's own refusal is as good as ours.
func (p *Probe) closed(ctx context.Context) (string, error) {
	for _, path := range inside {
		a, err := p.call(ctx, http.MethodGet, path, nil, nil)
		if err != nil {
			return "", err
		}
		elsewhere := a.status/100 == 3 || a.status == http.StatusOK && strings.HasPrefix(a.header.Get("Content-Type"), "text/html")
		if a.status != http.StatusNotFound && a.status != http.StatusForbidden && !elsewhere {
			return "", &exposed{path, a.status}
		}
	}
	return strings.Join(inside, " "), nil
}

func (p *Probe) code(ctx context.Context) (string, error) {
	a, err := p.client.Start(ctx, "core probe")
	if err != nil {
		return "", err
	}
	p.grant = a
	if !strings.HasPrefix(a.VerificationURI, p.origin+"/") {
		return "", &mismatch{"the answer", "verification_uri", a.VerificationURI, p.origin + "/…"}
	}
	return a.VerificationURI, nil
}

func (p *Probe) pending(ctx context.Context) (string, error) {
	token, err := p.client.Token(ctx, p.grant)
	if errors.Is(err, deviceauth.ErrPending) {
		return "nobody has decided, as it should be; the code ends by itself", nil
	}
	if token != nil {
		p.token = token.Access
		return "", errors.New("a code that nobody has allowed gave a token")
	}
	return "", err
}

func (p *Probe) redeem(ctx context.Context) (string, error) {
	token, err := p.client.Wait(ctx, p.grant)
	if err != nil {
		return "", err
	}
	p.token = token.Access
	p.bearer, err = p.client.Authorized(token.Access)
	return "", err
}

func (p *Probe) account(ctx context.Context) (string, error) {
	var got struct {
		Email string `json:"subject_email"`
	}
	a, err := p.withToken(ctx, http.MethodGet, "/account")
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(a.body, &got); err != nil || !strings.EqualFold(got.Email, p.target.Email) {
		return "", errors.New("the token is that of somebody else")
	}
	return "", nil
}

func (p *Probe) logout(ctx context.Context) (string, error) {
	_, err := p.withToken(ctx, http.MethodDelete, "/account/sessions/self")
	return "", err
}

// dead asks again with the token that was ended.
func (p *Probe) dead(ctx context.Context) (string, error) {
	_, err := p.withToken(ctx, http.MethodGet, "/account")
	if errors.Is(err, deviceauth.ErrUnauthorized) {
		p.token = deviceauth.Secret{}
		return "", nil
	}
	if err == nil {
		err = errAlive
	}
	return "", err
}

// leave ends what the steps have left behind, in time of its own and without a word: what
// failed was reported.
func (p *Probe) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidy)
	defer cancel()
	if !p.token.IsZero() && p.bearer != nil {
		_, _ = p.withToken(ctx, http.MethodDelete, "/account/sessions/self")
	}
	if len(p.cookies) > 0 {
		_, _ = p.signOut(ctx)
	}
	p.target.Transport.CloseIdleConnections()
}

// mismatch is a member that names another place than the one that was asked.
type mismatch struct{ where, name, got, want string }

func (m *mismatch) Error() string {
	return fmt.Sprintf("%s says %s %q, and it should be %q", m.where, m.name, short(m.got), m.want)
}

// exposed is an address of the second listener that the world can reach.
type exposed struct {
	path   string
	status int
}

func (e *exposed) Error() string {
	return fmt.Sprintf("%s answers %d at the public address", e.path, e.status)
}

var (
	errStranger = errors.New("the answer is not that of this program")
	errAlive    = errors.New("a token that was signed out is still taken")
)
