// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/attacktest"
)

// alone is the library without our reader before it, configured as its documentation
// says. It gives who signs in, or that it panicked.
func alone(a attacktest.Attack) (verdict attacktest.Library, name string) {
	defer func() {
		if recover() != nil {
			verdict = attacktest.Panics
		}
	}()
	text, err := base64.StdEncoding.DecodeString(a.Form)
	if err != nil {
		return attacktest.Refuses, ""
	}
	acs, _ := url.Parse(a.Terms.Consumer)
	keys := make([]saml.KeyDescriptor, len(a.Terms.Certificates))
	for i, c := range a.Terms.Certificates {
		keys[i] = saml.KeyDescriptor{Use: "signing", KeyInfo: saml.KeyInfo{X509Data: saml.X509Data{X509Certificates: []saml.X509Certificate{{Data: base64.StdEncoding.EncodeToString(c.Raw)}}}}}
	}
	sp := saml.ServiceProvider{
		EntityID: a.Terms.Audience, AcsURL: *acs, Key: attacktest.Ours().Signer, Certificate: attacktest.Ours().Certificate,
		IDPMetadata: &saml.EntityDescriptor{EntityID: a.Terms.Issuer, IDPSSODescriptors: []saml.IDPSSODescriptor{{SSODescriptor: saml.SSODescriptor{RoleDescriptor: saml.RoleDescriptor{KeyDescriptors: keys}}}}},
	}
	assertion, err := sp.ParseXMLResponse(text, []string{a.Terms.RequestID}, *acs)
	if err != nil {
		return attacktest.Refuses, ""
	}
	if assertion.Subject != nil && assertion.Subject.NameID != nil {
		name = assertion.Subject.NameID.Value
	}
	return attacktest.Accepts, name
}

// libraryAt sets the clocks of the library, which are of its package.
func libraryAt(t *testing.T, now time.Time) {
	wasNow, wasClock := saml.TimeNow, saml.Clock
	t.Cleanup(func() { saml.TimeNow, saml.Clock = wasNow, wasClock })
	saml.TimeNow = func() time.Time { return now }
	saml.Clock = dsig.NewFakeClockAt(now)
}

// daggers are the ids that docs/specs/v1.0/server/security.md marks with a dagger and that
// are about messages: without our reader the attack goes through, or ends the process.
const daggers = "03 07 08 09 12 13 14 15 16 20 21 23 24 25 26 27 28 31 36 37 40 41 42 43 44 46 48 50 51 53"

// The rows that say so are let through, or end the process, where the library stands
// alone: for these our reader is the only guard. Every id of daggers has such a row.
func TestTheLibraryAlone(t *testing.T) {
	libraryAt(t, attacktest.Now)
	read, shown, outcomes := 0, map[string]bool{}, map[attacktest.Library]int{}
	for _, a := range corpus().attacks {
		if len(a.Form) > 64<<10 || a.Want != "" && a.Library == "" && !testing.Verbose() {
			continue // it takes seconds over the long ones, and the others are for the count below
		}
		got, name := alone(a)
		if a.Library != "" && got != a.Library {
			t.Errorf("%s: the library alone %s, and the corpus says that it %s", a.Name, got, a.Library)
		}
		if a.Library != "" {
			for _, id := range strings.Fields(a.Name) {
				shown[id] = true
			}
		}
		if a.Want == "" {
			if got == attacktest.Accepts && name == unescaped(a.NameID) {
				read++
			}
			continue
		}
		outcomes[got]++
	}
	for _, n := range strings.Fields(daggers) {
		if !shown["SAML-"+n] {
			t.Errorf("no row of SAML-%s shows what the library does alone", n)
		}
	}
	if read < 50 {
		t.Errorf("the library reads %d of the genuine messages: is it configured?", read)
	}
	t.Logf("of the messages that we refuse the library accepts %d, panics on %d and refuses %d", outcomes[attacktest.Accepts], outcomes[attacktest.Panics], outcomes[attacktest.Refuses])
}
