// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/dify-sso/dify-sso/pkg/trace"
)

// The limits of the profile for identity providers.
const (
	MaxBody     = 1 << 20 // bytes
	connectTime = 2 * time.Second
	totalTime   = 5 * time.Second
	repeats     = 2 // of a GET, beside the first try
	firstWait   = 100 * time.Millisecond
	maxHeader   = 64 << 10
	// maxValidator bounds an ETag or Last-Modified; a peer that sends a longer one is asked
	// without it.
	maxValidator = 255
)

// Options make a Client. Only Now is required.
type Options struct {
	// Allow lists hosts, addresses and ranges that may be called although they are not
	// public (EGRESS_ALLOW).
	Allow []string
	// Proxy is an http or https address, or empty; the environment's proxy is ignored.
	Proxy string
	// Roots are trusted; nil are the system's.
	Roots *x509.CertPool
	// Resolver looks names up; nil is the system's.
	Resolver Resolver
	// Now is the clock by which certificates are judged.
	Now func() time.Time
	// Total shortens the five seconds of a call, for tests; 0 leaves them.
	Total time.Duration
}

// Client calls identity providers. It is safe for concurrent use.
type Client struct {
	guard     guard
	total     time.Duration
	once      *http.Client
	repeating *retryablehttp.Client
}

// Response is an answer within the limits.
type Response struct {
	Status int
	// ContentType is the media type without parameters, in lower case.
	ContentType string
	Body        []byte
	// Date is the peer's clock (RFC 9110 section 6.6.1), zero when it does not say.
	Date time.Time
	// ETag and LastModified name this version of the document (RFC 9110 section 8.8), as
	// they came; empty when the peer sends none, or one of more than 255 bytes.
	ETag, LastModified string
}

// New checks the options. It returns an error for an entry or a proxy that cannot be
// read, without repeating it.
func New(o Options) (*Client, error) {
	g, err := newGuard(o.Allow)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		return nil, errors.New("egress: a clock is required")
	}
	if o.Total < 0 || o.Total > totalTime {
		return nil, errors.New("egress: the time of a call can only be shortened")
	}
	c := &Client{guard: g, total: totalTime}
	if o.Total > 0 {
		c.total = o.Total
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots, Time: o.Now}
	judged := func(host string, a netip.Addr, _ string) error { return g.judge(host, a) }
	d := &dialer{judge: judged, resolver: o.Resolver, tls: secure, connect: min(connectTime, c.total)}
	if d.resolver == nil {
		d.resolver = system{}
	}
	if o.Proxy != "" {
		if d.proxy, err = url.Parse(o.Proxy); err != nil || d.proxy.Hostname() == "" || d.proxy.Scheme != "http" && d.proxy.Scheme != "https" {
			return nil, errors.New("egress: the proxy is no http or https address")
		}
	}
	c.once = &http.Client{
		Transport: &http.Transport{
			DialContext: d.DialContext, TLSClientConfig: secure, TLSHandshakeTimeout: d.connect,
			DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
			MaxIdleConns: 64, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.repeating = &retryablehttp.Client{
		HTTPClient: c.once, RetryMax: repeats, RetryWaitMin: firstWait, RetryWaitMax: 4 * firstWait,
		CheckRetry: again, Backoff: wait, ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return c, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.once.CloseIdleConnections() }

// Acceptable judges the form of an address without looking its name up: absolute, https
// (http for an allowed loopback address), no user information, no fragment, and no
// literal of a refused range. It returns *Error with the phase Refused.
func (c *Client) Acceptable(address string) error {
	_, err := c.accept(address)
	return err
}

func (c *Client) accept(address string) (*url.URL, error) {
	u, err := c.guard.target(address)
	return accepted(u, err, address)
}

// accepted is what a guard says of an address; a refusal names the host and no more.
func accepted(u *url.URL, err error, address string) (*url.URL, error) {
	if err == nil {
		return u, nil
	}
	host := ""
	if parsed, e := url.Parse(address); e == nil {
		host = parsed.Hostname()
	}
	return nil, &Error{Phase: Refused, Host: host, cause: err}
}

// Get reads an address, tried up to twice more while nothing or a 5xx comes back, all of
// it within the call's time. When header has Accept, a 200 of another media type is a
// failure; when it has If-None-Match or If-Modified-Since, a 304 is an answer without a
// body. Every error is an *Error.
func (c *Client) Get(ctx context.Context, address string, header http.Header) (Response, error) {
	u, err := c.accept(address)
	if err != nil {
		return Response{}, err
	}
	return noted(ctx, http.MethodGet, u, func() (Response, error) { return c.get(ctx, u, header) })
}

// noted has the record of the request that ctx is of tell of a call. A provider is a stranger:
// it is told of no trace.
func noted(ctx context.Context, method string, u *url.URL, do func() (Response, error)) (Response, error) {
	call := trace.Provider(trace.Of(ctx), method, u.Hostname())
	r, err := do()
	call.Answered(r.Status)
	call.End(err != nil)
	return r, err
}

func (c *Client) get(ctx context.Context, u *url.URL, header http.Header) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.total)
	defer cancel()
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return Response{}, classify(u.Hostname(), err)
	}
	req.Header = prepared(header)
	var out *Response
	handle := func(r *http.Response) error {
		read, err := take(u.Hostname(), req.Header, r)
		if err == nil {
			out = &read
		}
		return err
	}
	req.SetResponseHandler(handle)
	r, err := c.repeating.Do(req)
	if r != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if err == nil && out == nil {
		err = handle(r) // the last try answered 5xx, which the library does not hand over
	}
	if err != nil {
		return Response{}, ended(ctx, u.Hostname(), err)
	}
	return *out, nil
}

// PostForm sends a form, once: what it carries is single use or secret. Every error is
// an *Error.
func (c *Client) PostForm(ctx context.Context, address string, form url.Values, header http.Header) (Response, error) {
	u, err := c.accept(address)
	if err != nil {
		return Response{}, err
	}
	return noted(ctx, http.MethodPost, u, func() (Response, error) { return c.post(ctx, u, form, header) })
}

func (c *Client) post(ctx context.Context, u *url.URL, form url.Values, header http.Header) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.total)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return Response{}, classify(u.Hostname(), err)
	}
	req.Header = prepared(header)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// Without a way to read the body again, net/http cannot send it a second time.
	req.GetBody = nil
	r, err := c.once.Do(req)
	if err != nil {
		return Response{}, ended(ctx, u.Hostname(), err)
	}
	defer func() { _ = r.Body.Close() }()
	out, err := take(u.Hostname(), req.Header, r)
	if err != nil {
		return Response{}, ended(ctx, u.Hostname(), err)
	}
	return out, nil
}

func prepared(header http.Header) http.Header {
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Accept-Encoding", "identity")
	h.Set("User-Agent", "dify-sso")
	return h
}

// take reads an answer within the limits.
func take(host string, sent http.Header, r *http.Response) (Response, error) {
	fail := func(phase Phase, cause error) error {
		return &Error{Phase: phase, Host: host, Status: r.StatusCode, cause: cause}
	}
	out := Response{Status: r.StatusCode, ETag: validator(r.Header.Get("ETag")), LastModified: validator(r.Header.Get("Last-Modified"))}
	if r.StatusCode == http.StatusNotModified && (sent.Get("If-None-Match") != "" || sent.Get("If-Modified-Since") != "") {
		return out, nil
	}
	if r.StatusCode < 200 {
		return Response{}, fail(Protocol, errProtocol)
	}
	if r.StatusCode >= 300 && r.StatusCode < 400 {
		return Response{}, fail(Redirect, errors.New("a redirect is not followed"))
	}
	if e := r.Header.Get("Content-Encoding"); len(r.Header.Values("Content-Encoding")) > 1 || e != "" && !strings.EqualFold(e, "identity") {
		return Response{}, fail(Encoding, errors.New("the answer is encoded"))
	}
	kind := mediaType(r.Header.Get("Content-Type"))
	if accept := sent.Values("Accept"); r.StatusCode == http.StatusOK && len(accept) > 0 && !slices.Contains(accept, kind) {
		return Response{}, fail(ContentType, errors.New("the answer is of another media type"))
	}
	if r.ContentLength > MaxBody {
		return Response{}, fail(TooLarge, errTooLarge)
	}
	var body bytes.Buffer
	n, err := io.Copy(&body, io.LimitReader(r.Body, MaxBody+1))
	if err == nil {
		// A peer that is told of the end of the call may end its answer in order, and what it
		// has said until then is no whole one.
		err = r.Request.Context().Err()
	}
	if err != nil {
		e := classify(host, err)
		e.Status = r.StatusCode
		return Response{}, e
	}
	if n > MaxBody {
		return Response{}, fail(TooLarge, errTooLarge)
	}
	if date, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		out.Date = date
	}
	out.ContentType, out.Body = kind, body.Bytes()
	return out, nil
}

// validator bounds what is kept, and sent back at the next call.
func validator(value string) string {
	if len(value) > maxValidator {
		return ""
	}
	return value
}

// errProtocol is a 101, the one informational status that net/http gives out. The connection
// is its receiver's then, and no context ends what is read of it.
var errProtocol = errors.New("the peer changes to another protocol")

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", MaxBody)

func mediaType(value string) string {
	kind, _, err := mime.ParseMediaType(value)
	if err != nil {
		return ""
	}
	return kind
}

// ended classifies, and says timeout when the call's own time is over, whatever the
// library made of it.
func ended(ctx context.Context, host string, err error) *Error {
	e := classify(host, err)
	if ctx.Err() != nil && e.Phase == Connect {
		e.Phase = Timeout
	}
	return e
}

// again says whether a GET is tried once more: while nothing came, it broke off, or the
// peer answered that it cannot just now. What the peer decided stays decided.
func again(ctx context.Context, r *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		switch classify("", err).Phase {
		case Connect, Timeout, DNS:
			return true, nil
		}
		return false, nil
	}
	return r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented, nil
}

// wait grows from one try to the next, with jitter so that replicas do not call at once.
// Retry-After is not looked at: the person waits no longer than the call's time.
func wait(least, most time.Duration, attempt int, _ *http.Response) time.Duration {
	d := min(least<<attempt, most)
	return d/2 + rand.N(d) //nolint:gosec // jitter is no secret
}
