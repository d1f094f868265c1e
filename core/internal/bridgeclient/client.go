// SPDX-License-Identifier: Apache-2.0

package bridgeclient

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
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 64 << 10

// Deps is what a Client needs. All fields are required but Roots.
type Deps struct {
	// Bridge is the base of the bridge's second listener, without a path.
	Bridge *url.URL
	// Public is core's origin, which signs; BridgePublic is the bridge's, under which every
	// start address lies.
	Public, BridgePublic string
	// Roots are trusted for Bridge; nil means the system's.
	Roots *x509.CertPool
	// Timeout bounds a whole call with all of its tries.
	Timeout time.Duration
	Keys    *keyset.Ring
	Now     func() time.Time
}

// Client implements sso.Bridge. It is safe for concurrent use.
type Client struct {
	Deps
	inner   *envelope.Inner
	http    *http.Client
	breaker breaker

	mu   sync.Mutex
	list remembered
}

var _ sso.Bridge = (*Client)(nil)

// New checks the dependencies. It asks the bridge nothing: one that is down keeps no core
// from starting.
func New(d Deps) (*Client, error) {
	if d.Bridge == nil || d.BridgePublic == "" || d.Timeout <= 0 {
		return nil, errors.New("bridgeclient: the bridge's addresses and a timeout above zero are required")
	}
	inner, err := envelope.NewInner(envelope.Deps{Keys: d.Keys, Audience: envelope.CoreToBridge, Issuer: d.Public, Now: d.Now})
	if err != nil {
		return nil, err
	}
	return &Client{Deps: d, inner: inner, http: &http.Client{
		Transport: &http.Transport{
			Proxy:           nil, // what signs people in goes by no proxy of the environment
			TLSClientConfig: &tls.Config{RootCAs: d.Roots, MinVersion: tls.VersionTLS12},
			// Connections are kept for the bursts of a morning, and not for so long that an
			// address that moved is asked for ever.
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			DisableCompression: true, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CloseIdle ends connections that nobody uses.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// answer is one response, read.
type answer struct {
	status int
	etag   string
	body   []byte
}

// call asks the bridge within the time limit. It returns sso.ErrSilent for every answer
// that is none of the statuses expected, and for none at all.
func (c *Client) call(ctx context.Context, method, uri string, body []byte, etag string, expected func(answer) bool) (answer, error) {
	if !c.breaker.ask(c.Now()) {
		return answer{}, sso.ErrSilent.Because(&sso.SilentError{Err: errOpen})
	}
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	a, err := c.once(limited, method, uri, body, etag)
	if limited.Err() == nil && (errors.Is(err, errUnanswered) || err == nil && a.code() == envelope.ErrInnerReplayed.Code()) {
		// A kept connection was closed just now. The token of the first try may have been used
		// up, by net/http's own repeat of a GET too: the second signs its own.
		a, err = c.once(limited, method, uri, body, etag)
	}
	if err == nil && !expected(a) {
		err = fmt.Errorf("bridgeclient: status %d with an answer that is not of this route", a.status)
	}
	if err != nil {
		if ctx.Err() == nil { // a browser that left says nothing about the bridge
			c.breaker.failed(c.Now())
		}
		return answer{}, sso.ErrSilent.Because(&sso.SilentError{Status: a.status, Code: a.code(), Err: err})
	}
	c.breaker.succeeded()
	return a, nil
}

// errUnanswered marks a try whose connection ended before an answer began.
var errUnanswered = errors.New("bridgeclient: no answer")

func (c *Client) once(ctx context.Context, method, uri string, body []byte, etag string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Bridge.Scheme+"://"+c.Bridge.Host+uri, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	authorization, err := c.inner.Authorization(method, uri, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "core")
	req.GetBody = nil // whoever rewinds a body would send it with a token that is used up
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, errors.Join(errUnanswered, withoutAddress(err))
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("bridgeclient: read the answer: %w", err)
	case len(content) > maxAnswer:
		return answer{}, fmt.Errorf("bridgeclient: an answer above %d bytes", maxAnswer)
	case res.Header.Get("Content-Encoding") != "":
		return answer{}, errors.New("bridgeclient: an encoded answer")
	}
	if media, ok := wire.MediaType(res.Header.Get("Content-Type")); len(content) > 0 && (!ok || media != "application/json") {
		return answer{}, fmt.Errorf("bridgeclient: status %d and no JSON", res.StatusCode)
	}
	return answer{status: res.StatusCode, etag: res.Header.Get("ETag"), body: content}, nil
}

// withoutAddress keeps the address with its query out of the log.
func withoutAddress(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// code is the stable reason of a refusal of the bridge, or empty.
func (a answer) code() string {
	var body struct {
		Code    *string `json:"code"`
		Message *string `json:"message"`
		Status  *int    `json:"status"`
	}
	if wire.JSON(a.body, &body, wire.Ignore) != nil || body.Code == nil || body.Status == nil || *body.Status != a.status {
		return ""
	}
	return *body.Code
}
