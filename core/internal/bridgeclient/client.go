// SPDX-License-Identifier: Apache-2.0

package bridgeclient

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/innerclient"
	"github.com/dify-sso/dify-sso/pkg/keyset"
)

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
	inner   *innerclient.Client
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
	signing, err := envelope.NewInner(envelope.Deps{Keys: d.Keys, Audience: envelope.CoreToBridge, Issuer: d.Public, Now: d.Now})
	if err != nil {
		return nil, err
	}
	inner, err := innerclient.New(innerclient.Deps{Base: d.Bridge, Inner: signing, Roots: d.Roots, Agent: "core"})
	if err != nil {
		return nil, err
	}
	return &Client{Deps: d, inner: inner}, nil
}

// CloseIdle ends connections that nobody uses.
func (c *Client) CloseIdle() { c.inner.CloseIdle() }

// Clock asks the bridge for its time. It counts for no failure, nor waits for one.
func (c *Client) Clock(ctx context.Context) (time.Time, error) { return c.inner.Clock(ctx) }

// call asks the bridge within the time limit. It returns sso.ErrSilent for every answer
// that is none of the statuses expected, and for none at all.
func (c *Client) call(ctx context.Context, method, uri string, body []byte, etag string, expected func(innerclient.Answer) bool) (innerclient.Answer, error) {
	if !c.breaker.ask(c.Now()) {
		return innerclient.Answer{}, sso.ErrSilent.Because(&sso.SilentError{Err: errOpen})
	}
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var headers map[string]string
	if etag != "" {
		headers = map[string]string{"If-None-Match": etag}
	}
	a, err := c.inner.Once(limited, method, uri, body, headers)
	if limited.Err() == nil && (errors.Is(err, innerclient.ErrUnanswered) || err == nil && a.Code() == envelope.ErrInnerReplayed.Code()) {
		// A kept connection was closed just now. The token of the first try may have been used
		// up, by net/http's own repeat of a GET too: the second signs its own.
		a, err = c.inner.Once(limited, method, uri, body, headers)
	}
	if err == nil && !expected(a) {
		err = fmt.Errorf("status %d %s with an answer that is not of this route", a.Status, a.Code())
	}
	if err != nil {
		if ctx.Err() == nil { // a browser that left says nothing about the bridge
			c.breaker.failed(c.Now())
		}
		return innerclient.Answer{}, sso.ErrSilent.Because(&sso.SilentError{Status: a.Status, Code: a.Code(), Err: err})
	}
	c.breaker.succeeded()
	return a, nil
}
