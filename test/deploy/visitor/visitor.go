// SPDX-License-Identifier: Apache-2.0

// Package visitor is a person with an account and a command-line client beside them: it
// signs in, allows a device and calls the API over HTTP, and tells each failure with the
// status it came with. It is safe for use by one goroutine.
package visitor

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"time"
)

// Visitor calls one installation by its public address.
type Visitor struct {
	Address string // without a slash at its end
	http    *http.Client
}

// New gives a visitor with no cookies. A nil transport is one of its own.
func New(address string, transport http.RoundTripper) *Visitor {
	jar, _ := cookiejar.New(nil)
	if transport == nil {
		transport = &http.Transport{}
	}
	return &Visitor{Address: address, http: &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second}}
}

// Refusal is an answer that is none of success.
type Refusal struct {
	Step       string
	Status     int
	RetryAfter string
	Body       string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %d %s", r.Step, r.Status, r.Body) }

// Code is what a device gets to wait with (RFC 8628, section 3.2).
type Code struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	Interval   int    `json:"interval"`
}

// SignIn begins a console session. On its route a password is base64.
func (v *Visitor) SignIn(ctx context.Context, email, password string) error {
	return v.call(ctx, "sign-in", http.MethodPost, "/console/api/login", map[string]any{"email": email, "password": base64.StdEncoding.EncodeToString([]byte(password))}, nil, nil)
}

// Begin asks for a code.
func (v *Visitor) Begin(ctx context.Context, label string) (c Code, err error) {
	err = v.call(ctx, "code", http.MethodPost, "/openapi/v1/oauth/device/code", map[string]any{"client_id": "difyctl", "device_label": label}, nil, &c)
	return c, err
}

// Allow approves a code in the session of SignIn.
func (v *Visitor) Allow(ctx context.Context, userCode string) error {
	var csrf struct {
		Token string `json:"csrf_token"`
	}
	if err := v.call(ctx, "csrf", http.MethodGet, "/console/api/csrf-token", nil, nil, &csrf); err != nil {
		return err
	}
	return v.call(ctx, "approve", http.MethodPost, "/openapi/v1/oauth/device/approve", map[string]any{"user_code": userCode},
		map[string]string{"X-CSRF-Token": csrf.Token, "Origin": v.Address}, nil)
}

// Poll asks once for the token.
func (v *Visitor) Poll(ctx context.Context, c Code) (token string, err error) {
	var got struct {
		Token string `json:"token"`
	}
	err = v.call(ctx, "poll", http.MethodPost, "/openapi/v1/oauth/device/token", map[string]any{
		"device_code": c.DeviceCode, "client_id": "difyctl", "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
	}, nil, &got)
	return got.Token, err
}

// Login is Begin, Allow and Poll in a session that SignIn has begun.
func (v *Visitor) Login(ctx context.Context, label string) (token string, err error) {
	c, err := v.Begin(ctx, label)
	if err != nil {
		return "", err
	}
	if err := v.Allow(ctx, c.UserCode); err != nil {
		return "", err
	}
	return v.Poll(ctx, c)
}

// Get calls a route of the API with a token.
func (v *Visitor) Get(ctx context.Context, token, path string, into any) error {
	return v.call(ctx, "GET "+path, http.MethodGet, path, nil, map[string]string{"Authorization": "Bearer " + token}, into)
}

// Console reads a route of the console with the session of SignIn.
func (v *Visitor) Console(ctx context.Context, path string, into any) error {
	return v.call(ctx, "GET "+path, http.MethodGet, path, nil, nil, into)
}

// Logout ends the token's own session.
func (v *Visitor) Logout(ctx context.Context, token string) error {
	return v.call(ctx, "logout", http.MethodDelete, "/openapi/v1/account/sessions/self", nil, map[string]string{"Authorization": "Bearer " + token}, nil)
}

func (v *Visitor) call(ctx context.Context, step, method, path string, body map[string]any, headers map[string]string, into any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, v.Address+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	answer, err := v.http.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	defer func() { _ = answer.Body.Close() }()
	got, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	if answer.StatusCode/100 != 2 {
		return &Refusal{Step: step, Status: answer.StatusCode, RetryAfter: answer.Header.Get("Retry-After"), Body: string(got)}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(got, into); err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}
