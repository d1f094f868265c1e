// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// htTape keeps what a client library sends and reads.
type htTape struct {
	mu    sync.Mutex
	lines []string // status, whether Basic was sent, body
	polls chan string
}

func (tape *htTape) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := apitest.Checked(http.DefaultTransport).RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	line := res.Status[:3] + " " + string(body)
	if _, _, basic := r.BasicAuth(); basic {
		line = "basic " + line
	}
	tape.mu.Lock()
	tape.lines = append(tape.lines, line)
	tape.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/token") {
		tape.polls <- line
	}
	return res, err
}

func TestDeviceFlowOfTheOAuth2Package(t *testing.T) {
	slow(t)
	spy := &grantSpy{}
	s := apitest.Start(t, apitest.Wrap(spy.wrap))
	b := s.SignedIn(t)
	t.Run("M-25 it logs in unchanged, and its probe of Basic slows nothing down", func(t *testing.T) {
		tape := &htTape{polls: make(chan string, 100)}
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: tape})
		cfg := &oauth2.Config{ClientID: "difyctl", Endpoint: oauth2.Endpoint{DeviceAuthURL: s.URL + codePath, TokenURL: s.URL + tokenPath}}
		if cfg.Endpoint.AuthStyle != oauth2.AuthStyleAutoDetect {
			t.Fatal("the default style has changed")
		}
		da, err := cfg.DeviceAuth(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if da.Interval != 5 || da.VerificationURI != s.URL+"/device" || da.VerificationURIComplete != "" || time.Until(da.Expiry) < 14*time.Minute {
			t.Fatalf("%+v", da)
		}
		da.Interval = 1 // the server's clock makes up for it
		type outcome struct {
			token *oauth2.Token
			err   error
		}
		done := make(chan outcome, 1)
		go func() {
			token, err := cfg.DeviceAccessToken(ctx, da)
			done <- outcome{token, err}
		}()
		if line := <-tape.polls; line != `basic 401 {"error":"invalid_client"}` {
			t.Fatalf("the probe drew %s", line)
		}
		if line := <-tape.polls; line != `400 {"error":"authorization_pending"}` {
			t.Fatalf("the first poll drew %s", line)
		}
		if spy.interval() != 5*time.Second {
			t.Errorf("the interval grew to %s", spy.interval())
		}
		s.Clock.Advance(5 * time.Second)
		allow(t, b, apitest.Codes{User: da.UserCode})
		got := <-done
		if got.err != nil {
			t.Fatal(got.err)
		}
		if got.token.Type() != "Bearer" || !got.token.Valid() || got.token.Extra("scope") != "full" {
			t.Errorf("token %q of type %q until %s with scope %v", "…", got.token.Type(), got.token.Expiry, got.token.Extra("scope"))
		}
		for _, line := range tape.lines {
			if strings.Contains(line, "slow_down") {
				t.Errorf("%s", line)
			}
		}
		res, err := cfg.Client(ctx, got.token).Get(s.URL + htAccount)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("the token is served with %s", res.Status)
		}
	})
	t.Run("M-25 a refusal ends it", func(t *testing.T) {
		tape := &htTape{polls: make(chan string, 100)}
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: tape})
		cfg := &oauth2.Config{ClientID: "difyctl", Endpoint: oauth2.Endpoint{DeviceAuthURL: s.URL + codePath, TokenURL: s.URL + tokenPath}}
		da, err := cfg.DeviceAuth(ctx, oauth2.SetAuthURLParam("device_label", "x"))
		if err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, b.Decide("deny", da.UserCode), http.StatusOK, "")
		da.Interval = 1
		_, err = cfg.DeviceAccessToken(ctx, da)
		if err == nil || !strings.Contains(err.Error(), "access_denied") {
			t.Fatalf("%v", err)
		}
	})
}
