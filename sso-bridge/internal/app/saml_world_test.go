// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"html"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

const (
	entityOfIdP = "https://idp.example/metadata"
	bridgeAt    = "https://sso.example.com"
	coreAt      = "https://console.example.org/openapi/v1/oauth/device/sso-complete?"
	formType    = "application/x-www-form-urlencoded"
)

// certificate is a key of the provider with its certificate.
type certificate struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newCertificate() certificate {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return certificateUntil(key, time.Now().Add(1000*time.Hour))
}

func certificateUntil(key *rsa.PrivateKey, until time.Time) certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp.example"}, NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return certificate{key, cert}
}

// The keys are made once: making one is most of a test's time.
var (
	signing = sync.OnceValue(newCertificate)
	rotated = sync.OnceValue(newCertificate)
)

// provider is a SAML identity provider that another library makes.
type provider struct {
	t       *testing.T
	idp     *saml.IdentityProvider
	session saml.Session
	bridge  *bridge
}

// GetServiceProvider implements saml.ServiceProviderProvider by the metadata that the
// bridge publishes.
func (p *provider) GetServiceProvider(_ *http.Request, id string) (*saml.EntityDescriptor, error) {
	address, ok := strings.CutPrefix(id, bridgeAt)
	if !ok {
		p.t.Errorf("the request comes from %s", id)
	}
	var d saml.EntityDescriptor
	return &d, xml.Unmarshal([]byte(p.bridge.ask("GET", address, "").body), &d)
}

// answered is a request at the provider, and its answer before it is signed.
func (p *provider) answered(destination login.Destination) *saml.IdpAuthnRequest {
	p.t.Helper()
	r := httptest.NewRequest(http.MethodGet, destination.URL, nil)
	if destination.Post != nil {
		form := url.Values{}
		for _, f := range destination.Post {
			form.Set(f.Name, f.Value.Reveal())
		}
		r = httptest.NewRequest(http.MethodPost, destination.URL, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", formType)
	}
	req, err := saml.NewIdpAuthnRequest(p.idp, r)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := req.Validate(); err != nil {
		p.t.Fatal(err)
	}
	if err := (saml.DefaultAssertionMaker{}).MakeAssertion(req, &p.session); err != nil {
		p.t.Fatal(err)
	}
	return req
}

// moved gives an answer of a provider whose clock is ahead.
func moved(req *saml.IdpAuthnRequest, ahead time.Duration) *saml.IdpAuthnRequest {
	a := req.Assertion
	times := []*time.Time{
		&req.Now, &a.IssueInstant, &a.Conditions.NotBefore, &a.Conditions.NotOnOrAfter, &a.Subject.SubjectConfirmations[0].SubjectConfirmationData.NotOnOrAfter,
	}
	for i := range a.AuthnStatements {
		times = append(times, &a.AuthnStatements[i].AuthnInstant)
	}
	for _, at := range times {
		*at = at.Add(ahead)
	}
	return req
}

// form gives what the browser posts.
func (p *provider) form(req *saml.IdpAuthnRequest) url.Values {
	p.t.Helper()
	f, err := req.PostBinding()
	if err != nil {
		p.t.Fatal(err)
	}
	return url.Values{"SAMLResponse": {f.SAMLResponse}, "RelayState": {f.RelayState}}
}

// bridge is the whole service in the process, before its public listener.
type bridge struct {
	t *testing.T
	*app.App
	log   *lines
	idp   *provider
	codec *envelope.Codec[envelope.ExternalSubjectClaims]
}

// newBridge serves one connection of SAML, whose other settings are given as members.
func newBridge(t *testing.T, settings string) *bridge {
	t.Helper()
	return newBridgeOf(t, terms{idp: settings, key: signing()})
}

// terms are how a bridge of a test differs.
type terms struct {
	idp  string // further members of the provider's facts
	saml string // further lines of the connection's saml block
	key  certificate
	wrap func(*app.Stores)
}

func newBridgeOf(t *testing.T, terms terms) *bridge {
	t.Helper()
	b, c := &bridge{t: t, log: &lines{}}, terms.key
	b.idp = &provider{t: t, bridge: b, idp: &saml.IdentityProvider{
		Key: c.key, Certificate: c.cert, SignatureMethod: dsig.RSASHA256SignatureMethod, Logger: slogger{},
		MetadataURL: url.URL{Scheme: "https", Host: "idp.example", Path: "/metadata"}, SSOURL: url.URL{Scheme: "https", Host: "idp.example", Path: "/sso"},
	}, session: saml.Session{
		ID: "session", NameID: "ada-1", NameIDFormat: connection.FormatPersistent, UserEmail: "ada@corp.example", UserGivenName: "Ada", UserSurname: "Lovelace",
		CreateTime: time.Now(), ExpireTime: time.Now().Add(time.Hour), Index: "1",
	}}
	b.idp.idp.ServiceProviderProvider = b.idp
	base := given(t)
	base["RATE_LIMITS"] = "bridge.callback.addr=0,bridge.metadata.addr=0"
	base["CONNECTIONS_FILE"] = filepath.Join(t.TempDir(), "connections.yaml")
	write(t, base["CONNECTIONS_FILE"], `version: 1
connections:
  - id: corp
    name: Corp
    preset: generic-saml
    intents: [device_flow]
    domains: [corp.example]
    enable: force
    reason: a test
    callback: `+callbackOf(terms.idp)+`
    saml:
      idp: { entity_id: "`+entityOfIdP+`", sso_url: "https://idp.example/sso", certificates: ["`+base64.StdEncoding.EncodeToString(c.cert.Raw)+`"]`+terms.idp+` }
`+terms.saml, 0o600)
	b.App, b.codec = begun(t, base, bridgeAt, app.Options{Log: slog.New(slog.NewTextHandler(b.log, nil)), Wrap: terms.wrap})
	return b
}

// begun is the whole service of some settings, its connections file read, with what reads
// the assertions that it makes at an address.
func begun(t testing.TB, base map[string]string, address string, o app.Options) (*app.App, *envelope.Codec[envelope.ExternalSubjectClaims]) {
	t.Helper()
	s, err := load(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	service, err := app.New(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	if err := service.Begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	set, err := keyset.Load(base["KEYSET_FILE"], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	codec, err := envelope.New[envelope.ExternalSubjectClaims](envelope.Deps{Keys: keyset.NewRing(set), Audience: envelope.ExternalSubject, Issuer: address, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return service, codec
}

// callbackOf lets settings say which consumer service it is.
func callbackOf(settings string) string {
	if strings.Contains(settings, "sso_binding: post") {
		return "shared" // one test has both
	}
	return "own"
}

type slogger struct{}

func (slogger) Printf(string, ...any) {}
func (slogger) Print(...any)          {}
func (slogger) Println(...any)        {}
func (slogger) Fatal(...any)          {}
func (slogger) Fatalf(string, ...any) {}
func (slogger) Fatalln(...any)        {}
func (slogger) Panic(...any)          {}
func (slogger) Panicf(string, ...any) {}
func (slogger) Panicln(...any)        {}

type got struct {
	status int
	header http.Header
	body   string
}

func (b *bridge) ask(method, target, body string, cookies ...string) got {
	b.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, cookie := range cookies {
		r.Header.Add("Cookie", cookie)
	}
	if body != "" {
		r.Header.Set("Content-Type", formType)
	}
	res, err := b.Public().Test(r, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return got{res.StatusCode, res.Header, string(content)}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]+)">`)

// leave begins a login and follows it to the provider.
func (b *bridge) leave() (reference string, to login.Destination) {
	b.t.Helper()
	return b.leaveFor(false)
}

// leaveFor is leave, for people who have to sign in anew or not.
func (b *bridge) leaveFor(fresh bool) (reference string, to login.Destination) {
	b.t.Helper()
	begun, err := b.Logins.Begin(b.t.Context(), login.Order{
		Intent: connection.DeviceFlow, UserCodeDigest: strings.Repeat("d", 43), Nonce: strings.Repeat("n", 22), Binding: strings.Repeat("b", 43),
		Connection: "corp", Locale: "en", ForceAuthn: fresh,
	})
	if err != nil {
		b.t.Fatal(err, b.log.taken())
	}
	g := b.ask("GET", strings.TrimPrefix(begun.StartURL, bridgeAt), "")
	switch g.status {
	case http.StatusFound:
		return begun.Reference, login.Destination{URL: g.header.Get("Location")}
	case http.StatusOK:
		_, rest, _ := strings.Cut(g.body, `<form method="post" action="`)
		action, _, _ := strings.Cut(rest, `"`)
		to.URL = html.UnescapeString(action)
		for _, m := range hidden.FindAllStringSubmatch(g.body, -1) {
			to.Post = append(to.Post, login.Field{Name: m[1], Value: secretOf(html.UnescapeString(m[2]))})
		}
		return begun.Reference, to
	}
	b.t.Fatalf("%d %s\n%s", g.status, g.body, b.log.taken())
	return "", to
}

func (b *bridge) post(path string, form url.Values) got {
	b.t.Helper()
	return b.ask("POST", path, form.Encode())
}

// admitted gives what core reads of an answer.
func (b *bridge) admitted(g got) envelope.ExternalSubjectClaims {
	b.t.Helper()
	message, ok := strings.CutPrefix(g.header.Get("Location"), coreAt+"sso_assertion=")
	if g.status != http.StatusSeeOther || !ok {
		b.t.Fatalf("%d to %s\n%s", g.status, g.header.Get("Location"), b.log.taken())
	}
	claims, _, err := b.codec.Verify(message)
	if err != nil {
		b.t.Fatal(err)
	}
	return claims
}

// refused gives what is known of an answer that is one.
func (b *bridge) refused(g got, code failure.Code) login.Report {
	b.t.Helper()
	u, err := url.Parse(g.header.Get("Location"))
	if err != nil || g.status != http.StatusSeeOther || strings.Contains(u.RawQuery, "sso_assertion") {
		b.t.Fatalf("%d to %s, %v", g.status, u, err)
	}
	reference, atPage := strings.CutPrefix(u.String(), bridgeAt+"/sso/error/")
	if !atPage {
		reference = u.Query().Get("attempt")
	}
	r, err := b.Logins.Show(b.t.Context(), reference)
	if err != nil || r.Code != string(code) {
		b.t.Errorf("%s, want %s (%v)\n%s", r.Code, code, err, b.log.taken())
	}
	return r
}

// altered gives the form with an edit of the message that nobody signs again.
func altered(t *testing.T, form url.Values, edit func(root *etree.Element)) url.Values {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if _, err := doc.ReadFrom(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	edit(doc.Root())
	text, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString(text)}, "RelayState": form["RelayState"]}
}
