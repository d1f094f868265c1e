// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// maxAllocated is what one message may cost in memory, all in all.
const maxAllocated = 20 << 20

// TestBudget reads the dearest messages that are taken whole: signed twice, at the limits
// of size, elements and declarations, by the last of as many certificates as there may be.
func TestBudget(t *testing.T) {
	e := expected()
	for len(e.Certificates) < idpmetadata.MaxCertificates {
		e.Certificates = append([]*x509.Certificate{certify(otherKey().key, false).cert}, e.Certificates...)
	}
	room := 192<<10 - len(sampleText) - 4000 // signatures and certificates
	var spaces, used strings.Builder
	for i := range 58 { // of 64; the sample and its signatures have six
		if i == 29 {
			spaces.WriteString(`><e`) // 32 attributes are the most of one element
		}
		fmt.Fprintf(&spaces, ` xmlns:n%d="urn:n"`, i)
	}
	for i := range 1000 {
		fmt.Fprintf(&used, `<n%d:e/>`, i%58)
	}
	const end = `</saml:Assertion>`
	const conditions = `</saml:Conditions>`
	for name, text := range map[string]string{
		"SAML-48 one long value":               replaced(t, "alice@corp.test", strings.Repeat("x", room)),
		"SAML-48 one long value of references": replaced(t, "alice@corp.test", strings.Repeat("&amp;", room/5)),
		"SAML-48 1000 values": replaced(t, end, `<saml:AttributeStatement><saml:Attribute Name="x">`+
			strings.Repeat(`<saml:AttributeValue>`+strings.Repeat("x", room/1000-50)+`</saml:AttributeValue>`, 990)+`</saml:Attribute></saml:AttributeStatement>`+end),
		"SAML-48 as many elements as may be": replaced(t, conditions, conditions+`<saml:Advice>`+
			strings.Repeat(`<x:e xmlns:x="urn:x" a="`+strings.Repeat("x", 60)+`"/>`, 55)+strings.Repeat(`<e a="`+strings.Repeat("x", 70)+`"/>`, 1880)+`</saml:Advice>`),
		"SAML-48 as many namespaces as may be, in as many elements": replaced(t, conditions, conditions+`<saml:Advice`+spaces.String()+`>`+used.String()+`</e></saml:Advice>`),
	} {
		t.Run(name, func(t *testing.T) {
			root := element(t, text)
			sign(t, assertionOf(t, root), signing{keyInfo: true})
			sign(t, root, signing{keyInfo: true})
			response := encoded(t, root)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Read(response, e, testNow, &login.Trace{})
			runtime.ReadMemStats(&after)
			used := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d KiB of base64: %d KiB allocated", len(response)>>10, used>>10)
			if err != nil {
				t.Fatal(err)
			}
			if used > maxAllocated {
				t.Fatalf("%d bytes allocated, want at most %d", used, maxAllocated)
			}
		})
	}
	t.Run("SAML-48 what is longer costs nothing", func(t *testing.T) {
		long := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("<a/>", 1<<20)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Read(long, expected(), testNow, &login.Trace{})
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; err == nil || used > 64<<10 {
			t.Fatalf("%d bytes allocated, %v", used, err)
		}
	})
}
