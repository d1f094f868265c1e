// SPDX-License-Identifier: Apache-2.0

package bridgeclient_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/bridgeclient"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/replay"
)

// bridge answers what a test says, to requests that the real one would admit.
type bridge struct {
	*bridgeclient.Client
	mu     sync.Mutex
	now    time.Time
	calls  int
	answer http.HandlerFunc
}

func (b *bridge) clock() time.Time { b.mu.Lock(); defer b.mu.Unlock(); return b.now }

func (b *bridge) pass(d time.Duration) { b.mu.Lock(); defer b.mu.Unlock(); b.now = b.now.Add(d) }

func (b *bridge) count() int { b.mu.Lock(); defer b.mu.Unlock(); return b.calls }

func start(t *testing.T, answer http.HandlerFunc) *bridge {
	t.Helper()
	b := &bridge{now: time.Unix(1767225600, 0), answer: answer}
	ring := keyset.NewRing(keyset.Fixed("k", map[string][]byte{"k": []byte(strings.Repeat("s", 32))}))
	inner, err := envelope.NewInner(envelope.Deps{Keys: ring, Audience: envelope.CoreToBridge, Issuer: "https://core.example", Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	used := replay.NewMemory(1000, b.clock)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.calls++
		b.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		if err := inner.Admit(r.Context(), used, r.Header["Authorization"], r.Method, r.URL.RequestURI(), body); err != nil {
			t.Errorf("%s %s is not admitted: %v", r.Method, r.URL, err)
		}
		w.Header().Set("Content-Type", "application/json")
		b.answer(w, r)
	}))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.Client, err = bridgeclient.New(bridgeclient.Deps{
		Bridge: address, Public: "https://core.example", BridgePublic: "https://sso.example", Timeout: 500 * time.Millisecond, Keys: ring, Now: b.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.CloseIdle)
	return b
}

const list = `{"mode":"choose","connections":[{"id":"corp","name":"Corp","button":null,"protocol":"oidc","later":1},{"id":"labs","name":"Labs","button":"Labs!","protocol":"saml"}]}`

func TestOffered(t *testing.T) {
	t.Run("SSO-13 the list is asked for anew only when it has changed", func(t *testing.T) {
		etag := `"1"`
		b := start(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", etag)
			if r.Header.Get("If-None-Match") == etag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = io.WriteString(w, strings.Replace(list, "Corp", "Corp "+etag[1:2], 1))
		})
		for _, want := range []string{"Corp 1", "Corp 1"} {
			offer, err := b.Offered(t.Context())
			if err != nil || offer.Mode != sso.ModeChoose || len(offer.Connections) != 2 || offer.Connections[0].Button != want || offer.Connections[1].Button != "Labs!" {
				t.Fatalf("%+v, %v", offer, err)
			}
		}
		etag = `"2"`
		if offer, err := b.Offered(t.Context()); err != nil || offer.Connections[0].Name != "Corp 2" {
			t.Fatalf("%+v, %v", offer, err)
		}
	})
	for name, body := range map[string]string{
		"an unknown mode": `{"mode":"many","connections":[]}`, "no mode": `{"connections":[]}`, "a connection that is none": `{"mode":"single","connections":[{"id":"<b>","name":"x","protocol":"oidc"}]}`,
		"a member twice": `{"mode":"none","mode":"single","connections":[]}`, "no object": `[]`, "nothing": ``, "304 to a question without a tag": "304",
	} {
		t.Run("INN-08 "+name, func(t *testing.T) {
			b := start(t, func(w http.ResponseWriter, _ *http.Request) {
				if body == "304" {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				_, _ = io.WriteString(w, body)
			})
			if offer, err := b.Offered(t.Context()); !errors.Is(err, sso.ErrSilent) || len(offer.Connections) > 0 {
				t.Fatalf("%+v, %v", offer, err)
			}
		})
	}
}

func TestTrace(t *testing.T) {
	const found = `{"reference":"7K2QD-9XM4P","steps":[]}`
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/inner/api/sso/attempts/7K2QD-9XM4P":
			_, _ = io.WriteString(w, found)
		case "/inner/api/sso/attempts/00000-00000":
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"attempt_not_found","message":"x","status":404}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"not_found","message":"x","status":404}`)
		}
	})
	if trace, err := b.Trace(t.Context(), "7K2QD-9XM4P"); err != nil || string(trace) != found {
		t.Errorf("%s, %v", trace, err)
	}
	if _, err := b.Trace(t.Context(), "00000-00000"); !errors.Is(err, sso.ErrAttemptNotFound) {
		t.Error(err)
	}
	if _, err := b.Trace(t.Context(), "11111-11111"); !errors.Is(err, sso.ErrSilent) {
		t.Errorf("a bridge without the route: %v", err)
	}
	calls := b.count()
	if _, err := b.Trace(t.Context(), "../connections"); !errors.Is(err, sso.ErrAttemptNotFound) || b.count() != calls {
		t.Errorf("a reference that is none: %v, %d calls", err, b.count()-calls)
	}
}

func TestBreaker(t *testing.T) {
	t.Run("SSO-13 while it is open nobody asks, then one, and after an answer everybody", func(t *testing.T) {
		fails := true
		b := start(t, func(w http.ResponseWriter, _ *http.Request) {
			if fails {
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, _ = io.WriteString(w, list)
		})
		ask := func() error { _, err := b.Offered(t.Context()); return err }
		for range 5 {
			if err := ask(); !errors.Is(err, sso.ErrSilent) {
				t.Fatal(err)
			}
		}
		want := func(calls int, what string) {
			t.Helper()
			if b.count() != calls {
				t.Fatalf("%s: %d calls instead of %d", what, b.count(), calls)
			}
		}
		_ = ask()
		want(5, "open")
		b.pass(10*time.Second - 1)
		_ = ask()
		want(5, "still open")
		b.pass(1)
		_ = ask()
		want(6, "one asks")
		_ = ask()
		want(6, "and was not answered well")
		b.pass(10 * time.Second)
		fails = false
		for range 3 {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}
		want(9, "closed")
	})
	t.Run("SSO-13 refusals are answers", func(t *testing.T) {
		b := start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"connection_unknown","message":"x","status":404}`)
		})
		for range 10 {
			if _, err := b.Begin(t.Context(), sso.Order{RequestID: "12345678"}); !errors.Is(err, sso.ErrConnectionUnknown) {
				t.Fatal(err)
			}
		}
		if b.count() != 10 {
			t.Errorf("%d calls", b.count())
		}
	})
}
