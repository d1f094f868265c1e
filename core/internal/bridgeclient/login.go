// SPDX-License-Identifier: Apache-2.0

package bridgeclient

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/innerclient"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

const (
	attemptsPath    = "/inner/api/sso/login-attempts"
	connectionsPath = "/inner/api/sso/connections?intent=device_flow"
	tracePath       = "/inner/api/sso/attempts/"
	startPath       = "/sso/start/"
)

// attemptRequest begins a login.
type attemptRequest struct {
	Intent         string `json:"intent"`
	UserCodeDigest string `json:"user_code_digest"`
	Nonce          string `json:"nonce"`
	Binding        string `json:"binding"`
	ReturnTo       string `json:"return_to"`
	Connection     string `json:"connection,omitempty"`
	Email          string `json:"email,omitempty"`
	Fresh          bool   `json:"force_authn,omitempty"`
	Locale         string `json:"locale,omitempty"`
	RequestID      string `json:"request_id"`
}

type attemptResponse struct {
	ID        *string `json:"attempt_id"`
	Reference *string `json:"reference"`
	StartURL  *string `json:"start_url"`
}

var ticket = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// Begin implements sso.Bridge.
func (c *Client) Begin(ctx context.Context, o sso.Order) (sso.Begun, error) {
	body, err := json.Marshal(attemptRequest{
		Intent: "device_flow", UserCodeDigest: o.UserCodeDigest, Nonce: o.Nonce, Binding: o.Binding, Connection: o.Connection, Email: o.Email,
		Fresh: o.Fresh, Locale: o.Locale, RequestID: o.RequestID,
	})
	if err != nil {
		return sso.Begun{}, fault.ErrInternal.Because(err)
	}
	var (
		begun   sso.Begun
		refusal error
	)
	_, err = c.call(ctx, http.MethodPost, attemptsPath, body, "", func(a innerclient.Answer) (ok bool) {
		if a.Status == http.StatusCreated {
			begun, ok = c.begun(a.Body)
			return ok
		}
		refusal = refusalOf(a)
		return refusal != nil
	})
	if err == nil {
		err = refusal
	}
	return begun, err
}

// begun reads the answer to a login that was begun. A browser goes to no start address
// but one of the bridge that was configured: whoever answers in its place could else send
// people anywhere.
func (c *Client) begun(body []byte) (sso.Begun, bool) {
	var r attemptResponse
	if wire.JSON(body, &r, wire.Ignore) != nil || r.ID == nil || r.Reference == nil || r.StartURL == nil || !ssocode.IsReference(*r.Reference) {
		return sso.Begun{}, false
	}
	random, ok := strings.CutPrefix(*r.StartURL, c.BridgePublic+startPath)
	return sso.Begun{Reference: *r.Reference, StartURL: *r.StartURL}, ok && ticket.MatchString(random)
}

// refusalOf gives what the bridge says instead of beginning a login, or nil.
func refusalOf(a innerclient.Answer) error {
	for status, sentinels := range map[int][]*fault.Error{
		http.StatusNotFound: {sso.ErrNotConfigured, sso.ErrConnectionUnknown, sso.ErrUnroutable},
		http.StatusConflict: {sso.ErrChoiceRequired},
	} {
		for _, sentinel := range sentinels {
			if a.Status == status && a.Code() == sentinel.Code() {
				return sentinel
			}
		}
	}
	return nil
}

// remembered is the last list that was heard, for a bridge that says it still holds.
type remembered struct {
	etag  string
	offer sso.Offer
}

type offerResponse struct {
	Mode        *string             `json:"mode"`
	Connections []connectionPresent `json:"connections"`
}

type connectionPresent struct {
	ID       *string `json:"id"`
	Name     *string `json:"name"`
	Button   *string `json:"button"`
	Protocol *string `json:"protocol"`
}

// Offered implements sso.Bridge.
func (c *Client) Offered(ctx context.Context) (sso.Offer, error) {
	c.mu.Lock()
	known := c.list
	c.mu.Unlock()
	offer := known.offer
	a, err := c.call(ctx, http.MethodGet, connectionsPath, nil, known.etag, func(a innerclient.Answer) (ok bool) {
		if a.Status == http.StatusNotModified && known.etag != "" {
			return true
		}
		offer, ok = offerOf(a)
		return ok
	})
	if err != nil {
		return sso.Offer{}, err
	}
	if a.Status == http.StatusOK {
		c.mu.Lock()
		c.list = remembered{etag: a.Header.Get("ETag"), offer: offer}
		c.mu.Unlock()
	}
	return offer, nil
}

func offerOf(a innerclient.Answer) (sso.Offer, bool) {
	var r offerResponse
	if a.Status != http.StatusOK || wire.JSON(a.Body, &r, wire.Ignore) != nil || r.Mode == nil {
		return sso.Offer{}, false
	}
	offer := sso.Offer{Mode: sso.Mode(*r.Mode)}
	switch offer.Mode {
	case sso.ModeNone, sso.ModeSingle, sso.ModeChoose, sso.ModeEmail, sso.ModeChooseOrEmail:
	default:
		return sso.Offer{}, false
	}
	for _, p := range r.Connections {
		if p.ID == nil || p.Name == nil || p.Protocol == nil || !sso.IsConnection(*p.ID) {
			return sso.Offer{}, false
		}
		shown := sso.Offered{ID: *p.ID, Name: *p.Name, Button: *p.Name, Protocol: *p.Protocol}
		if p.Button != nil && *p.Button != "" {
			shown.Button = *p.Button
		}
		offer.Connections = append(offer.Connections, shown)
	}
	return offer, true
}

// Trace gives the redacted trace of a login attempt, JSON as the bridge wrote it, for
// deployment administrators alone. It returns sso.ErrAttemptNotFound or sso.ErrSilent.
func (c *Client) Trace(ctx context.Context, reference string) (json.RawMessage, error) {
	if !ssocode.IsReference(reference) {
		return nil, sso.ErrAttemptNotFound
	}
	missing := false
	a, err := c.call(ctx, http.MethodGet, tracePath+reference, nil, "", func(a innerclient.Answer) bool {
		missing = a.Status == http.StatusNotFound && a.Code() == sso.ErrAttemptNotFound.Code()
		return missing || a.Status == http.StatusOK && wire.JSON(a.Body, &struct{}{}, wire.Ignore) == nil
	})
	if err == nil && missing {
		err = sso.ErrAttemptNotFound
	}
	return a.Body, err
}
