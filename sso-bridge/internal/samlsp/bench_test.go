// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"encoding/base64"
	"net/url"
	"testing"
	"time"

	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// BenchmarkReader reads one response by Read and by the library's own reader in turn, in
// the same run, and reports how the rates compare.
func BenchmarkReader(b *testing.B) {
	root := element(b, sampleText)
	sign(b, assertionOf(b, root), signing{keyInfo: true})
	response := encoded(b, root)
	text, err := base64.StdEncoding.DecodeString(response)
	if err != nil {
		b.Fatal(err)
	}
	consumer, err := url.Parse(testConsumer)
	if err != nil {
		b.Fatal(err)
	}
	before := saml.TimeNow
	saml.TimeNow, saml.Clock = func() time.Time { return testNow }, dsig.NewFakeClockAt(testNow)
	defer func() { saml.TimeNow, saml.Clock = before, nil }()
	bare := saml.ServiceProvider{EntityID: testAudience, AcsURL: *consumer, IDPMetadata: &saml.EntityDescriptor{
		EntityID: testIssuer, IDPSSODescriptors: []saml.IDPSSODescriptor{{SSODescriptor: saml.SSODescriptor{RoleDescriptor: saml.RoleDescriptor{
			KeyDescriptors: []saml.KeyDescriptor{{Use: "signing", KeyInfo: saml.KeyInfo{X509Data: saml.X509Data{
				X509Certificates: []saml.X509Certificate{{Data: base64.StdEncoding.EncodeToString(idpKey().cert.Raw)}},
			}}}},
		}}}},
	}}
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := Read(response, expected(), testNow, &login.Trace{}); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		start = time.Now()
		if _, err := bare.ParseXMLResponse(text, []string{testRequest}, *consumer); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(start)
	}
	n := float64(b.N)
	b.ReportMetric(float64(ours.Microseconds())/n, "ours-µs/op")
	b.ReportMetric(float64(theirs.Microseconds())/n, "bare-µs/op")
	b.ReportMetric(float64(theirs)/float64(ours), "of-bare")
}

// BenchmarkRead is Read alone, for its allocations.
func BenchmarkRead(b *testing.B) {
	response := signedAssertion(b, sampleText)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(response, expected(), testNow, &login.Trace{}); err != nil {
			b.Fatal(err)
		}
	}
}
