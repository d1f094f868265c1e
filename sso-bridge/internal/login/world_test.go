// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqlaudit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/memstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

const (
	public = "https://sso.example"
	core   = "https://api.example"
	done   = core + "/openapi/v1/oauth/device/sso-complete?"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	bridgeKey = secret.New(strings.Repeat("bridge secret key ", 3))
	coreKey   = secret.New(strings.Repeat("core's secret key ", 3))
	keys      = keyset.NewRing(keyset.Fixed("2026-03-a", map[string][]byte{"2026-03-a": []byte("a secret of the key set, 32 bytes or more")}))
)

// revision names a content: 64 hexadecimal digits.
func revision(n string) string { return strings.Repeat(n, 64) }

// registry is a scripted store of connections: what each id serves, and its head.
type registry struct {
	mu   sync.Mutex
	of   map[string]connection.Serving
	fail error
}

func (r *registry) get(id string) (connection.Serving, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return connection.Serving{}, r.fail
	}
	c, ok := r.of[id]
	if !ok {
		return connection.Serving{}, connection.ErrUnknown
	}
	return c, nil
}

func (r *registry) Choose(_ context.Context, intent connection.Intent, id, _ string) (connection.Serving, error) {
	c, err := r.get(id)
	if err == nil && !c.For(intent) {
		err = connection.ErrUnknown
	}
	return c, err
}

func (r *registry) Serving(_ context.Context, id string) (connection.Serving, error) {
	return r.get(id)
}

func (r *registry) At(_ context.Context, id, hash string) (connection.Serving, error) {
	c, err := r.get(id)
	if err == nil && hash == "" {
		hash = c.Head
	}
	c.Hash = hash
	return c, err
}

func (r *registry) SharesCallback(_ context.Context, c connection.Serving) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	shared := false
	for id, other := range r.of {
		shared = shared || id != c.ID && other.Config.Callback == connection.CallbackShared && other.Config.Protocol == c.Config.Protocol
	}
	return shared && c.Config.Callback == connection.CallbackShared, nil
}

func (r *registry) ForTest(ctx context.Context, id, hash string) (connection.Serving, error) {
	return r.At(ctx, id, hash)
}

func (r *registry) change(id string, with func(c *connection.Serving)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.of[id]
	with(&c)
	r.of[id] = c
}

// script is a provider that says what it is told to.
type script struct {
	mu     sync.Mutex
	asked  int
	verify func(a login.Answer, t *login.Trace) (identity.Claims, error)
	send   func(r login.Request) (login.Destination, error)
	last   login.Answer
}

func (p *script) Address(_ context.Context, r login.Request) (login.Destination, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.send != nil {
		return p.send(r)
	}
	return login.Destination{URL: "https://idp.example/authorize?state=" + r.State.Reveal() + "&redirect_uri=" + url.QueryEscape(r.RedirectURI)}, nil
}

func (p *script) Verify(_ context.Context, a login.Answer, t *login.Trace) (identity.Claims, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	p.last = a
	return p.verify(a, t)
}

func (p *script) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// ada is who signs in.
func ada() identity.Claims {
	return identity.Claims{
		Issuer: "https://idp.example", Subject: "ada-subject", Emails: []string{"ada@acme.example"}, Verified: identity.StatedTrue, Name: "Ada Lovelace",
		AuthTime: start.Unix() - 10, AMR: []string{"pwd"}, ACR: "urn:plain", Groups: []string{"staff"}, GroupsPresent: true,
		Seen: []identity.Claim{{Name: "sub", Value: "ada-subject", Source: "id_token"}, {Name: "email", Value: "ada@acme.example", Source: "userinfo"}},
	}
}

// nobody owns a domain.
type nobody struct{}

func (nobody) Owner(context.Context, string) (string, error) { return "", nil }

func (nobody) IssuerOwner(context.Context, string) (string, error) { return "", nil }

// mark is a tested revision.
type mark struct{ id, hash, by, reference, subject string }

// world is what a service stands on in a test.
type world struct {
	t        *testing.T
	clock    *storetest.Clock
	db       sqldb.DB
	faults   *faulttest.Faults
	records  login.Records
	registry *registry
	oidc     *script
	oauth2   *script
	saml     *script
	refuse   *failure.Error // of the judge
	marks    []mark
	log      *bytes.Buffer
	deps     login.Deps
	*login.Service
}

func (w *world) MarkTested(_ context.Context, id, hash, by, reference, subject string) error {
	w.marks = append(w.marks, mark{id, hash, by, reference, subject})
	return nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clock := storetest.NewClock(start)
	return newWorldOn(t, clock, memstore.NewRecords(1000, clock.Now), storetest.NewSQLite(t).DB)
}

func newWorldOn(t *testing.T, clock *storetest.Clock, records login.Records, db sqldb.DB) *world {
	t.Helper()
	w := &world{t: t, clock: clock, db: db, faults: &faulttest.Faults{}, records: records, log: &bytes.Buffer{}, oidc: &script{}, oauth2: &script{}, saml: &script{}}
	w.oidc.verify = func(_ login.Answer, t *login.Trace) (identity.Claims, error) {
		t.ProviderHost, t.Algorithms = "idp.example", []string{"RS256"}
		return ada(), nil
	}
	w.oauth2.verify = w.oidc.verify
	w.saml.verify = func(_ login.Answer, t *login.Trace) (identity.Claims, error) {
		t.ProviderHost, t.Algorithms = "idp.example", []string{"rsa-sha256", "sha256"}
		return ada(), nil
	}
	w.registry = &registry{of: map[string]connection.Serving{}}
	w.add("acme", connection.OIDC)
	w.add("other", connection.OIDC)
	w.add("hub", connection.OAuth2)
	w.add("corp", connection.SAML)
	logger := slog.New(slog.NewJSONHandler(w.log, nil))
	recorder, err := audit.NewRecorder(sqlaudit.Table{DB: db, Name: "sso_audit_events"}, logger)
	if err != nil {
		t.Fatal(err)
	}
	w.deps = login.Deps{
		Records: storetest.FaultyRecords(records, w.faults), Attempts: storetest.FaultyAttempts(sqlstore.Attempts{DB: db}, w.faults), Connections: w.registry,
		Providers: map[connection.Protocol]login.Provider{connection.OIDC: w.oidc, connection.OAuth2: w.oauth2, connection.SAML: w.saml},
		Judge: func(ctx context.Context, c identity.Claims, serving connection.Serving) identity.Report {
			r := identity.Explain(ctx, c, serving.ID, serving.Config, nobody{})
			if w.refuse != nil {
				r.Failure = w.refuse
			}
			return r
		},
		Marker: w, Keys: keys, SecretKey: bridgeKey, Public: public, Core: core, Recorder: recorder, Log: logger, Now: clock.Now,
	}
	w.Service = w.service(w.deps)
	return w
}

func (w *world) service(d login.Deps) *login.Service {
	w.t.Helper()
	s, err := login.New(d)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// add makes a connection that is enabled for devices.
func (w *world) add(id string, p connection.Protocol) {
	c := connection.Serving{
		Connection: connection.Connection{ID: id, Name: "Connection " + id, Protocol: p, State: connection.Enabled, Intents: []connection.Intent{connection.DeviceFlow}, Head: revision("a"), Serving: revision("a")},
		Revision: connection.Revision{ConnectionID: id, Hash: revision("a"), Config: connection.Config{
			Protocol: p, Preset: "generic", Callback: connection.CallbackOwn, Claims: connection.ClaimNames{Subject: "sub", Email: "email"},
		}},
	}
	if p == connection.OIDC {
		c.Config.OIDC = &connection.OIDCConfig{Issuer: "https://idp.example", Algorithms: []string{"RS256"}}
	}
	if p == connection.SAML {
		c.Config.SAML = &connection.SAMLConfig{
			IdP: &idpmetadata.IdP{EntityID: "https://idp.example", Redirect: "https://idp.example/sso"}, Signed: connection.SignedEither, ExpiredCertificates: connection.ExpiredWarn,
		}
	}
	w.registry.of[id] = c
}

// order is what core asks for a device.
func order(id string) login.Order {
	return login.Order{
		Intent: connection.DeviceFlow, UserCodeDigest: strings.Repeat("d", 43), Nonce: strings.Repeat("n", 22), Binding: strings.Repeat("b", 43),
		Connection: id, Locale: "en", RequestID: "request-of-core",
	}
}

var firefox = login.Visitor{UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Address: "192.0.2.77"}

func (w *world) begin(id string) login.Begun {
	w.t.Helper()
	b, err := w.Begin(w.t.Context(), order(id))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func ticketOf(b login.Begun) secret.Text {
	_, t, _ := strings.Cut(b.StartURL, "/sso/start/")
	return secret.New(t)
}

// leave begins a login and follows it to the provider; it gives the handle that travels.
func (w *world) leave(id string) (b login.Begun, handle string) {
	w.t.Helper()
	b = w.begin(id)
	return b, w.start(b)
}

func (w *world) start(b login.Begun) (handle string) {
	w.t.Helper()
	d, err := w.Start(w.t.Context(), ticketOf(b), firefox)
	if err != nil {
		w.t.Fatal(err)
	}
	return stateOf(w.t, d.URL)
}

func stateOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Query().Get("state") == "" {
		t.Fatalf("%q, %v", address, err)
	}
	return u.Query().Get("state")
}

// answer is a provider's usual one at the connection's own address.
func answer(id, handle string) login.Arrival {
	return login.Arrival{Protocol: connection.OIDC, Path: id, Handle: handle, Code: secret.New("code"), Visitor: firefox, Bytes: 123}
}

// assertion gives what core reads out of an address, or fails.
func (w *world) assertion(location string) envelope.ExternalSubjectClaims {
	w.t.Helper()
	message, ok := strings.CutPrefix(location, done+"sso_assertion=")
	if !ok {
		w.t.Fatalf("no assertion in %s\n%s", location, w.log)
	}
	codec, err := envelope.New[envelope.ExternalSubjectClaims](envelope.Deps{Keys: keys, Audience: envelope.ExternalSubject, Issuer: public, Now: w.clock.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	claims, _, err := codec.Verify(message)
	if err != nil {
		w.t.Fatal(err)
	}
	return claims
}

// refused fails unless an address carries a public code alone; it gives the reference.
func (w *world) refused(location string, code failure.Code) (reference string) {
	w.t.Helper()
	if strings.Contains(location, "sso_assertion") {
		w.t.Fatalf("an assertion: %s", location)
	}
	u, err := url.Parse(location)
	if err != nil {
		w.t.Fatal(err)
	}
	reference, atPage := strings.CutPrefix(location, public+"/sso/error/")
	if !atPage {
		reference = u.Query().Get("attempt")
	}
	r, err := w.Show(w.t.Context(), reference)
	if err != nil {
		w.t.Fatalf("%s does not explain itself: %v\n%s", location, err, w.log)
	}
	e, _ := failure.About(code)
	if r.Code != string(code) || r.Mend == "" || r.PublicCode != string(e.Public) {
		w.t.Errorf("%s is %s (%s), want %s (%s)", reference, r.Code, r.PublicCode, code, e.Public)
	}
	back := url.Values{"sso_error": {string(e.Public)}, "attempt": {reference}}
	if !atPage && location != done+back.Encode() {
		w.t.Errorf("it leads to %s", location)
	}
	return reference
}

// events gives the fields of the audit events of a name that are about a reference.
func (w *world) events(name, reference string) (found []map[string]any) {
	w.t.Helper()
	if err := w.deps.Recorder.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	list, err := sqlaudit.Table{DB: w.db, Name: "sso_audit_events"}.Newest(w.t.Context(), audit.Filter{Name: name}, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range list {
		var fields map[string]any
		if err := json.Unmarshal(e.Fields, &fields); err != nil {
			w.t.Fatal(err)
		}
		if reference == "" || fields["attempt"] == reference {
			found = append(found, fields)
		}
	}
	return found
}

// codeOf is the code of a refusal of Start.
func codeOf(err error) failure.Code {
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f.Code
	}
	return ""
}
