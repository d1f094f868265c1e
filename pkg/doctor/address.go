// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Public is an address at which browsers and clients reach a service.
type Public struct {
	Setting string // that names it
	URL     *url.URL
	// Path is asked for to see whose address it is; Ours judges the answer, and says what
	// is wrong with it or nothing.
	Path string
	Ours func(status int, body []byte) (warn bool, wrong string)
	// Roots are trusted beside the system's; nil is none.
	Roots *x509.CertPool
	Now   func() time.Time
	// Resolve looks names up; nil is the system's.
	Resolve func(ctx context.Context, host string) ([]string, error)
}

// inner are paths of the second listener, none of which may be reached from outside.
var inner = []string{"/metrics", "/readyz", "/inner/api/subjects/revoke", "/inner/api/sso/connections", "/debug/pprof/goroutine"}

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// Look asks the address as a client would.
func (p Public) Look(ctx context.Context) []Finding {
	var f finds
	if !p.named(ctx, &f) {
		return f
	}
	client, transport := p.client()
	defer transport.CloseIdleConnections()
	status, body, state, err := p.ask(ctx, client, p.Path)
	if p.URL.Scheme == "https" {
		p.judgeTLS(&f, state, err)
	}
	if err != nil {
		if len(f) > 0 && f[len(f)-1].Status == Fail { // TLS has said it
			return f
		}
		f.fail(AddressOurs, "See that the service runs, and that the proxy in front of it forwards "+p.Path+".", "Nothing answers at %s%s.", p.Setting, because(err))
		return f
	}
	switch warn, wrong := p.Ours(status, body); {
	case wrong == "":
		f.ok(AddressOurs, "What answers at %s is this service.", p.Setting)
	case warn:
		f.warn(AddressOurs, "During an upgrade this is so for minutes; else see which version runs.", "%s", wrong)
	default:
		f.fail(AddressOurs, "See where the proxy in front sends "+p.Path+", and that "+p.Setting+" is the address that people use.", "%s", wrong)
	}
	p.closed(ctx, &f, client)
	return f
}

// named looks the host up.
func (p Public) named(ctx context.Context, f *finds) bool {
	resolve := p.Resolve
	if resolve == nil {
		resolve = net.DefaultResolver.LookupHost
	}
	found, err := resolve(ctx, p.URL.Hostname())
	if err != nil || len(found) == 0 {
		f.fail(AddressName, "See the name servers of this machine, and the record of the name.", "The host of %s does not resolve here.", p.Setting)
		return false
	}
	f.ok(AddressName, "The host of %s resolves.", p.Setting)
	return true
}

// client verifies a chain by itself, after the handshake: a certificate that does not hold
// is told of, and what answers behind it is looked at all the same only when it does.
func (p Public) client() (*http.Client, *http.Transport) {
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.Roots, MinVersion: tls.VersionTLS12, Time: p.Now}}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, t
}

func (p Public) ask(ctx context.Context, client *http.Client, path string) (status int, body []byte, state *tls.ConnectionState, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL.Scheme+"://"+p.URL.Host+path, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("User-Agent", "dify-sso-doctor")
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, body, res.TLS, err
}

func (p Public) judgeTLS(f *finds, state *tls.ConnectionState, err error) {
	var unknown x509.UnknownAuthorityError
	switch {
	case err != nil && errors.As(err, &unknown):
		f.fail(AddressTLS, "Put the whole chain into the proxy's certificate file; where the authority is your own, this machine has to trust it too (SSL_CERT_FILE).",
			"The certificate at %s is of an authority that this machine does not trust.", p.Setting)
	case err != nil && certificate(err):
		f.fail(AddressTLS, "Give the proxy, or TLS_CERT_FILE, a certificate for this host that is good now.", "TLS at %s fails: %s.", p.Setting, network(err))
	case err != nil || state == nil || len(state.PeerCertificates) == 0:
	default:
		judgeEnd(f, AddressTLS, "The certificate at "+p.Setting, state.PeerCertificates[0], p.Now())
	}
}

func certificate(err error) bool {
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &alert) || errors.Is(err, http.ErrSchemeMismatch)
}

// closed sees that the second listener is not reached from outside.
func (p Public) closed(ctx context.Context, f *finds, client *http.Client) {
	var open []string
	for _, path := range inner {
		status, _, _, err := p.ask(ctx, client, path)
		if err != nil {
			f.warn(AddressInner, "Call doctor again.", "%s could not be asked for %s%s.", p.Setting, path, because(err))
			return
		}
		// A proxy that sends everybody elsewhere, or keeps them out, shows nothing either.
		if status != http.StatusNotFound && status != http.StatusForbidden && (status < 300 || status > 399) {
			open = append(open, path)
		}
	}
	if len(open) > 0 {
		f.fail(AddressInner, "Let the proxy forward to LISTEN alone, and never to INNER_LISTEN.", "%s is not 404 at %s: the second listener may be open to everybody.", strings.Join(open, ", "), p.Setting)
		return
	}
	f.ok(AddressInner, "The second listener is not reached at %s.", p.Setting)
}
