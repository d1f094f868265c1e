// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"reflect"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// sampleAssertion is what the sample says.
var sampleAssertion = Assertion{
	ID: "_assertion", Issuer: testIssuer,
	NameID:       NameID{Value: "alice-1", Format: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"},
	Attributes:   []Attribute{{Name: "email", Values: []string{"alice@corp.test"}}, {Name: "groups", Values: []string{"eng", "admins"}}},
	AuthnInstant: time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC),
	Context:      "urn:oasis:names:tc:SAML:2.0:ac:classes:Password",
	Until:        time.Date(2026, 3, 4, 10, 5, 0, 0, time.UTC),
}

// TestSigned goes through the four policies and the four shapes.
func TestSigned(t *testing.T) {
	shapes := map[string]string{"nothing": encoded(t, element(t, sampleText)), "assertion": signedAssertion(t, sampleText), "response": signedResponse(t, sampleText)}
	both := element(t, sampleText)
	sign(t, assertionOf(t, both), signing{keyInfo: true})
	sign(t, both, signing{keyInfo: true})
	shapes["both"] = encoded(t, both)
	for policy, enough := range map[string][]string{
		connection.SignedEither:    {"assertion", "response", "both"},
		connection.SignedAssertion: {"assertion", "both"},
		connection.SignedResponse:  {"response", "both"},
		connection.SignedBoth:      {"both"},
	} {
		for shape, response := range shapes {
			t.Run("SSO-59 SAML-18 policy "+policy+", signed "+shape, func(t *testing.T) {
				e := expected()
				e.Signed = policy
				for _, s := range enough {
					if s == shape {
						a, _ := accepted(t, response, e)
						if !reflect.DeepEqual(a, sampleAssertion) {
							t.Fatalf("read %+v", a)
						}
						return
					}
				}
				f := refusal(t, response, e, failure.SAMLSignatureMissing)
				if f.Facts["policy"] != policy {
					t.Fatalf("facts %v", f.Facts)
				}
			})
		}
	}
}
