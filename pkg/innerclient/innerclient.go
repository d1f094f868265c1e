// SPDX-License-Identifier: Apache-2.0

package innerclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/trace"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// MaxAnswer is the longest answer that is read, in bytes.
const MaxAnswer = 64 << 10

// ErrUnanswered marks a try whose connection failed or ended before an answer began: the
// other side may have acted all the same.
var ErrUnanswered = errors.New("innerclient: no answer")

// Deps is what a Client needs. All fields are required but Roots.
type Deps struct {
	// Base is the other side's second listener: scheme and host alone count.
	Base *url.URL
	// Inner signs the requests of this direction.
	Inner *envelope.Inner
	// Roots are trusted for Base; nil means the system's.
	Roots *x509.CertPool
	// Agent is sent as User-Agent.
	Agent string
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	Deps
	http *http.Client
}

// New checks the dependencies. It asks nobody anything.
func New(d Deps) (*Client, error) {
	if d.Base == nil || d.Base.Host == "" || d.Inner == nil || d.Agent == "" {
		return nil, errors.New("innerclient: every dependency but the roots is required")
	}
	return &Client{Deps: d, http: &http.Client{
		Transport: &http.Transport{
			Proxy:           nil, // what signs people in goes by no proxy of the environment
			TLSClientConfig: &tls.Config{RootCAs: d.Roots, MinVersion: tls.VersionTLS12},
			// Connections are kept for bursts, and not for so long that an address that moved
			// is asked for ever.
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			DisableCompression: true, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CloseIdle ends connections that nobody uses.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Answer is one response, read; its body is JSON or empty.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Once sends one request with a token of its own, follows no redirect and reads the
// answer, of whatever status. uri is the path with query. It returns ErrUnanswered, or
// another error for an answer that cannot be read.
func (c *Client) Once(ctx context.Context, method, uri string, body []byte, headers map[string]string) (a Answer, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base.Scheme+"://"+c.Base.Host+uri, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	authorization, err := c.Inner.Authorization(method, uri, body)
	if err != nil {
		return Answer{}, err
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.Agent)
	req.GetBody = nil // whoever rewinds a body would send it with a token that is used up
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	call := trace.Peer(trace.Of(ctx), method, c.Base.Hostname())
	if parent := call.Header(); parent != "" { // which the token does not cover, and nothing is decided by
		req.Header.Set("Traceparent", parent)
	}
	defer func() { call.End(err != nil) }()
	res, err := c.http.Do(req)
	if err != nil {
		call.Answered(0)
		return Answer{}, errors.Join(ErrUnanswered, withoutAddress(err))
	}
	defer func() { _ = res.Body.Close() }()
	call.Answered(res.StatusCode)
	if res.StatusCode < http.StatusOK { // another protocol: no time ends what is read of it
		return Answer{}, fmt.Errorf("innerclient: status %d", res.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("innerclient: read the answer: %w", err)
	case len(content) > MaxAnswer:
		return Answer{}, fmt.Errorf("innerclient: an answer above %d bytes", MaxAnswer)
	case res.Header.Get("Content-Encoding") != "":
		return Answer{}, errors.New("innerclient: an encoded answer")
	}
	if media, ok := wire.MediaType(res.Header.Get("Content-Type")); len(content) > 0 && (!ok || media != "application/json") {
		return Answer{}, fmt.Errorf("innerclient: status %d and no JSON", res.StatusCode)
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: content}, nil
}

// Clock asks the other side for its time, by the Date that it answers everything with (RFC
// 9110 section 6.6.1): whole seconds, of which the middle is taken.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base.Scheme+"://"+c.Base.Host+"/healthz", nil)
	if err != nil {
		return time.Time{}, err
	}
	req.Header.Set("User-Agent", c.Agent)
	res, err := c.http.Do(req)
	if err != nil {
		return time.Time{}, errors.Join(ErrUnanswered, withoutAddress(err))
	}
	_ = res.Body.Close()
	at, err := http.ParseTime(res.Header.Get("Date"))
	return at.Add(time.Second / 2), err
}

// withoutAddress keeps the address with its query out of the log.
func withoutAddress(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// Code is the stable reason of a refusal in its canonical body, or empty.
func (a Answer) Code() string {
	var body struct {
		Code    *string `json:"code"`
		Message *string `json:"message"`
		Status  *int    `json:"status"`
	}
	if wire.JSON(a.Body, &body, wire.Ignore) != nil || body.Code == nil || body.Status == nil || *body.Status != a.Status {
		return ""
	}
	return *body.Code
}
