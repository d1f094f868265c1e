// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

func TestWhatAResponseIsHeldAgainst(t *testing.T) {
	certificates := fixedCertificates(t)
	expected := func() samlsp.Expected {
		return samlsp.Expected{
			Issuer: theirs, Certificates: certificates[:1], Audience: ours, Consumer: consumer, RequestID: requestID, RequestedAt: partyStart.Add(-time.Minute),
			Signed: connection.SignedEither, Skew: time.Minute,
		}
	}
	for _, tc := range []struct {
		name string
		edit func(p *party, e *samlsp.Expected)
	}{
		{"names and addresses of configuration and attempt", func(*party, *samlsp.Expected) {}},
		{"our configured entity id", func(p *party, e *samlsp.Expected) { p.saml().EntityID, e.Audience = "urn:corp", "urn:corp" }},
		{"the shared consumer service", func(p *party, e *samlsp.Expected) {
			p.answer.RedirectURI, e.Consumer = origin+"/sso/saml/acs", origin+"/sso/saml/acs"
		}},
		{"a fresh sign-in that the attempt asked for", func(p *party, e *samlsp.Expected) { p.answer.Material.ForceAuthn, e.ForceAuthn = true, true }},
		{"a fresh sign-in that the connection asks for", func(p *party, e *samlsp.Expected) { p.config().ForceAuthn, e.ForceAuthn = true, true }},
		{"what must be signed", func(p *party, e *samlsp.Expected) {
			p.saml().Signed, e.Signed = connection.SignedBoth, connection.SignedBoth
		}},
		{"the connection's skew", func(p *party, e *samlsp.Expected) { p.saml().Skew, e.Skew = 300, 5*time.Minute }},
		{"exact contexts", func(p *party, e *samlsp.Expected) {
			p.saml().Contexts, p.saml().Comparison, e.Contexts = []string{"urn:mfa"}, "exact", []string{"urn:mfa"}
		}},
		{"contexts are exact unless configured otherwise", func(p *party, e *samlsp.Expected) {
			p.saml().Contexts, e.Contexts = []string{"urn:mfa"}, []string{"urn:mfa"}
		}},
		{"a minimum is the provider's to judge", func(p *party, _ *samlsp.Expected) {
			p.saml().Contexts, p.saml().Comparison = []string{"urn:mfa"}, "minimum"
		}},
		{"SAML-53 SSO-61 every certificate of the metadata, in its order", func(p *party, e *samlsp.Expected) { p.idp, e.Certificates = p.changed, certificates }},
		{"SAML-54 an expired certificate is the reader's to refuse when configured", func(p *party, e *samlsp.Expected) {
			p.saml().ExpiredCertificates, e.RefuseExpired = connection.ExpiredRefuse, true
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, want := newParty(t), expected()
			tc.edit(p, &want)
			if _, err := p.verify(t); err != nil || len(p.expected) != 1 {
				t.Fatal(err, len(p.expected))
			}
			got := p.expected[0]
			if !slices.EqualFunc(got.Certificates, want.Certificates, func(a, b *x509.Certificate) bool { return a.Equal(b) }) {
				t.Error("other certificates")
			}
			got.Certificates, want.Certificates = nil, nil
			storetest.Same(t, "expected", got, want)
		})
	}
	t.Run("nothing is read without a message, a provider or a certificate that is one", func(t *testing.T) {
		for _, tc := range []struct {
			edit func(p *party)
			want failure.Code
		}{
			{func(p *party) { p.answer.Message = secret.Text{} }, failure.CallbackMalformed},
			{func(p *party) { p.config().SAML = nil }, failure.Internal},
			{func(p *party) { p.answer.Material.RequestID = "" }, failure.Internal},
			{func(p *party) { p.loadErr = failure.New(failure.SAMLMetadata).With("host", "idp.example") }, failure.SAMLMetadata},
			{func(p *party) { p.idp.Certificates = []string{"*"} }, failure.Internal},
			{func(p *party) { p.idp.Certificates = []string{base64.StdEncoding.EncodeToString([]byte("x"))} }, failure.Internal},
		} {
			p := newParty(t)
			tc.edit(p)
			p.refused(t, tc.want)
			if len(p.expected) != 0 || len(p.marks) != 0 {
				t.Error("read", tc.want)
			}
		}
	})
}

func TestASignatureByAnUnknownKey(t *testing.T) {
	unknown := failure.New(failure.SAMLSignatureInvalid).With("fingerprints_tried", "aa")
	steps := func(p *party) (out []string) {
		for _, s := range p.trace.Steps {
			out = append(out, s.Name)
		}
		return out
	}
	t.Run("SSO-61 the metadata is fetched once more, and with its new key the response is taken", func(t *testing.T) {
		p := newParty(t)
		p.says = []any{unknown, goodAssertion()}
		if _, err := p.verify(t); err != nil {
			t.Fatal(err)
		}
		if p.refetched != 1 || len(p.expected) != 2 || len(p.expected[1].Certificates) != 2 || p.trace.MetadataDigest != "newer" || len(p.trace.SignedParts) != 1 || p.trace.Issuer != theirs {
			t.Errorf("%d %d %+v", p.refetched, len(p.expected), p.trace)
		}
		if want := []string{"metadata", "response", "refetch", "response", "replay"}; !slices.Equal(steps(p), want) {
			t.Error(steps(p))
		}
	})
	t.Run("SSO-61 refetched once, then refused, also when the metadata has changed", func(t *testing.T) {
		p := newParty(t)
		p.says = []any{unknown}
		f := p.refused(t, failure.SAMLSignatureInvalid)
		if p.refetched != 1 || len(p.expected) != 2 || f.Facts["metadata_age"] != "3h0m0s" || f.Facts["fingerprints_tried"] != "aa" || len(p.marks) != 0 {
			t.Error(p.refetched, len(p.expected), f.Facts)
		}
	})
	t.Run("SSO-61 what has not changed is not tried again", func(t *testing.T) {
		p := newParty(t)
		p.says, p.changed = []any{unknown, goodAssertion()}, p.idp
		f := p.refused(t, failure.SAMLSignatureInvalid)
		if p.refetched != 1 || len(p.expected) != 1 || f.Facts["metadata_age"] != "3h0m0s" || p.trace.MetadataDigest != "digest" {
			t.Error(p.refetched, len(p.expected), f.Facts)
		}
	})
	t.Run("SSO-61 configured certificates have no age", func(t *testing.T) {
		p := newParty(t)
		p.says, p.changed, p.checked = []any{unknown}, p.idp, time.Time{}
		if _, there := p.refused(t, failure.SAMLSignatureInvalid).Facts["metadata_age"]; there {
			t.Error("an age")
		}
	})
	t.Run("SSO-61 a store that cannot be asked is no verdict", func(t *testing.T) {
		p := newParty(t)
		p.says, p.refetchErr = []any{unknown, goodAssertion()}, failure.New(failure.StoreUnavailable)
		p.refused(t, failure.StoreUnavailable)
		if len(p.expected) != 1 {
			t.Error("read again")
		}
	})
	t.Run("SSO-61 the second reading may refuse otherwise", func(t *testing.T) {
		p := newParty(t)
		p.says = []any{unknown, failure.New(failure.SAMLAudience)}
		p.refused(t, failure.SAMLAudience)
	})
	t.Run("SSO-61 no other refusal fetches anything", func(t *testing.T) {
		for _, code := range failure.Codes() {
			if !strings.HasPrefix(string(code), "saml_") || code == failure.SAMLSignatureInvalid {
				continue
			}
			p := newParty(t)
			p.says = []any{failure.New(code), goodAssertion()}
			p.refused(t, code)
			if p.refetched != 0 || len(p.expected) != 1 || len(p.marks) != 0 {
				t.Error(code, p.refetched, len(p.expected))
			}
		}
	})
}

func TestAnAssertionIsUsedOnce(t *testing.T) {
	mark := func(issuer, id string) string {
		sum := sha256.Sum256([]byte(issuer + "\x1f" + id))
		return hex.EncodeToString(sum[:])
	}
	t.Run("SAML-29 the second time it is refused, whichever attempt brings it", func(t *testing.T) {
		p := newParty(t)
		if _, err := p.verify(t); err != nil {
			t.Fatal(err)
		}
		if life, there := p.marks[mark(theirs, "_a1")]; !there || life != 6*time.Minute || len(p.marks) != 1 {
			t.Error(p.marks)
		}
		p.answer.Material.RequestID, p.answer.Serving.ID = "_another", "other"
		f := p.refused(t, failure.SAMLReplay)
		if len(p.marks) != 1 || !slices.ContainsFunc(p.trace.Steps, func(s login.Step) bool { return s.Name == "replay" && !s.OK }) {
			t.Error(f.Code, p.trace.Steps)
		}
	})
	t.Run("SAML-29 an ID is its issuer's alone", func(t *testing.T) {
		p := newParty(t)
		other := goodAssertion()
		other.Issuer, other.ID = theirs+"\x1f_a", "1"
		third := goodAssertion()
		third.ID = "_a2"
		p.says = []any{goodAssertion(), other, third}
		for range 3 {
			if _, err := p.verify(t); err != nil {
				t.Error(err)
			}
		}
		if len(p.marks) != 3 {
			t.Error(p.marks)
		}
	})
	t.Run("SAML-29 a mark lives as long as anybody takes the assertion", func(t *testing.T) {
		for _, tc := range []struct {
			skew  int
			until time.Duration
			want  time.Duration
		}{{0, time.Hour, time.Hour + time.Minute}, {300, time.Minute, 6 * time.Minute}, {0, -59 * time.Second, time.Second}, {0, -time.Minute, time.Second}} {
			p, said := newParty(t), goodAssertion()
			said.Until = partyStart.Add(tc.until)
			p.says, p.saml().Skew = []any{said}, tc.skew
			if _, err := p.verify(t); err != nil || p.marks[mark(theirs, "_a1")] != tc.want {
				t.Error(err, p.marks, tc.want)
			}
		}
	})
	t.Run("SAML-29 without the store nothing is let through", func(t *testing.T) {
		p := newParty(t)
		p.markErr = errors.New("down")
		f := p.refused(t, failure.StoreUnavailable)
		if f.Facts["op"] != "mark" {
			t.Error(f.Facts)
		}
	})
	t.Run("SAML-29 it is spent before it is known whose it is", func(t *testing.T) {
		p, said := newParty(t), goodAssertion()
		said.NameID.Format = transient
		p.says = []any{said}
		p.refused(t, failure.SAMLNameID)
		p.refused(t, failure.SAMLReplay)
	})
}

func TestTraceOfAResponse(t *testing.T) {
	p := newParty(t)
	if _, err := p.verify(t); err != nil {
		t.Fatal(err)
	}
	if p.trace.MetadataDigest != "digest" || p.trace.ProviderHost != "idp.example" || p.trace.Issuer != theirs || len(p.trace.Steps) != 3 {
		t.Errorf("%+v", p.trace)
	}
	for _, s := range p.trace.Steps {
		if !s.OK {
			t.Error(s)
		}
	}
	p.idp.Redirect, p.idp.Post = "", "https://post.example:8443/sso"
	p.refused(t, failure.SAMLReplay)
	if p.trace.ProviderHost != "post.example" {
		t.Error(p.trace.ProviderHost)
	}
}

func TestAProviderNeedsItsDependencies(t *testing.T) {
	if _, err := samlsp.New(samlsp.Deps{}); err == nil {
		t.Error("a provider of nothing")
	}
}
