// SPDX-License-Identifier: Apache-2.0

package coreclient_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/coreclient"
)

var keys = keyset.NewRing(keyset.Fixed("2026-11-a", map[string][]byte{"2026-11-a": []byte(strings.Repeat("k", 48))}))

const public = "https://bridge.example"

// core is a second listener that admits the bridge's token alone, each token once.
type core struct {
	*httptest.Server
	mu       sync.Mutex
	used     map[string]bool
	requests []string // method, path, body
	answers  []http.HandlerFunc
}

func (c *core) Consume(_ context.Context, _ envelope.Audience, id string, _ time.Duration) (bool, error) {
	fresh := !c.used[id]
	c.used[id] = true
	return fresh, nil
}

// seen gives the requests so far: a handler whose connection ended may still be at it.
func (c *core) seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

func start(t *testing.T, answers ...http.HandlerFunc) (*core, *coreclient.Client) {
	t.Helper()
	admits, err := envelope.NewInner(envelope.Deps{Keys: keys, Audience: envelope.BridgeToCore, Issuer: public, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	c := &core{used: map[string]bool{}, answers: answers}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := admits.Admit(r.Context(), c, r.Header.Values("Authorization"), r.Method, r.RequestURI, body); err != nil {
			t.Errorf("core does not admit: %v", err)
		}
		c.requests = append(c.requests, r.Method+" "+r.RequestURI+" "+string(body))
		next := c.answers[0]
		if len(c.answers) > 1 {
			c.answers = c.answers[1:]
		}
		next(w, r)
	}))
	t.Cleanup(c.Close)
	return c, client(t, c.URL, 5*time.Second)
}

func client(t *testing.T, at string, timeout time.Duration) *coreclient.Client {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	k, err := coreclient.New(coreclient.Deps{Core: u, Public: public, Timeout: timeout, Keys: keys, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.CloseIdle)
	return k
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func ends(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

const revoked = `{"receipt_id":"r","tokens_revoked":3,"console_sessions_ended":2,"accounts":[],"grants_refused_from":"2026-11-27T12:00:00Z"}`

func TestWhatCoreIsTold(t *testing.T) {
	t.Run("SSO-83 a connection that has ended", func(t *testing.T) {
		c, k := start(t, says(http.StatusOK, revoked))
		tokens, sessions, err := k.RevokeConnection(t.Context(), "corp", "acquired", "cli:root")
		if err != nil || tokens != 3 || sessions != 2 {
			t.Fatal(tokens, sessions, err)
		}
		if want := `POST /inner/api/subjects/revoke {"connection_id":"corp","reason":"acquired","actor":"cli:root"}`; c.seen()[0] != want {
			t.Error(c.seen())
		}
	})

	t.Run("SSO-108 an issuer that is taken over", func(t *testing.T) {
		c, k := start(t, says(http.StatusOK, `{"unlinked":4}`))
		n, err := k.Unlink(t.Context(), "https://corp.okta.example", "anew", "cli:root")
		if err != nil || n != 4 {
			t.Fatal(n, err)
		}
		if want := `POST /inner/api/identities/unlink {"issuer":"https://corp.okta.example","reason":"anew","actor":"cli:root"}`; c.seen()[0] != want {
			t.Error(c.seen())
		}
	})

	t.Run("SSO-83 a connection that gives no answer is tried once more, with a token of its own", func(t *testing.T) {
		c, k := start(t, ends, says(http.StatusOK, revoked))
		if tokens, _, err := k.RevokeConnection(t.Context(), "corp", "x", "cli:root"); err != nil || tokens != 3 || len(c.seen()) != 2 {
			t.Fatal(err, c.seen())
		}
		c, k = start(t, ends)
		if _, _, err := k.RevokeConnection(t.Context(), "corp", "x", "cli:root"); err == nil || len(c.seen()) != 2 {
			t.Fatal(err, c.seen())
		}
	})

	for name, answer := range map[string]http.HandlerFunc{
		"a refusal":             says(http.StatusUnauthorized, `{"code":"inner_token_invalid","message":"m","status":401}`),
		"an outage":             says(http.StatusServiceUnavailable, `{"code":"service_unavailable","message":"m","status":503}`),
		"a created":             says(http.StatusCreated, revoked),
		"an answer without it":  says(http.StatusOK, `{}`),
		"a negative number":     says(http.StatusOK, `{"tokens_revoked":-1,"console_sessions_ended":0,"unlinked":-1}`),
		"another type":          says(http.StatusOK, `{"tokens_revoked":"3","console_sessions_ended":"2","unlinked":"1"}`),
		"no JSON":               says(http.StatusOK, `<html>`),
		"an answer above 64KiB": says(http.StatusOK, strings.Repeat(" ", 64<<10)+revoked),
		"a redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
	} {
		t.Run("SSO-83 SSO-108 no acknowledgement is "+name, func(t *testing.T) {
			c, k := start(t, answer)
			if _, _, err := k.RevokeConnection(t.Context(), "corp", "x", "cli:root"); err == nil {
				t.Error("taken for one")
			}
			if _, err := k.Unlink(t.Context(), "https://corp.okta.example", "x", "cli:root"); err == nil {
				t.Error("taken for one")
			}
			if len(c.seen()) != 2 {
				t.Error("an answer was asked for again", c.seen())
			}
		})
	}

	t.Run("SSO-83 a core that says nothing is waited for within the time limit", func(t *testing.T) {
		silent := make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
		defer s.Close()
		defer close(silent)
		begun := time.Now()
		if _, err := client(t, s.URL, 50*time.Millisecond).Unlink(t.Context(), "i", "x", "cli:root"); err == nil || time.Since(begun) > 5*time.Second {
			t.Fatal(err)
		}
	})
}

func TestNewChecksWhatItNeeds(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	for name, d := range map[string]coreclient.Deps{
		"core": {Public: public, Timeout: time.Second, Keys: keys, Now: time.Now}, "public": {Core: u, Timeout: time.Second, Keys: keys, Now: time.Now},
		"timeout": {Core: u, Public: public, Keys: keys, Now: time.Now}, "keys": {Core: u, Public: public, Timeout: time.Second, Now: time.Now}, "now": {Core: u, Public: public, Timeout: time.Second, Keys: keys},
	} {
		if _, err := coreclient.New(d); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}
