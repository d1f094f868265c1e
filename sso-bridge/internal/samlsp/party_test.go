// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

const (
	origin     = "https://sso.corp.example"
	ours       = origin + "/sso/saml/metadata/corp"
	consumer   = origin + "/sso/saml/acs/corp"
	theirs     = "https://idp.example/entity"
	ssoAddress = "https://idp.example/sso"
	requestID  = "_0123456789abcdef0123456789abcdef"
	handle     = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

var partyStart = time.Date(2026, 11, 27, 12, 0, 0, 123456789, time.UTC)

// ourKeys are the current key, the next one and two that retire; they are drawn once.
var ourKeys = sync.OnceValue(func() (keys [4]spkeys.Signer) {
	for i, state := range []spkeys.State{spkeys.Current, spkeys.Next, spkeys.Retiring, spkeys.Retiring} {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: string(state)}, NotAfter: partyStart.Add(spkeys.Life)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
		if err != nil {
			panic(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		keys[i] = spkeys.Signer{Key: spkeys.Key{ID: string(state), ConnectionID: "corp", State: state, Certificate: c, NotAfter: c.NotAfter}, Private: private}
	}
	return keys
})

// fixedCertificates are those of testdata, for documents that are compared as a whole.
func fixedCertificates(t *testing.T) (all []*x509.Certificate) {
	t.Helper()
	text, err := os.ReadFile("testdata/certificates.pem")
	if err != nil {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// party is a Provider among stand-ins that do what a test tells them, and one login.
type party struct {
	*samlsp.Provider
	now    time.Time
	answer login.Answer

	// The identity provider.
	idp, changed idpmetadata.IdP
	digest       string
	loadErr      error
	refetchErr   error
	refetched    int
	checked      time.Time

	// Our keys.
	keyErr    error
	published []spkeys.Key
	seen      []string

	// Assertions that were used, by mark, and for how long they are kept.
	marks   map[string]time.Duration
	markErr error

	// What responses say, one after the other, and what each was held against.
	says     []any // samlsp.Assertion or error
	expected []samlsp.Expected
	trace    login.Trace
}

func newParty(t *testing.T) *party {
	t.Helper()
	certificates := fixedCertificates(t)
	p := &party{now: partyStart, digest: "digest", marks: map[string]time.Duration{}, checked: partyStart.Add(-3 * time.Hour)}
	p.idp = idpmetadata.IdP{EntityID: theirs, Redirect: ssoAddress, Post: ssoAddress + "/post", Certificates: []string{base64.StdEncoding.EncodeToString(certificates[0].Raw)}}
	p.changed = p.idp
	p.changed.Certificates = append(slices.Clone(p.idp.Certificates), base64.StdEncoding.EncodeToString(certificates[1].Raw))
	for _, k := range ourKeys() {
		p.published = append(p.published, k.Key)
	}
	p.answer = login.Answer{Request: login.Request{
		State: secret.New(handle), RedirectURI: consumer,
		Material: login.Material{RequestID: requestID, RequestedAt: partyStart.Add(-time.Minute), LoginHint: "ada@corp.example"},
	}, Message: secret.New("PHJlc3BvbnNlLz4=")}
	p.answer.Serving.Connection = connection.Connection{ID: "corp", Protocol: connection.SAML}
	p.answer.Serving.Config = connection.Config{
		Protocol: connection.SAML, Callback: connection.CallbackOwn,
		SAML:   &connection.SAMLConfig{Signed: connection.SignedEither, NameIDFormat: persistent, SubjectFormats: []string{persistent}, ExpiredCertificates: connection.ExpiredWarn},
		Claims: connection.ClaimNames{Subject: connection.SubjectNameID, Email: "email", Name: "name", Groups: "groups"},
	}
	p.says = []any{goodAssertion()}
	var err error
	p.Provider, err = samlsp.New(samlsp.Deps{Metadata: p, Keys: p, Replays: p, Now: func() time.Time { return p.now }, Public: origin})
	if err != nil {
		t.Fatal(err)
	}
	p.ReadWith(p.read)
	return p
}

const (
	persistent  = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	transient   = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	unspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
	mailFormat  = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
)

func goodAssertion() samlsp.Assertion {
	return samlsp.Assertion{
		ID: "_a1", Issuer: theirs, NameID: samlsp.NameID{Value: "u-1", Format: persistent},
		Attributes: []samlsp.Attribute{{Name: "email", Values: []string{"ada@corp.example"}}, {Name: "name", Values: []string{"Ada"}}, {Name: "groups", Values: []string{"staff", "ops"}}},
		Context:    "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", AuthnInstant: partyStart.Add(-time.Minute), Until: partyStart.Add(5 * time.Minute),
	}
}

func (p *party) saml() *connection.SAMLConfig { return p.answer.Serving.Config.SAML }

func (p *party) config() *connection.Config { return &p.answer.Serving.Config }

// Load implements samlsp.Metadata.
func (p *party) Load(context.Context, connection.Serving) (idpmetadata.IdP, string, error) {
	return p.idp, p.digest, p.loadErr
}

// Refetch implements samlsp.Metadata.
func (p *party) Refetch(_ context.Context, _ connection.Serving, digest string) (idpmetadata.IdP, string, bool, error) {
	p.refetched++
	if digest != p.digest {
		return idpmetadata.IdP{}, "", false, errors.New("asked about another document")
	}
	return p.changed, "newer", len(p.changed.Certificates) != len(p.idp.Certificates), p.refetchErr
}

// Checked implements samlsp.Metadata.
func (p *party) Checked(context.Context, connection.Serving) (time.Time, error) {
	return p.checked, nil
}

// Signer implements samlsp.Keys.
func (p *party) Signer(_ context.Context, id string, next bool) (spkeys.Signer, error) {
	if id != "corp" {
		return spkeys.Signer{}, errors.New("another connection")
	}
	if next {
		return ourKeys()[1], p.keyErr
	}
	return ourKeys()[0], p.keyErr
}

// Published implements samlsp.Keys.
func (p *party) Published(context.Context, string) ([]spkeys.Key, error) {
	return p.published, p.keyErr
}

// Seen implements samlsp.Keys.
func (p *party) Seen(_ context.Context, k spkeys.Key) error {
	p.seen = append(p.seen, k.ID)
	return nil
}

// First implements samlsp.Replays.
func (p *party) First(_ context.Context, mark string, life time.Duration) (bool, error) {
	if p.markErr != nil {
		return false, p.markErr
	}
	_, used := p.marks[mark]
	if !used {
		p.marks[mark] = life
	}
	return !used, nil
}

// read stands in for the reader.
func (p *party) read(response string, e samlsp.Expected, now time.Time, t *login.Trace) (samlsp.Assertion, error) {
	if response != p.answer.Message.Reveal() || !now.Equal(p.now) || t == nil {
		return samlsp.Assertion{}, errors.New("asked for something else")
	}
	says := p.says[min(len(p.expected), len(p.says)-1)]
	p.expected = append(p.expected, e)
	t.SignedParts = append(t.SignedParts, "assertion")
	switch says := says.(type) {
	case samlsp.Assertion:
		return says, nil
	case error:
		return samlsp.Assertion{}, says
	}
	return samlsp.Assertion{}, errors.New("nothing to say")
}

// verify gives what the answer makes.
func (p *party) verify(t *testing.T) (identity.Claims, error) {
	t.Helper()
	p.trace = login.Trace{}
	return p.Verify(t.Context(), p.answer, &p.trace)
}

// refused wants the answer refused with a code.
func (p *party) refused(t *testing.T, want failure.Code) failure.Error {
	t.Helper()
	_, err := p.verify(t)
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Code != want {
		t.Fatalf("%v, want %s", err, want)
	}
	entry, _ := failure.About(want)
	for field := range f.Facts {
		if !slices.Contains(entry.Fields, field) {
			t.Errorf("the catalogue has no field %s of %s", field, want)
		}
	}
	return *f
}

// asked gives the request of the login.
func (p *party) asked(t *testing.T) login.Destination {
	t.Helper()
	d, err := p.Address(t.Context(), p.answer.Request)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// golden compares a document with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	want, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("not %s:\n%s", name, got)
	}
}
