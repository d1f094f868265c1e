// SPDX-License-Identifier: Apache-2.0

// Package api calls the routes of a server with the token of a sign-in. Its errors are
// those of deviceauth, and ErrOlder.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

const (
	maxAnswer = 4 << 20 // bytes; a page of 200 sessions has some 70 KB
	pageLimit = 200
	maxPages  = 100

	maxPatience = 30 * time.Second // of a 429 that says when to come back
	maxAttempts = 3                // of a request that reads
)

// ErrOlder says that the server has no such route: it is of a version before apps, or
// another product.
var ErrOlder = errors.New("the server has no such route")

// API is one server for the holder of one token.
type API struct {
	http  *http.Client
	base  string
	token deviceauth.Secret

	// Date is the server's clock at its last answer; zero when it did not say.
	Date time.Time
	// Waiting, when set, hears of a pause that the server asks for before it is made.
	Waiting func(time.Duration)
}

// New gives it. The errors are those of Client.Origin.
func New(c *deviceauth.Client, token deviceauth.Secret) (*API, error) {
	origin, err := c.Origin()
	if err != nil {
		return nil, err
	}
	h, err := c.Authorized(token)
	if err != nil {
		return nil, err
	}
	return &API{http: h, base: origin + deviceauth.BasePath, token: token}, nil
}

// Identity is who holds the token.
type Identity struct {
	SubjectType string                 `json:"subject_type"`
	Email       string                 `json:"subject_email"`
	Issuer      *string                `json:"subject_issuer"`
	Account     *deviceauth.Account    `json:"account"`
	Workspaces  []deviceauth.Workspace `json:"workspaces"`
	Default     *string                `json:"default_workspace_id"`
}

// Device is one session of the holder. Times are RFC 3339 as the server writes them.
type Device struct {
	ID          string  `json:"id"`
	Prefix      string  `json:"prefix"`
	ClientID    string  `json:"client_id"`
	Label       string  `json:"device_label"`
	CreatedAt   string  `json:"created_at"`
	LastUsedAt  *string `json:"last_used_at"`
	ExpiresAt   string  `json:"expires_at"`
	Current     bool    `json:"current"`
	SubjectType string  `json:"subject_type"`
}

// Version asks a server for its version, without a token.
func Version(ctx context.Context, c *deviceauth.Client) (string, error) {
	a, err := New(c, deviceauth.Secret{})
	if err != nil {
		return "", err
	}
	h := &http.Client{Timeout: a.http.Timeout, CheckRedirect: a.http.CheckRedirect}
	if c.HTTPClient != nil {
		h.Transport = c.HTTPClient.Transport
	}
	a.http = h
	var v struct {
		Version string `json:"version"`
	}
	err = a.call(ctx, http.MethodGet, "/_version", &v)
	return v.Version, err
}

// Identity asks who holds the token.
func (a *API) Identity(ctx context.Context) (Identity, error) {
	var v Identity
	err := a.call(ctx, http.MethodGet, "/account", &v)
	return v, err
}

// Devices lists the holder's sessions, newest first.
func (a *API) Devices(ctx context.Context) ([]Device, error) {
	all := []Device{}
	for n := 1; n <= maxPages; n++ {
		var page struct {
			HasMore bool     `json:"has_more"`
			Data    []Device `json:"data"`
		}
		if err := a.call(ctx, http.MethodGet, "/account/sessions?page="+strconv.Itoa(n)+"&limit="+strconv.Itoa(pageLimit), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if !page.HasMore {
			break
		}
	}
	return all, nil
}

// End ends one session of the holder.
func (a *API) End(ctx context.Context, id string) error {
	return a.call(ctx, http.MethodDelete, "/account/sessions/"+url.PathEscape(id), nil)
}

// EndOthers ends all sessions of the holder but this one, and says how many there were.
func (a *API) EndOthers(ctx context.Context) (int, error) {
	var v struct {
		Revoked int `json:"revoked"`
	}
	err := a.call(ctx, http.MethodDelete, "/account/sessions", &v)
	return v.Revoked, err
}

// EndSelf ends the session of the token itself.
func (a *API) EndSelf(ctx context.Context) error {
	return a.call(ctx, http.MethodDelete, "/account/sessions/self", nil)
}

// call asks without a body.
func (a *API) call(ctx context.Context, method, path string, into any) error {
	return a.send(ctx, method, path, nil, into)
}

// send asks and decodes the answer. What reads is asked again when a limit names the
// second at which it will pass; what writes never is, for the person decides that.
func (a *API) send(ctx context.Context, method, path string, body, into any) error {
	for attempt := 1; ; attempt++ {
		content, err := a.once(ctx, method, path, body)
		if err == nil {
			if into != nil && json.Unmarshal(content, into) != nil {
				return &deviceauth.Error{Status: http.StatusOK, Err: deviceauth.ErrBadAnswer}
			}
			return nil
		}
		if method != http.MethodGet || attempt == maxAttempts || !a.patient(ctx, err) {
			return err
		}
	}
}

// patient waits as a limit's answer asks, and tells whether it is worth asking again.
func (a *API) patient(ctx context.Context, err error) bool {
	var said *deviceauth.Error
	if !errors.As(err, &said) || said.Status != http.StatusTooManyRequests || said.Code != "too_many_requests" || said.RetryAfter <= 0 || said.RetryAfter > maxPatience {
		return false
	}
	if a.Waiting != nil {
		a.Waiting(said.RetryAfter)
	}
	select {
	case <-time.After(said.RetryAfter):
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *API) once(ctx context.Context, method, path string, v any) ([]byte, error) {
	req, err := a.request(ctx, method, path, v)
	if err != nil {
		return nil, err
	}
	res, err := a.do(a.http, req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, a.unanswered(ctx, err)
	}
	return body, nil
}

func (a *API) request(ctx context.Context, method, path string, v any) (*http.Request, error) {
	var body io.Reader
	if v != nil {
		content, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(content)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if v != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// do gives an answer of 2xx, whose body the caller closes, or an error.
func (a *API) do(h *http.Client, req *http.Request) (*http.Response, error) {
	res, err := h.Do(req)
	if err != nil {
		return nil, a.unanswered(req.Context(), err)
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		a.Date = date
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	err = deviceauth.ReadError(res)
	var said *deviceauth.Error
	if !errors.As(err, &said) {
		return nil, err
	}
	if token := a.token.Reveal(); token != "" && strings.Contains(said.Message, token[:min(len(token), 12)]) {
		said.Message = "" // a server that quotes the token, cut off or not, must not get it printed
	}
	if said.Status == http.StatusNotFound && (said.Code == "" || said.Code == "not_found") && newer(req.URL.Path) {
		said.Err = ErrOlder
	}
	return nil, said
}

// newer tells the routes that no server had at first: a 404 of theirs does not say that
// the address is wrong.
func newer(path string) bool {
	for _, p := range []string{"/workspaces", "/apps", "/permitted-external-apps"} {
		if strings.HasPrefix(path, deviceauth.BasePath+p) {
			return true
		}
	}
	return false
}

func (a *API) unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return &deviceauth.Error{Err: fmt.Errorf("%w: %w", deviceauth.ErrUnreachable, err)}
}
