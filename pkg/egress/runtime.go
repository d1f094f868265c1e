// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/trace"
)

// RuntimeOptions make a Runtime. Now, Connect and Header are required.
type RuntimeOptions struct {
	// Allowed lists what may be called: host names, addresses and ranges, each with a port
	// where that alone is meant (RUNTIME_ALLOWED_HOSTS). Empty lets public and private
	// networks be called.
	Allowed []string
	// Own are the host:port pairs on which this service listens or is reached. Only an entry
	// of Allowed with the same port opens one.
	Own []string
	// Connect is the time for a connection, Header the time for the head of an answer once
	// the request was sent.
	Connect, Header time.Duration
	// Roots are trusted; nil are the system's.
	Roots *x509.CertPool
	// Resolver looks names up; nil is the system's.
	Resolver Resolver
	// Local gives the addresses of this machine; nil asks the system.
	Local func() []netip.Addr
	// Now is the clock by which certificates are judged.
	Now func() time.Time
}

// Runtime calls the runtimes of apps, whose addresses owners and admins of workspaces set.
// It is safe for concurrent use.
type Runtime struct {
	guard           runtimeGuard
	prompt, patient *http.Transport
	lines           *lines
}

// NewRuntime checks the options. It returns an error for an entry that cannot be read,
// without repeating it.
func NewRuntime(o RuntimeOptions) (*Runtime, error) {
	if o.Now == nil || o.Connect <= 0 || o.Header <= 0 {
		return nil, errors.New("egress: a clock and times above zero are required")
	}
	if o.Local == nil {
		o.Local = interfaces
	}
	g, err := newRuntimeGuard(o.Allowed, o.Own, o.Local)
	if err != nil {
		return nil, err
	}
	d := &dialer{judge: g.judge, resolver: o.Resolver, connect: o.Connect}
	if d.resolver == nil {
		d.resolver = system{}
	}
	// Without Proxy the environment's is ignored; without HTTP/2 a run has a connection of its
	// own, whose end the runtime sees.
	prompt := &http.Transport{
		DialContext: d.DialContext, TLSHandshakeTimeout: o.Connect, ResponseHeaderTimeout: o.Header,
		TLSClientConfig:    &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots, Time: o.Now},
		DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns: 256, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
	}
	patient := prompt.Clone()
	patient.ResponseHeaderTimeout = 0
	followers := &lines{dial: d.DialContext, secure: prompt.TLSClientConfig.Clone(), connect: o.Connect, header: o.Header}
	return &Runtime{guard: g, prompt: prompt, patient: patient, lines: followers}, nil
}

// CloseIdle drops idle connections.
func (r *Runtime) CloseIdle() {
	r.prompt.CloseIdleConnections()
	r.patient.CloseIdleConnections()
	r.lines.closeIdle()
}

// Acceptable judges the form of a base address without looking its name up: absolute, http
// or https, no user information, query or fragment, and no host that may not be called. It
// returns *Error with the phase Refused, whose cause is ErrAddress, ErrUnnamed, ErrOwn or
// ErrOutside.
func (r *Runtime) Acceptable(address string) error {
	_, err := r.Base(address)
	return err
}

// Base is Acceptable, and gives the address.
func (r *Runtime) Base(address string) (*url.URL, error) {
	u, err := r.guard.target(address)
	return accepted(u, err, address)
}

// Do sends a request whose address Base gave, with a path of the caller's below it. No
// redirect is followed and no cookie kept. Every error is an *Error. The caller closes the
// answer's body.
func (r *Runtime) Do(req *http.Request) (*http.Response, error) { return send(r.prompt, req) }

// Wait is Do without a limit on when the answer begins; the context has one.
func (r *Runtime) Wait(req *http.Request) (*http.Response, error) { return send(r.patient, req) }

func send(t http.RoundTripper, req *http.Request) (*http.Response, error) {
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "dify-sso")
	call := trace.Runtime(trace.Of(req.Context()), req.Method, req.URL.Hostname())
	if parent := call.Header(); parent != "" { // a runtime is the operator's own
		req.Header.Set("Traceparent", parent)
	}
	answer, err := t.RoundTrip(req)
	if err != nil {
		call.Answered(0)
		call.End(true)
		return nil, classify(req.URL.Hostname(), err)
	}
	call.Answered(answer.StatusCode)
	if call != nil {
		answer.Body = called{answer.Body, call}
	}
	fail := func(phase Phase, cause error) (*http.Response, error) {
		_ = answer.Body.Close()
		return nil, &Error{Phase: phase, Host: req.URL.Hostname(), Status: answer.StatusCode, cause: cause}
	}
	if answer.StatusCode < 200 {
		return fail(Protocol, errProtocol)
	}
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		return fail(Redirect, errors.New("a redirect is not followed"))
	}
	if e := answer.Header.Values("Content-Encoding"); len(e) > 1 || len(e) == 1 && e[0] != "" && !strings.EqualFold(e[0], "identity") {
		return fail(Encoding, errors.New("the answer is encoded"))
	}
	return answer, nil
}

// called ends a call with the body of its answer.
type called struct {
	io.ReadCloser
	call *trace.Call
}

func (c called) Close() error {
	err := c.ReadCloser.Close()
	c.call.End(false)
	return err
}

func interfaces() (list []netip.Addr) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, f := range found {
		if p, err := netip.ParsePrefix(f.String()); err == nil {
			list = append(list, p.Addr())
		}
	}
	return list
}
