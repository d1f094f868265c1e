// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// core is the other service as the bridge knows it: it acknowledges, or is out of reach.
type core struct {
	mu       sync.Mutex
	down     bool
	tokens   int
	sessions int
	revoked  []string // connection, reason, actor
	unlinked []string // issuer, reason, actor
}

var errDown = errors.New("core is out of reach")

func (c *core) RevokeConnection(_ context.Context, id, reason, actor string) (int, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return 0, 0, errDown
	}
	c.revoked = append(c.revoked, id+"|"+reason+"|"+actor)
	return c.tokens, c.sessions, nil
}

func (c *core) Unlink(_ context.Context, issuer, reason, actor string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return 0, errDown
	}
	c.unlinked = append(c.unlinked, issuer+"|"+reason+"|"+actor)
	return 3, nil
}

func (c *core) setDown(down bool) { c.mu.Lock(); c.down = down; c.mu.Unlock() }

// clock moves when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); c.at = c.at.Add(d); c.mu.Unlock() }

// harness is a service on an embedded store, and another beside it on the same one.
type harness struct {
	*connection.Service
	other *connection.Service
	storetest.Durable
	core  *core
	clock *clock
	keys  []byte // the sealing key file
}

func start(t *testing.T) *harness {
	t.Helper()
	return on(t, storetest.NewSQLitePair)
}

// engines runs races on each engine: the one writer of SQLite hides what Postgres does
// at once.
func engines(t *testing.T, run func(t *testing.T, h *harness)) {
	t.Run("SQLite", func(t *testing.T) { run(t, start(t)) })
	t.Run("Postgres", func(t *testing.T) { run(t, on(t, storetest.NewPostgresPair)) })
}

func on(t *testing.T, open storetest.OpenDurable) *harness {
	t.Helper()
	a, b := open(t)
	h := &harness{Durable: a, core: &core{tokens: 2, sessions: 1}, clock: &clock{at: storetest.Start}, keys: seal.NewKeyFile("k1")}
	h.Service, h.other = h.service(t, a, h.keys), h.service(t, b, h.keys)
	return h
}

// service is a process: it opens the installation by its key file.
func (h *harness) service(t *testing.T, d storetest.Durable, keyFile []byte) *connection.Service {
	t.Helper()
	keys, err := seal.Parse(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	recorder, err := audit.NewRecorder(d.Audit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	i, err := installation.New(installation.Deps{Store: d.Installation, Recorder: recorder, Now: h.clock.now, Sealing: keys, CanaryKey: []byte("canary key")})
	if err != nil {
		t.Fatal(err)
	}
	key, err := i.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := connection.New(connection.Deps{
		Store: d.Connections, Recorder: recorder, Now: h.clock.now, Seal: keys, FingerprintKey: key, Core: h.core, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var operator = connection.Act{Actor: "cli:root"}

func forced(reason string) connection.Act {
	return connection.Act{Actor: "cli:root", Force: true, Reason: reason}
}

func because(reason string) connection.Act {
	return connection.Act{Actor: "account:0198c0de-0000-7000-8000-000000000001", Reason: reason}
}

// okta is a complete connection whose issuer is of its id.
func okta(id string, domains ...string) connection.Content {
	return connection.Content{
		ID: id, Name: "Okta " + id, Listed: true, Position: 10, Intents: []connection.Intent{connection.DeviceFlow, connection.AccountLogin},
		Config: connection.Config{
			Protocol: connection.OIDC, Preset: "okta-oidc", Callback: connection.CallbackOwn, Domains: domains,
			OIDC: &connection.OIDCConfig{
				Issuer: "https://" + id + ".okta.example", ClientID: "0oa1b2c3", Auth: "client_secret_basic",
				Scopes: []string{"openid", "email"}, Algorithms: []string{"RS256"},
			},
			Claims: connection.ClaimNames{Subject: "sub", Email: "email", EmailVerified: "email_verified"},
		},
		Secrets: connection.Secrets{ClientSecret: secret.New("client secret of " + id)},
	}
}

func github(id string) connection.Content {
	return connection.Content{
		ID: id, Name: "GitHub", Listed: true, Position: 20, Intents: []connection.Intent{connection.DeviceFlow},
		Config: connection.Config{
			Protocol: connection.OAuth2, Preset: "github", Callback: connection.CallbackOwn, Claims: connection.ClaimNames{Subject: "id"},
			OAuth2: &connection.OAuth2Config{
				ClientID: "Iv1.a1b2", Auth: "client_secret_post", Kind: "github", PKCE: "S256", Scopes: []string{"read:user"},
				AuthorizationURL: "https://github.example/login/oauth/authorize", TokenURL: "https://github.example/login/oauth/access_token", UserinfoURL: "https://api.github.example/user",
			},
		},
		Secrets: connection.Secrets{ClientSecret: secret.New("client secret of " + id)},
	}
}

// declared is a connection of the file.
func declared(c connection.Content) connection.Declaration {
	return connection.Declaration{
		ID: c.ID, Name: c.Name, Button: c.Button, Listed: c.Listed, Default: c.Default, Position: c.Position, Intents: c.Intents,
		Config: c.Config, Secrets: c.Secrets, Enable: connection.EnableTested,
	}
}

func (h *harness) create(t *testing.T, c connection.Content) connection.View {
	t.Helper()
	v, err := h.Create(t.Context(), c, operator)
	if err != nil {
		t.Fatalf("create %s: %v", c.ID, err)
	}
	return v
}

// enabled makes a connection that serves.
func (h *harness) enabled(t *testing.T, c connection.Content) connection.View {
	t.Helper()
	v := h.create(t, c)
	h.passed(t, c.ID, v.Head)
	v, err := h.Enable(t.Context(), c.ID, v.Head, operator)
	if err != nil {
		t.Fatalf("enable %s: %v", c.ID, err)
	}
	return v
}

func (h *harness) passed(t *testing.T, id, hash string) {
	t.Helper()
	if err := h.MarkTested(t.Context(), id, hash, "account:tester", "7K2QD-9XM4P", "0123456789abcdef"); err != nil {
		t.Fatalf("test %s: %v", id, err)
	}
}

func (h *harness) update(t *testing.T, c connection.Content) connection.View {
	t.Helper()
	v, err := h.Update(t.Context(), c, h.show(t, c.ID).Head, operator)
	if err != nil {
		t.Fatalf("update %s: %v", c.ID, err)
	}
	return v
}

func (h *harness) show(t *testing.T, id string) connection.View {
	t.Helper()
	v, err := h.Show(t.Context(), id)
	if err != nil {
		t.Fatalf("show %s: %v", id, err)
	}
	return v
}

func (h *harness) reconcile(t *testing.T, d ...connection.Declaration) connection.Reconciled {
	t.Helper()
	r, err := h.Reconcile(t.Context(), d)
	if err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	return r
}

// disableAndDelete ends a connection for good.
func (h *harness) disableAndDelete(t *testing.T, id string) {
	t.Helper()
	if _, err := h.Disable(t.Context(), id, because("over"), false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Delete(t.Context(), id, because("over"), false); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, want *fault.Error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %s", err, want.Code())
	}
}

// newHMACKey is a fingerprint key of no installation.
func newHMACKey() []byte {
	key := make([]byte, secret.KeySize)
	_, _ = rand.Read(key)
	return key
}
