// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/attacktest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/memstore"
)

const (
	ownAddress = "https://sso.example"
	masterKey  = "a SECRET_KEY of tests, which has 32 bytes and more"
)

// consumer is the whole consumer service in the process, before its handler, with one
// attempt that can be begun again and again: its request has the id that the messages of
// attacktest answer.
type consumer struct {
	*app.App
	handler fasthttp.RequestHandler
	codec   *envelope.Codec[envelope.ExternalSubjectClaims]
	handle  string
	sealed  []byte
	started login.Attempt
	records *records
	marks   *marks
}

// newConsumer builds one on embedded stores, of which wrap may change some. Nothing but
// the provider's facts is its own: keys, clock and names are those of attacktest.
func newConsumer(t testing.TB, log *slog.Logger, wrap func(*app.Stores)) *consumer {
	t.Helper()
	base := given(t)
	base["SSO_BRIDGE_PUBLIC_URL"], base["SECRET_KEY"] = ownAddress, masterKey
	base["RATE_LIMITS"] = "bridge.callback.addr=0"
	base["CONNECTIONS_FILE"] = filepath.Join(t.TempDir(), "connections.yaml")
	write(t, base["CONNECTIONS_FILE"], `version: 1
connections:
  - id: corp
    name: Corp
    preset: generic-saml
    intents: [device_flow]
    domains: [mail.example]
    enable: force
    reason: a test
    callback: own
    claims: { email: mail, groups: groups }
    saml:
      idp: { entity_id: "`+attacktest.Issuer+`", sso_url: "https://idp.example/sso", certificates: ["`+attacktest.Provider().Base64()+`"] }
`, 0o600)
	c := &consumer{records: &records{}, marks: &marks{}}
	now := func() time.Time { return attacktest.Now }
	c.App, c.codec = begun(t, base, ownAddress, app.Options{Log: log, Now: now, Wrap: func(st *app.Stores) {
		c.records.Records, st.Records, st.Assertions = st.Records, c.records, c.marks
		wrap(st)
	}})
	c.handler = c.Public().Handler()
	c.leave(t)
	return c
}

// leave begins the attempt, and writes the request of attacktest into its record.
func (c *consumer) leave(t testing.TB) {
	t.Helper()
	begun, err := c.Logins.Begin(context.Background(), login.Order{
		Intent: connection.DeviceFlow, UserCodeDigest: strings.Repeat("d", 43), Nonce: strings.Repeat("n", 22), Binding: strings.Repeat("b", 43), Connection: "corp", Locale: "en",
	})
	if err != nil {
		t.Fatal(err)
	}
	_, opener, _ := strings.Cut(begun.StartURL, "/sso/start/")
	to, err := c.Logins.Start(context.Background(), secret.New(opener), login.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	var q fasthttp.URI
	if err := q.Parse(nil, []byte(to.URL)); err != nil {
		t.Fatal(err)
	}
	c.handle = string(q.QueryArgs().Peek("RelayState"))
	d := secret.DigestOf(c.handle)
	sealed, err := c.records.Read(context.Background(), login.Handles, d)
	if err != nil {
		t.Fatal(err)
	}
	// docs/specs/v1.0/server/sso.md, Attempt: how a record lies in its store.
	raw, err := base64.RawURLEncoding.DecodeString(c.handle)
	if err != nil {
		t.Fatal(err)
	}
	key, err := hkdf.Key(sha256.New, raw, []byte(masterKey), "sso.attempt.record", 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := box.Open(nil, nil, sealed, d[:])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(plain, &members); err != nil {
		t.Fatal(err)
	}
	members["request_id"], members["requested_at"] = attacktest.RequestID, attacktest.Now.Add(-time.Minute)
	if plain, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	c.sealed = box.Seal(nil, nil, plain, d[:])
	if c.started, err = c.Stores.Attempts.ByHandle(context.Background(), d); err != nil {
		t.Fatal(err)
	}
}

// again makes the attempt as it was when its browser left, and forgets what was used.
func (c *consumer) again(t testing.TB) {
	t.Helper()
	ctx, d := context.Background(), secret.DigestOf(c.handle)
	row, err := c.Stores.Attempts.ByHandle(ctx, d)
	if err == nil && row.State != login.StateStarted {
		err = c.Stores.Attempts.Move(ctx, row.State, c.started)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.marks.forget()
	c.records.Records = memstore.NewRecords(10, func() time.Time { return attacktest.Now })
	if err := c.records.Put(ctx, login.Handles, d, c.sealed, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// browser is a loopback visitor.
var browser = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}

// post gives what the handler answers to a form.
func (c *consumer) post(path, form string) (status int, location string) {
	var r fasthttp.RequestCtx
	r.Init(&fasthttp.Request{}, browser, nil)
	r.Request.Header.SetMethod(fasthttp.MethodPost)
	r.Request.SetRequestURI(path)
	r.Request.Header.SetHost("sso.example")
	r.Request.Header.SetContentType(formType)
	r.Request.Header.SetContentLength(len(form))
	r.Request.SetBodyStream(strings.NewReader(form), len(form))
	c.handler(&r)
	return r.Response.StatusCode(), string(r.Response.Header.Peek("Location"))
}

// records is a store of records that is changed for another between two posts.
type records struct{ login.Records }

// marks are the assertions that were used since the attempt was begun again.
type marks struct {
	mu   sync.Mutex
	used map[string]bool
}

func (m *marks) First(_ context.Context, mark string, _ time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := !m.used[mark]
	m.used[mark] = true
	return first, nil
}

func (m *marks) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = map[string]bool{}
}

// oneAttempt is a store of a single attempt, the first that is written; of the others it
// keeps the latest, which are failures that belong to none. A fuzzer counts the branches
// that an input takes, and those of a database are another number each time.
type oneAttempt struct {
	mu          sync.Mutex
	row, strays login.Attempt
}

func (s *oneAttempt) Create(_ context.Context, a login.Attempt, _ ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.row.ID == "" {
		s.row = a
	} else {
		s.strays = a
	}
	return nil
}

func (s *oneAttempt) Move(_ context.Context, from login.State, to login.Attempt, _ ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.row.ID != to.ID || s.row.State != from {
		return login.ErrMoved
	}
	s.row = to
	return nil
}

func (s *oneAttempt) ByReference(_ context.Context, reference string) (login.Attempt, error) {
	return s.of(func(a login.Attempt) bool { return a.Reference == reference })
}

func (s *oneAttempt) ByHandle(_ context.Context, handle secret.Digest) (login.Attempt, error) {
	return s.of(func(a login.Attempt) bool { return bytes.Equal(a.Handle[:], handle[:]) })
}

func (s *oneAttempt) LastGood(context.Context, string) (login.Attempt, error) {
	return login.Attempt{}, login.ErrNoAttempt
}

func (s *oneAttempt) List(context.Context, login.Filter, int) ([]login.Attempt, error) {
	return nil, nil
}

func (s *oneAttempt) of(fits func(login.Attempt) bool) (login.Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !fits(s.row) {
		return login.Attempt{}, login.ErrNoAttempt
	}
	return s.row, nil
}

// taken gives the code that was written since the last call, and forgets it.
func (s *oneAttempt) taken() (codes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	codes = []string{string(s.row.Code), string(s.strays.Code)}
	s.strays = login.Attempt{}
	return codes
}

// asked is a store of connections whose every answer is asked for once: nothing changes
// them while a fuzzer runs.
type asked struct {
	connection.Store
	answers sync.Map
}

func once[T any](s *asked, key string, ask func() (T, error)) (T, error) {
	if known, ok := s.answers.Load(key); ok {
		v, _ := known.(T)
		return v, nil
	}
	v, err := ask()
	if err == nil {
		s.answers.Store(key, v)
	}
	return v, err
}

func (s *asked) Find(ctx context.Context, id string) (connection.Connection, error) {
	return once(s, "find "+id, func() (connection.Connection, error) { return s.Store.Find(ctx, id) })
}

func (s *asked) All(ctx context.Context) ([]connection.Connection, error) {
	return once(s, "all", func() ([]connection.Connection, error) { return s.Store.All(ctx) })
}

func (s *asked) Record(ctx context.Context, id, hash string) (connection.Record, error) {
	return once(s, "record "+id+" "+hash, func() (connection.Record, error) { return s.Store.Record(ctx, id, hash) })
}

func (s *asked) DomainOwner(ctx context.Context, domain string) (string, error) {
	return once(s, "domain "+domain, func() (string, error) { return s.Store.DomainOwner(ctx, domain) })
}

func (s *asked) IssuerOwner(ctx context.Context, issuer string) (string, error) {
	return once(s, "issuer "+issuer, func() (string, error) { return s.Store.IssuerOwner(ctx, issuer) })
}
