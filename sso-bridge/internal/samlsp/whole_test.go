// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// The keys of the identity provider: two that its metadata names, and one that it does not.
func theirKeys() (first, second, unknown spkeys.Signer) {
	keys := ourKeys()
	return keys[2], keys[3], keys[1]
}

func certificateText(keys ...spkeys.Signer) (out []string) {
	for _, k := range keys {
		out = append(out, base64.StdEncoding.EncodeToString(k.Certificate.Raw))
	}
	return out
}

// responds gives the party a response as a provider makes it at the time of its clock,
// whose assertion is signed, without a word of by which key.
func (p *party) responds(t *testing.T, by spkeys.Signer, subject, attributes string) {
	t.Helper()
	at := func(after time.Duration) string { return p.now.Add(after).UTC().Format("2006-01-02T15:04:05Z") }
	doc := etree.NewDocument()
	if err := doc.ReadFromString(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_r" Version="2.0" IssueInstant="` + at(0) + `" Destination="` + consumer + `" InResponseTo="` + requestID + `">` +
		`<saml:Issuer>` + theirs + `</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>` +
		`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a" Version="2.0" IssueInstant="` + at(0) + `"><saml:Issuer>` + theirs + `</saml:Issuer>` +
		`<saml:Subject>` + subject + `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="` + at(5*time.Minute) + `" Recipient="` + consumer + `" InResponseTo="` + requestID + `"/></saml:SubjectConfirmation></saml:Subject>` +
		`<saml:Conditions NotBefore="` + at(-time.Minute) + `" NotOnOrAfter="` + at(5*time.Minute) + `"><saml:AudienceRestriction><saml:Audience>` + ours + `</saml:Audience></saml:AudienceRestriction></saml:Conditions>` +
		`<saml:AuthnStatement AuthnInstant="` + at(-time.Minute) + `"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>` +
		`<saml:AttributeStatement>` + attributes + `</saml:AttributeStatement></saml:Assertion></samlp:Response>`); err != nil {
		t.Fatal(err)
	}
	assertion := doc.Root().SelectElement("Assertion")
	c, err := dsig.NewSigningContext(by.Private, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	signature, err := c.ConstructSignature(assertion, true)
	if err != nil {
		t.Fatal(err)
	}
	signature.RemoveChild(signature.SelectElement("KeyInfo"))
	assertion.InsertChildAt(1, signature)
	text, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	p.answer.Message = secret.New(base64.StdEncoding.EncodeToString(text))
}

const (
	aNameID     = `<saml:NameID Format="` + persistent + `">u-1</saml:NameID>`
	someDetails = `<saml:Attribute Name="email"><saml:AttributeValue>ada@corp.example</saml:AttributeValue></saml:Attribute>`
)

// whole is a party with the real reader.
func whole(t *testing.T, known ...spkeys.Signer) *party {
	t.Helper()
	p := newParty(t)
	p.ReadWith(samlsp.Read)
	p.idp.Certificates = certificateText(known...)
	p.changed = p.idp
	return p
}

func TestWholeResponses(t *testing.T) {
	first, second, unknown := theirKeys()
	accepted := func(t *testing.T, p *party) {
		t.Helper()
		c, err := p.verify(t)
		if err != nil || c.Subject != "u-1" || c.Issuer != theirs || len(c.Emails) != 1 {
			t.Fatalf("%+v %v", c, err)
		}
	}
	t.Run("SAML-53 SSO-61 two certificates and no KeyInfo: either key signs", func(t *testing.T) {
		for _, by := range []spkeys.Signer{first, second} {
			p := whole(t, first, second)
			p.responds(t, by, aNameID, someDetails)
			accepted(t, p)
			if p.refetched != 0 || p.trace.CertificateExpired {
				t.Error(p.refetched)
			}
		}
	})
	t.Run("SAML-54 SSO-61 a certificate that is over is accepted with a warning, or refused as configured", func(t *testing.T) {
		p := whole(t, first)
		p.now = first.NotAfter.Add(time.Hour)
		p.answer.Material.RequestedAt = p.now.Add(-time.Minute)
		p.responds(t, first, aNameID, someDetails)
		accepted(t, p)
		if !p.trace.CertificateExpired {
			t.Error("no warning")
		}
		p.saml().ExpiredCertificates = connection.ExpiredRefuse
		p.refused(t, failure.SAMLCertificateExpired)
	})
	t.Run("SSO-61 an unknown key: refetched, and accepted when the metadata names it now", func(t *testing.T) {
		p := whole(t, first)
		p.changed.Certificates = certificateText(first, second)
		p.responds(t, second, aNameID, someDetails)
		accepted(t, p)
		if p.refetched != 1 {
			t.Error(p.refetched)
		}
	})
	t.Run("SSO-61 an unknown key: refetched once, then refused", func(t *testing.T) {
		p := whole(t, first)
		p.changed.Certificates = certificateText(first, second)
		p.responds(t, unknown, aNameID, someDetails)
		f := p.refused(t, failure.SAMLSignatureInvalid)
		if p.refetched != 1 || f.Facts["metadata_age"] != "3h0m0s" || f.Facts["fingerprints_tried"] == "" {
			t.Error(p.refetched, f.Facts)
		}
		if len(p.trace.SignedParts) > 1 || len(p.trace.Algorithms) > 2 {
			t.Error("the second reading added to the trace of the first", p.trace.SignedParts, p.trace.Algorithms)
		}
	})
	t.Run("SAML-29 the same response a second time", func(t *testing.T) {
		p := whole(t, first)
		p.responds(t, first, aNameID, someDetails)
		accepted(t, p)
		p.refused(t, failure.SAMLReplay)
	})
	for _, tc := range []struct {
		name, subject, attributes string
		want                      failure.Code
	}{
		{"a transient NameID", strings.Replace(aNameID, "persistent", "transient", 1), someDetails, failure.SAMLNameID},
		{"no NameID", "", someDetails, failure.SAMLNameID},
		{"a padded NameID", strings.Replace(aNameID, "u-1", " u-1", 1), someDetails, failure.SAMLNameID},
		{"a NameID of another name space", strings.Replace(aNameID, "Format", `NameQualifier="urn:x" Format`, 1), someDetails, failure.SAMLNameID},
		{"a subject of two values", aNameID, someDetails + strings.Replace(strings.Replace(someDetails, "email", "uid", 1), "</saml:Attribute>", "<saml:AttributeValue>x</saml:AttributeValue></saml:Attribute>", 1), failure.SAMLAttribute},
	} {
		t.Run("SSO-76 "+tc.name, func(t *testing.T) {
			p := whole(t, first)
			if tc.want == failure.SAMLAttribute {
				p.config().Claims.Subject = "uid"
			}
			p.responds(t, first, tc.subject, tc.attributes)
			p.refused(t, tc.want)
		})
	}
	t.Run("what the policy demands", func(t *testing.T) {
		p := whole(t, first)
		p.responds(t, first, aNameID, someDetails)
		p.saml().Signed = connection.SignedResponse
		if _, err := p.verify(t); !errors.Is(err, failure.New(failure.SAMLSignatureMissing)) {
			t.Error(err)
		}
	})
}
