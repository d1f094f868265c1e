// SPDX-License-Identifier: Apache-2.0

package innerclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/innerclient"
	"github.com/dify-sso/dify-sso/pkg/keyset"
)

var keys = keyset.NewRing(keyset.Fixed("2026-11-a", map[string][]byte{"2026-11-a": []byte(strings.Repeat("k", 48))}))

func inner(t *testing.T, audience envelope.Audience) *envelope.Inner {
	t.Helper()
	i, err := envelope.NewInner(envelope.Deps{Keys: keys, Audience: audience, Issuer: "https://one.example", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// used remembers ids of tokens.
type used struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (u *used) Consume(_ context.Context, _ envelope.Audience, id string, _ time.Duration) (bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil {
		u.ids = map[string]bool{}
	}
	fresh := !u.ids[id]
	u.ids[id] = true
	return fresh, nil
}

// serve answers as the other side does: the token first.
func serve(t *testing.T, answer http.HandlerFunc) *innerclient.Client {
	t.Helper()
	admits, replay := inner(t, envelope.BridgeToCore), &used{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = admits.Admit(r.Context(), replay, r.Header.Values("Authorization"), r.Method, r.RequestURI, body)
		}
		if err != nil {
			t.Errorf("not admitted: %v", err)
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	base, err := url.Parse(s.URL + "/ignored?path=1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := innerclient.New(innerclient.Deps{Base: base, Inner: inner(t, envelope.BridgeToCore), Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func TestEveryRequestCarriesATokenOfItsOwn(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("User-Agent") != "test" || r.Header.Get("If-None-Match") != `"x"` || r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json" {
			t.Error(r.Header)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("ETag", `"y"`)
		_, _ = io.WriteString(w, `{"uri":"`+r.RequestURI+`"}`)
	})
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPost} {
		var body []byte
		if method == http.MethodPost {
			body = []byte(`{"a":1}`)
		}
		a, err := c.Once(t.Context(), method, "/inner/api/x?intent=a%20b", body, map[string]string{"If-None-Match": `"x"`})
		if err != nil || a.Status != http.StatusOK || string(a.Body) != `{"uri":"/inner/api/x?intent=a%20b"}` || a.Header.Get("ETag") != `"y"` {
			t.Fatal(a, err)
		}
	}
}

func TestAnswersThatAreNotRead(t *testing.T) {
	for name, tc := range map[string]struct {
		answer     http.HandlerFunc
		unanswered bool
	}{
		"above 64 KiB": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `"`+strings.Repeat("a", innerclient.MaxAnswer)+`"`)
		}, false},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `{}`)
		}, false},
		"encoded": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
		}, false},
		"INN-08 another protocol, and silence": {func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_, _ = c.Read(make([]byte, 1)) // until the client goes
			_ = c.Close()
		}, false},
		"a connection that ends": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := serve(t, tc.answer).Once(t.Context(), http.MethodPost, "/x", []byte(`{}`), nil)
			if err == nil || errors.Is(err, innerclient.ErrUnanswered) != tc.unanswered {
				t.Fatal(err)
			}
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	asked := 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	a, err := c.Once(t.Context(), http.MethodPost, "/x", []byte(`{}`), nil)
	if err != nil || a.Status != http.StatusTemporaryRedirect || asked != 1 {
		t.Fatal(a, err, asked)
	}
}

func TestTheCodeOfARefusal(t *testing.T) {
	for body, want := range map[string]string{
		`{"code":"inner_token_replayed","message":"m","status":401}`: "inner_token_replayed",
		`{"code":"x","message":"m","status":400}`:                    "", // not the status that came
		`{"code":"x","message":"m"}`:                                 "",
		`[]`:                                                         "",
		``:                                                           "",
	} {
		if got := (innerclient.Answer{Status: http.StatusUnauthorized, Body: []byte(body)}).Code(); got != want {
			t.Errorf("%s: %q", body, got)
		}
	}
}

func TestAnErrorDoesNotShowTheAddress(t *testing.T) {
	base, err := url.Parse("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := innerclient.New(innerclient.Deps{Base: base, Inner: inner(t, envelope.CoreToBridge), Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Once(t.Context(), http.MethodGet, "/inner?secret=1", nil, nil)
	if !errors.Is(err, innerclient.ErrUnanswered) || strings.Contains(err.Error(), "secret") {
		t.Fatal(err)
	}
	for name, d := range map[string]innerclient.Deps{"base": {Inner: c.Inner, Agent: "a"}, "inner": {Base: base, Agent: "a"}, "agent": {Base: base, Inner: c.Inner}} {
		if _, err := innerclient.New(d); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}
