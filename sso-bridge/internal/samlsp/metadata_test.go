// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// described gives our metadata and its tag.
func (p *party) described(t *testing.T) (doc []byte, etag string) {
	t.Helper()
	doc, etag, err := p.Describe(t.Context(), p.answer.Serving)
	if err != nil {
		t.Fatal(err)
	}
	return doc, etag
}

// parsedMetadata reads our metadata as the library does.
func parsedMetadata(t *testing.T, doc []byte) *saml.EntityDescriptor {
	t.Helper()
	var d saml.EntityDescriptor
	if err := xml.Unmarshal(doc, &d); err != nil || len(d.SPSSODescriptors) != 1 {
		t.Fatal(err, len(d.SPSSODescriptors))
	}
	return &d
}

// certificatesIn gives what a provider takes out of our metadata.
func certificatesIn(t *testing.T, doc []byte) (all []*x509.Certificate) {
	t.Helper()
	for _, k := range parsedMetadata(t, doc).SPSSODescriptors[0].KeyDescriptors {
		if k.Use != "signing" || len(k.EncryptionMethods) != 0 || len(k.KeyInfo.X509Data.X509Certificates) != 1 {
			t.Errorf("a key for %q", k.Use)
		}
		der, err := base64.StdEncoding.DecodeString(k.KeyInfo.X509Data.X509Certificates[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func TestOurMetadata(t *testing.T) {
	t.Run("SAML-56 is the golden document: signing keys alone, and no host but the public one", func(t *testing.T) {
		p := newParty(t)
		p.published = nil
		for i, c := range fixedCertificates(t) {
			p.published = append(p.published, spkeys.Key{ID: []string{"current", "next"}[i], Certificate: c})
		}
		doc, etag := p.described(t)
		golden(t, "metadata.golden", doc)
		if etag != `"`+strings.Trim(etag, `"`)+`"` || len(etag) != 34 {
			t.Error(etag)
		}
		again, same := p.described(t)
		if !bytes.Equal(doc, again) || etag != same {
			t.Error("not the same bytes")
		}
		p.saml().NameIDFormat = ""
		if _, other := p.described(t); other == etag {
			t.Error("another document has the same tag")
		}
	})

	t.Run("SAML-56 SSO-60 has no key to encrypt to, no end and no other address", func(t *testing.T) {
		p := newParty(t)
		doc, _ := p.described(t)
		tree := etree.NewDocument()
		if err := tree.ReadFromBytes(doc); err != nil {
			t.Fatal(err)
		}
		for _, el := range tree.FindElements("//*") {
			for _, a := range el.Attr {
				if strings.Contains(a.Value, "://") && a.Space != "xmlns" && !strings.HasPrefix(a.Value, origin+"/") {
					t.Errorf("%s of %s is %s", a.Key, el.Tag, a.Value)
				}
				if a.Key == "validUntil" || a.Key == "cacheDuration" || a.Value == "encryption" {
					t.Errorf("%s of %s is %s", a.Key, el.Tag, a.Value)
				}
			}
			if slices.Contains([]string{"EncryptionMethod", "ArtifactResolutionService", "SingleLogoutService", "Organization", "ContactPerson"}, el.Tag) {
				t.Errorf("a %s", el.Tag)
			}
		}
		if n := len(tree.FindElements("//AssertionConsumerService")); n != 1 {
			t.Errorf("%d consumer services", n)
		}
	})

	for _, tc := range []struct {
		signed string
		want   bool
	}{{connection.SignedEither, true}, {connection.SignedAssertion, true}, {connection.SignedBoth, true}, {connection.SignedResponse, false}} {
		t.Run("says what must be signed: "+tc.signed, func(t *testing.T) {
			p := newParty(t)
			p.saml().Signed = tc.signed
			doc, _ := p.described(t)
			role := parsedMetadata(t, doc).SPSSODescriptors[0]
			if !*role.AuthnRequestsSigned || *role.WantAssertionsSigned != tc.want {
				t.Error(*role.AuthnRequestsSigned, *role.WantAssertionsSigned)
			}
		})
	}

	t.Run("names the configured entity id and the shared consumer service", func(t *testing.T) {
		p := newParty(t)
		p.saml().EntityID, p.config().Callback = `urn:corp:"<&>`, connection.CallbackShared
		doc, _ := p.described(t)
		d := parsedMetadata(t, doc)
		acs := d.SPSSODescriptors[0].AssertionConsumerServices
		if d.EntityID != `urn:corp:"<&>` || len(acs) != 1 || acs[0].Location != origin+"/sso/saml/acs" || acs[0].Index != 0 || !*acs[0].IsDefault || acs[0].Binding != saml.HTTPPostBinding {
			t.Errorf("%q %+v", d.EntityID, acs)
		}
		if got := samlsp.EntityID(origin, p.answer.Serving); got != d.EntityID {
			t.Error(got)
		}
	})

	t.Run("SSO-63 of each key that is given away it is noted", func(t *testing.T) {
		p := newParty(t)
		p.described(t)
		if !slices.Equal(p.seen, []string{"current", "next", "retiring", "retiring"}) {
			t.Error(p.seen)
		}
	})

	t.Run("is not there for another protocol or without a store", func(t *testing.T) {
		p := newParty(t)
		p.keyErr = fault.ErrUnavailable.Because(errors.New("down"))
		if doc, _, err := p.Describe(t.Context(), p.answer.Serving); doc != nil || !errors.Is(err, fault.ErrUnavailable) {
			t.Error(err)
		}
		p.config().SAML = nil
		if doc, _, err := p.Describe(t.Context(), p.answer.Serving); doc != nil || !errors.Is(err, fault.ErrInternal) {
			t.Error(err)
		}
	})
}

// storedKeys gives real keys on a database, whose RSA keys are those of the tests.
func storedKeys(t *testing.T) *spkeys.Service {
	t.Helper()
	d := storetest.NewSQLite(t)
	recorder, err := audit.NewRecorder(d.Audit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := seal.Parse(seal.NewKeyFile("k1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.DB.Exec(t.Context(), `INSERT INTO sso_installation (id, canary, fingerprint_key_sealed) VALUES (1, 'canary', 'key')`); err != nil {
		t.Fatal(err)
	}
	err = d.Connections.InTx(t.Context(), func(ctx context.Context, tx connection.Tx) error {
		return tx.Insert(ctx, connection.Connection{
			ID: "corp", Name: "corp", Protocol: connection.SAML, Preset: "generic-saml", State: connection.Draft, Intents: []connection.Intent{connection.DeviceFlow},
			ManagedBy: connection.ByAPI, Head: strings.Repeat("0", 64), CreatedAt: partyStart, UpdatedAt: partyStart,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	n, now := 0, partyStart
	s, err := spkeys.New(spkeys.Deps{
		Store: d.SPKeys, Seal: sealing, Recorder: recorder, Now: func() time.Time { now = now.Add(time.Second); return now },
		Generate: func() (*rsa.PrivateKey, error) { n++; return ourKeys()[n-1].Private, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestARotationAtTheProvider(t *testing.T) {
	keys := storedKeys(t)
	p := newParty(t)
	var err error
	if p.Provider, err = samlsp.New(samlsp.Deps{Metadata: p, Keys: keys, Replays: p, Now: func() time.Time { return p.now }, Public: origin}); err != nil {
		t.Fatal(err)
	}
	p.ReadWith(p.read)
	certificates := func() []*x509.Certificate {
		doc, _ := p.described(t)
		return certificatesIn(t, doc)
	}
	// login begins and ends one with a provider that knows these keys of ours.
	login := func(t *testing.T, known []*x509.Certificate, next bool) {
		t.Helper()
		p.answer.NextKey = next
		d := p.asked(t)
		if !slices.ContainsFunc(known, func(c *x509.Certificate) bool { return signedBy(t, d, c) }) {
			t.Error("the provider does not know the key")
		}
		clear(p.marks)
		if _, err := p.verify(t); err != nil {
			t.Error(err)
		}
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	order := func(t *testing.T, got []*x509.Certificate, want ...int) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%d keys are published, want %d", len(got), len(want))
		}
		for i, n := range want {
			if !ourKeys()[n].Private.PublicKey.Equal(got[i].PublicKey) {
				t.Errorf("the published key %d is not number %d", i, n)
			}
		}
	}

	before := certificates()
	t.Run("SSO-63 made at the first need: one key, and a login with it", func(t *testing.T) {
		order(t, before, 0)
		login(t, before, false)
	})
	must(keys.Stage(t.Context(), "corp", "cli:root"))
	staged := certificates()
	t.Run("SSO-63 staged: two keys, a login with the current one at a provider that has not looked, and a test with the next", func(t *testing.T) {
		order(t, staged, 0, 1)
		login(t, before, false)
		login(t, staged, true)
	})
	must(keys.Promote(t.Context(), "corp", "cli:root", false, "")) // the metadata was fetched
	promoted := certificates()
	t.Run("SSO-63 promoted: both keys, and a login at a provider that looked while it was staged", func(t *testing.T) {
		order(t, promoted, 1, 0)
		login(t, staged, false)
		login(t, promoted, false)
	})
	all, err := keys.List(t.Context(), "corp")
	must(nil, err)
	must(keys.Retire(t.Context(), "corp", all[1].ID, "cli:root"))
	t.Run("SSO-63 retired: the new key alone, and a login with it", func(t *testing.T) {
		order(t, certificates(), 1)
		login(t, certificates(), false)
	})
	t.Run("SSO-63 the metadata is the same whatever state the connection has", func(t *testing.T) {
		doc, _ := p.described(t)
		for _, s := range []connection.State{connection.Draft, connection.Tested, connection.Enabled, connection.Disabled} {
			p.answer.Serving.State = s
			if other, _ := p.described(t); !bytes.Equal(doc, other) {
				t.Errorf("another one when %s", s)
			}
		}
	})
}
