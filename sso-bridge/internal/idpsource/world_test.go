// SPDX-License-Identifier: Apache-2.0

package idpsource_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpfetch"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idptest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

const entityID = "http://idp.example/adfs/services/trust"

// authority issues certificates of as many keys as tests name, each once.
var authority = struct {
	sync.Mutex
	made map[string]string
}{made: map[string]string{}}

// certificate gives the certificate of a name, which ends so many years after the start.
func certificate(name string, years int) string {
	authority.Lock()
	defer authority.Unlock()
	if c, ok := authority.made[name]; ok {
		return c
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: storetest.Start, NotAfter: storetest.Start.AddDate(years, 0, 0).Truncate(time.Second)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		panic(err)
	}
	authority.made[name] = base64.StdEncoding.EncodeToString(der)
	return authority.made[name]
}

// idp is a provider that publishes metadata, as tests change it.
type idp struct {
	server *httptest.Server
	mu     sync.Mutex
	facts  idpmetadata.IdP
	terms  string // attributes of the root
	etag   string
	count  int
	asked  http.Header // of the last request
	handle http.HandlerFunc
}

func newIdP(t testing.TB) *idp {
	t.Helper()
	p := &idp{facts: idpmetadata.IdP{EntityID: entityID, Redirect: "https://idp.example/sso", Certificates: []string{certificate("a", 3), certificate("b", 5)}}}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // it is treated badly on purpose
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	return p
}

func (p *idp) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.count++
	p.asked = r.Header.Clone()
	handle, etag, text := p.handle, p.etag, p.document()
	p.mu.Unlock()
	if handle != nil {
		handle(w, r)
		return
	}
	if etag != "" {
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Type", "application/samlmetadata+xml; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

func (p *idp) document() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="%s" %s ID="_%d"><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">`, p.facts.EntityID, p.terms, p.count)
	for _, c := range p.facts.Certificates {
		fmt.Fprintf(&b, `<KeyDescriptor><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>%s</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`, c)
	}
	for binding, address := range map[string]string{"HTTP-Redirect": p.facts.Redirect, "HTTP-POST": p.facts.Post} {
		if address != "" {
			fmt.Fprintf(&b, `<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:%s" Location="%s"/>`, binding, address)
		}
	}
	b.WriteString(`</IDPSSODescriptor></EntityDescriptor>`)
	return b.String()
}

func (p *idp) set(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

func (p *idp) fetches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// world is a service beside one provider and one connection, corp.
type world struct {
	*idpsource.Service
	t       *testing.T
	d       storetest.Durable
	faults  *faulttest.Faults
	idp     *idp
	canary  *idptest.Canary
	clock   *storetest.Clock
	log     *bytes.Buffer
	views   []connection.View
	serving connection.Serving
}

func (w *world) List(context.Context) ([]connection.View, error) { return w.views, nil }

func newWorld(t *testing.T, set ...func(*egress.Options)) *world {
	t.Helper()
	w := &world{t: t, d: storetest.NewSQLite(t), faults: &faulttest.Faults{}, idp: newIdP(t), canary: idptest.New(t).Canary(), clock: storetest.NewClock(storetest.Start), log: &bytes.Buffer{}}
	if err := w.d.Installation.Init(t.Context(), installation.State{Canary: "canary", FingerprintKey: "key"}); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(w.idp.server.Certificate())
	options := egress.Options{Allow: []string{"127.0.0.1"}, Roots: pool, Now: time.Now}
	for _, f := range set {
		f(&options)
	}
	client, err := egress.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	recorder, err := audit.NewRecorder(w.d.Audit, logger)
	if err != nil {
		t.Fatal(err)
	}
	w.Service, err = idpsource.New(idpsource.Deps{
		Store: storetest.FaultyIdPSource(w.d.IdPSource, w.faults), Connections: w, Fetcher: idpfetch.Fetcher{Circuits: egress.NewCircuits(client, w.clock.Now)}, Recorder: recorder, Now: w.clock.Now, Log: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.serving = w.connection("corp", connection.SAMLConfig{MetadataURL: w.idp.server.URL + "/metadata?app=1"})
	return w
}

// connection adds one that serves the configuration.
func (w *world) connection(id string, c connection.SAMLConfig) connection.Serving {
	w.t.Helper()
	revision := connection.Revision{ConnectionID: id, Config: connection.Config{Protocol: connection.SAML, SAML: &c}}
	row := connection.Connection{ID: id, Name: id, Protocol: connection.SAML, Preset: "generic-saml", State: connection.Enabled, Intents: []connection.Intent{connection.DeviceFlow},
		ManagedBy: connection.ByAPI, Head: strings.Repeat("0", 64), CreatedAt: storetest.Start, UpdatedAt: storetest.Start}
	err := w.d.Connections.InTx(w.t.Context(), func(ctx context.Context, tx connection.Tx) error { return tx.Insert(ctx, row) })
	if err != nil {
		w.t.Fatal(err)
	}
	w.views = append(w.views, connection.View{Connection: row, HeadRevision: revision, ServingRevision: &revision})
	return connection.Serving{Connection: row, Revision: revision}
}

func (w *world) source() string { return w.serving.Config.SAML.MetadataURL }

func (w *world) load() (idpmetadata.IdP, string) {
	w.t.Helper()
	facts, digest, err := w.Load(w.t.Context(), w.serving)
	if err != nil {
		w.t.Fatal(err, failure.Of(err).Facts)
	}
	return facts, digest
}

func (w *world) refused(c connection.Serving) map[string]string {
	w.t.Helper()
	_, _, err := w.Load(w.t.Context(), c)
	if err == nil || failure.Of(err).Code != failure.SAMLMetadata {
		w.t.Fatalf("%v", err)
	}
	entry, _ := failure.About(failure.SAMLMetadata)
	for field := range failure.Of(err).Facts {
		if !slices.Contains(entry.Fields, field) {
			w.t.Errorf("the catalogue has no field %s", field)
		}
	}
	return failure.Of(err).Facts
}

// refresh lets a day pass and refreshes what is due.
func (w *world) refresh() {
	w.t.Helper()
	w.clock.Advance(idpsource.RefreshEvery)
	if n, err := w.RefreshDue(w.t.Context()); err != nil || n != 1 {
		w.t.Fatalf("%d, %v", n, err)
	}
}

func (w *world) status() idpsource.Status {
	w.t.Helper()
	s, err := w.Status(w.t.Context(), "corp", w.source())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// events gives what is on record, without the prefix that all have.
func (w *world) events() string {
	w.t.Helper()
	names, _ := w.d.Events(w.t)
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], "sso.metadata_")
	}
	return strings.Join(names, " ")
}

func (w *world) pending(want int) {
	w.t.Helper()
	if n, err := w.Pending(w.t.Context()); err != nil || n != want {
		w.t.Errorf("%d wait for a decision, %v", n, err)
	}
}

func changed(changes []idpmetadata.Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.What+" "+c.Kind)
	}
	return strings.Join(all, ", ")
}

// fieldOf reads one field of the newest event of a name.
func (w *world) fieldOf(event, field string) string {
	w.t.Helper()
	_, fields := w.d.Events(w.t)
	var all map[string]any
	if err := json.Unmarshal([]byte(fields["sso.metadata_"+event]), &all); err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(all[field])
}
