// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// oneMessage is a store in which one message waits; it may lose the acknowledgement.
type oneMessage struct {
	connection.Store
	mu    sync.Mutex
	entry connection.Entry
	done  bool
	loses int
}

func (s *oneMessage) Due(_ context.Context, now time.Time, _ int) ([]connection.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.entry.NextAt.After(now) {
		return nil, nil
	}
	return []connection.Entry{s.entry}, nil
}

func (s *oneMessage) ClaimEntry(_ context.Context, e connection.Entry, next time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || e.Tries != s.entry.Tries {
		return false, nil
	}
	s.entry.Tries++
	s.entry.NextAt = next
	return true, nil
}

func (s *oneMessage) Acknowledged(context.Context, string, time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loses > 0 {
		s.loses--
		return errors.New("the store is gone")
	}
	s.done = true
	return nil
}

func (s *oneMessage) Append(context.Context, ...audit.Event) error { return nil }

func TestTheOutbox(t *testing.T) {
	for _, tc := range []struct {
		name string
		down time.Duration // core is out of reach for so long
		lost int           // acknowledgements that are not written
		told int           // how often core hears of it
		most time.Duration // after core is back
	}{
		{"SSO-83 at once", 0, 0, 1, 5 * time.Second},
		{"SSO-83 soon after a short outage", 10 * time.Second, 0, 1, 20 * time.Second},
		{"SSO-83 within minutes after a day", 24 * time.Hour, 0, 1, 5*time.Minute + 5*time.Second},
		{"SSO-83 again when the answer was not kept", 0, 2, 3, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &oneMessage{loses: tc.lost, entry: connection.Entry{
					ID: "1", Kind: "connection.revoke", Payload: `{"connection_id":"corp","reason":"r","actor":"cli:root"}`, NextAt: time.Now(),
				}}
				keys, err := seal.Parse(seal.NewKeyFile("k1"))
				if err != nil {
					t.Fatal(err)
				}
				recorder, err := audit.NewRecorder(store, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				c := &core{down: tc.down > 0}
				s, err := connection.New(connection.Deps{Store: store, Recorder: recorder, Now: time.Now, Seal: keys, FingerprintKey: newHMACKey(), Core: c, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				time.Sleep(tc.down)
				c.setDown(false)
				time.Sleep(tc.most + time.Millisecond)
				synctest.Wait()
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if !store.done || len(c.revoked) != tc.told {
					t.Errorf("done: %t, core was told %d times", store.done, len(c.revoked))
				}
				if tries := store.entry.Tries; tries > 400 {
					t.Errorf("%d tries", tries)
				}
			})
		})
	}
}

func TestNewChecksWhatItNeeds(t *testing.T) {
	whole := start(t).Deps
	for name, drop := range map[string]func(*connection.Deps){
		"store": func(d *connection.Deps) { d.Store = nil }, "recorder": func(d *connection.Deps) { d.Recorder = nil }, "clock": func(d *connection.Deps) { d.Now = nil },
		"sealing": func(d *connection.Deps) { d.Seal = nil }, "core": func(d *connection.Deps) { d.Core = nil }, "log": func(d *connection.Deps) { d.Log = nil },
		"fingerprint key": func(d *connection.Deps) { d.FingerprintKey = d.FingerprintKey[:16] },
	} {
		d := whole
		drop(&d)
		if _, err := connection.New(d); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}

func TestDocument(t *testing.T) {
	h := start(t)
	c := okta("corp", "corp.example")
	v, err := h.Create(t.Context(), c, operator)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enable(t.Context(), "corp", v.Head, forced("x")); err != nil {
		t.Fatal(err)
	}
	c.Config.OIDC.Auth, c.Secrets = "private_key_jwt", connection.Secrets{PrivateKey: secret.New("a private key")}
	d := h.update(t, c).Document()

	t.Run("SSO-84 a secret is its fingerprint", func(t *testing.T) {
		storetest.Same(t, "names", len(d.Head.Secrets)+len(d.Serving.Secrets), 2)
		key, client := d.Head.Secrets["private_key"], d.Serving.Secrets["client_secret"]
		if !key.Set || len(key.Fingerprint) != 8 || !client.Set || len(client.Fingerprint) != 8 || client == key {
			t.Errorf("%+v %+v", key, client)
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"a private key", "client secret of", `"client_secret":"`} {
			if strings.Contains(string(b), word) {
				t.Errorf("the document has %q", word)
			}
		}
	})

	t.Run("what an administrator has to know is said", func(t *testing.T) {
		storetest.Same(t, "warnings", d.Warnings, []string{
			"The head is not complete: oidc.key_algorithm is missing.",
			"What serves was enabled by force, and no test has passed on it.",
			"The head does not serve: it has been edited since, and is enabled by itself.",
		})
	})
}
