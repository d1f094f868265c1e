// SPDX-License-Identifier: Apache-2.0

package deviceauth

import (
	"fmt"
	"net/http"
)

// Authorized gives an HTTP client that presents token to the server. A request to any
// other origin fails with ErrOtherHost before it is sent, and redirects are not followed.
// The errors are those of Origin.
func (c *Client) Authorized(token Secret) (*http.Client, error) {
	origin, err := c.Origin()
	if err != nil {
		return nil, err
	}
	h := c.sender()
	base := h.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	h.Transport = bearer{origin: origin, token: token, agent: c.UserAgent, base: base}
	return h, nil
}

type bearer struct {
	origin string
	token  Secret
	agent  string
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	if originOf(req.URL) != b.origin {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, fmt.Errorf("deviceauth: %w", ErrOtherHost)
	}
	req = req.Clone(req.Context()) // a RoundTripper does not change its request
	req.Header.Set("Authorization", "Bearer "+b.token.Reveal())
	if b.agent != "" && req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", b.agent)
	}
	return b.base.RoundTrip(req)
}
