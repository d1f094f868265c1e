// SPDX-License-Identifier: Apache-2.0

package coreclient

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/innerclient"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

// The two addresses of core that the bridge's token opens.
const (
	revokePath = "/inner/api/subjects/revoke"
	unlinkPath = "/inner/api/identities/unlink"
)

// Deps is what a Client needs. All fields are required but Roots.
type Deps struct {
	// Core is the base of core's second listener, without a path.
	Core *url.URL
	// Public is the bridge's own origin, which signs.
	Public string
	// Roots are trusted for Core; nil means the system's.
	Roots *x509.CertPool
	// Timeout bounds a whole call with both of its tries.
	Timeout time.Duration
	Keys    *keyset.Ring
	Now     func() time.Time
}

// Client implements connection.Core. It is safe for concurrent use.
type Client struct {
	timeout time.Duration
	inner   *innerclient.Client
}

var _ connection.Core = (*Client)(nil)

// New checks the dependencies. It asks core nothing: one that is down keeps no bridge
// from starting.
func New(d Deps) (*Client, error) {
	if d.Timeout <= 0 {
		return nil, errors.New("coreclient: a timeout above zero is required")
	}
	signing, err := envelope.NewInner(envelope.Deps{Keys: d.Keys, Audience: envelope.BridgeToCore, Issuer: d.Public, Now: d.Now})
	if err != nil {
		return nil, err
	}
	inner, err := innerclient.New(innerclient.Deps{Base: d.Core, Inner: signing, Roots: d.Roots, Agent: "sso-bridge"})
	if err != nil {
		return nil, err
	}
	return &Client{timeout: d.Timeout, inner: inner}, nil
}

// Clock asks core for its time.
func (c *Client) Clock(ctx context.Context) (time.Time, error) { return c.inner.Clock(ctx) }

// CloseIdle ends connections that nobody uses.
func (c *Client) CloseIdle() { c.inner.CloseIdle() }

// RevokeConnection implements connection.Core.
func (c *Client) RevokeConnection(ctx context.Context, connectionID, reason, actor string) (tokens, sessions int, err error) {
	var out struct {
		Tokens   *int `json:"tokens_revoked"`
		Sessions *int `json:"console_sessions_ended"`
	}
	err = c.post(ctx, revokePath, struct {
		Connection string `json:"connection_id"`
		Reason     string `json:"reason"`
		Actor      string `json:"actor"`
	}{connectionID, reason, actor}, &out)
	if err == nil && (out.Tokens == nil || out.Sessions == nil || *out.Tokens < 0 || *out.Sessions < 0) {
		err = errShape
	}
	if err != nil {
		return 0, 0, err
	}
	return *out.Tokens, *out.Sessions, nil
}

// Unlink implements connection.Core.
func (c *Client) Unlink(ctx context.Context, issuer, reason, actor string) (int, error) {
	var out struct {
		Unlinked *int `json:"unlinked"`
	}
	err := c.post(ctx, unlinkPath, struct {
		Issuer string `json:"issuer"`
		Reason string `json:"reason"`
		Actor  string `json:"actor"`
	}{issuer, reason, actor}, &out)
	if err == nil && (out.Unlinked == nil || *out.Unlinked < 0) {
		err = errShape
	}
	if err != nil {
		return 0, err
	}
	return *out.Unlinked, nil
}

var errShape = errors.New("coreclient: an answer of core that is not of this route")

// post sends a request and reads its 200. Both calls do no harm when they come twice, so
// a connection that gave no answer is tried once more, with a token of its own.
func (c *Client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	a, err := c.inner.Once(ctx, http.MethodPost, path, body, nil)
	if errors.Is(err, innerclient.ErrUnanswered) && ctx.Err() == nil {
		a, err = c.inner.Once(ctx, http.MethodPost, path, body, nil)
	}
	switch {
	case err != nil:
		return fmt.Errorf("coreclient: %w", err)
	case a.Status != http.StatusOK:
		return fmt.Errorf("coreclient: core answered %d %s", a.Status, a.Code())
	}
	if err := wire.JSON(a.Body, out, wire.Ignore); err != nil {
		return errors.Join(errShape, err)
	}
	return nil
}
