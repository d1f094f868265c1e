// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// fixedKey is one key in every process, for a fuzzer's workers read what another signed.
var fixedKey = sync.OnceValue(func() keyPair {
	sum := sha256.Sum256([]byte("FuzzSAMLReader"))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
	if err != nil {
		panic(err)
	}
	return certify(key, false)
})

// FuzzSAMLReader alters genuine messages: a piece is cut out, another put in its place.
// Whatever is accepted says what the provider signed, to the last attribute.
func FuzzSAMLReader(f *testing.F) {
	fixed := signing{by: fixedKey, method: more + "ecdsa-sha256"}
	bare := strings.NewReplacer("<saml:", "<", "</saml:", "</", "xmlns:saml=", "xmlns=").Replace(sampleText)
	for _, text := range []string{sampleText, bare} {
		for _, shape := range []string{"assertion", "response", "both"} {
			root := element(f, text)
			if shape != "response" {
				sign(f, assertionOf(f, root), fixed)
			}
			if shape != "assertion" {
				sign(f, root, fixed)
			}
			message, err := base64.StdEncoding.DecodeString(encoded(f, root))
			if err != nil {
				f.Fatal(err)
			}
			name := strings.Index(string(message), "alice-1")
			f.Add(message, uint16(0), uint16(0), []byte(nil))
			f.Add(message, uint16(name), uint16(5), []byte("bob"))
			f.Add(message, uint16(name+3), uint16(0), []byte("<!-- -->"))
			f.Add(message, uint16(name+3), uint16(0), []byte("&#10;"))
			f.Add(message, uint16(strings.Index(string(message), "<samlp:Status>")), uint16(0), []byte(`<samlp:Extensions><saml:Assertion ID="_x"/></samlp:Extensions>`))
			f.Add(message, uint16(strings.Index(string(message), " ID=")), uint16(0), []byte(` xmlns="urn:x" id="_resp"`))
			f.Add(message, uint16(strings.Index(string(message), "<ds:SignatureValue")), uint16(0), []byte(`<ds:Object/>`))
		}
	}
	e := expected()
	e.Certificates = []*x509.Certificate{fixedKey().cert}
	f.Fuzz(func(t *testing.T, message []byte, at, cut uint16, graft []byte) {
		from := min(int(at), len(message))
		to := min(from+int(cut), len(message))
		text := string(message[:from]) + string(graft) + string(message[to:])
		a, err := Read(base64.StdEncoding.EncodeToString([]byte(text)), e, testNow, &login.Trace{})
		if err != nil {
			if code := failure.Of(err).Code; !strings.HasPrefix(string(code), "saml_") {
				t.Fatalf("%s: %v", code, err)
			}
			return
		}
		if !reflect.DeepEqual(a, sampleAssertion) {
			t.Fatalf("accepted %+v", a)
		}
	})
}
