// SPDX-License-Identifier: Apache-2.0

package spkeys_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// pool are keys that are drawn once for all tests.
var pool = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// clock moves when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); c.at = c.at.Add(d); c.mu.Unlock() }

// harness is a service, and another beside it on the same database, with the connections
// corp and eng.
type harness struct {
	*spkeys.Service
	other *spkeys.Service
	storetest.Durable
	clock *clock
	seal  *seal.Keys
	drawn atomic.Int32
}

func start(t *testing.T) *harness {
	t.Helper()
	return on(t, storetest.NewSQLitePair)
}

func on(t *testing.T, open storetest.OpenDurable) *harness {
	t.Helper()
	a, b := open(t)
	keys, err := seal.Parse(seal.NewKeyFile("k1"))
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{Durable: a, clock: &clock{at: storetest.Start}, seal: keys}
	h.Service, h.other = h.service(t, a), h.service(t, b)
	if _, err := a.DB.Exec(t.Context(), `INSERT INTO sso_installation (id, canary, fingerprint_key_sealed) VALUES (1, 'canary', 'key')`); err != nil {
		t.Fatal(err)
	}
	err = a.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error {
		for _, id := range []string{"corp", "eng"} {
			if err := tx.Insert(ctx, connection.Connection{
				ID: id, Name: id, Protocol: connection.SAML, Preset: "generic-saml", State: connection.Draft,
				Intents: []connection.Intent{connection.DeviceFlow}, ManagedBy: connection.ByAPI, Head: strings.Repeat("0", 64), CreatedAt: storetest.Start, UpdatedAt: storetest.Start,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *harness) service(t *testing.T, d storetest.Durable) *spkeys.Service {
	t.Helper()
	recorder, err := audit.NewRecorder(d.Audit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := spkeys.New(spkeys.Deps{
		Store: d.SPKeys, Seal: h.seal, Recorder: recorder, Now: h.clock.now,
		Generate: func() (*rsa.PrivateKey, error) { return pool()[int(h.drawn.Add(1)-1)%3], nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signer gives the key that signs.
func (h *harness) signer(t *testing.T, next bool) spkeys.Signer {
	t.Helper()
	s, err := h.Signer(t.Context(), "corp", next)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stage gives a staged key.
func (h *harness) stage(t *testing.T) spkeys.Key {
	t.Helper()
	h.clock.advance(time.Second)
	k, err := h.Stage(t.Context(), "corp", "cli:root")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// promote lets the staged key sign, proven or not.
func (h *harness) promote(t *testing.T) spkeys.Key {
	t.Helper()
	h.clock.advance(time.Second)
	k, err := h.Promote(t.Context(), "corp", "cli:root", true, "for the test")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// state gives where a key stands.
func (h *harness) state(t *testing.T, id string) spkeys.State {
	t.Helper()
	all, err := h.List(t.Context(), "corp")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(k spkeys.Key) bool { return k.ID == id })
	return all[i].State
}

// published wants exactly these keys in the metadata, in this order.
func (h *harness) published(t *testing.T, ids ...string) {
	t.Helper()
	keys, err := h.Published(t.Context(), "corp")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys {
		got = append(got, k.ID)
		if k.Certificate == nil {
			t.Error(k.ID, "has no certificate")
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("published %v, want %v", got, ids)
	}
}

// events wants exactly these on record.
func (h *harness) events(t *testing.T, names ...string) map[string]string {
	t.Helper()
	got, fields := h.Events(t)
	if !slices.Equal(got, names) {
		t.Errorf("recorded %v, want %v", got, names)
	}
	return fields
}
