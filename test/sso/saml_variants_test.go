// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	adfsClaims  = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
	rsaSHA256   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	rsaSHA1     = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
	unspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
	transientID = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
)

// What the person reads.
const (
	notAcceptable  = "something we cannot accept"
	unsolicited    = "start from our sign-in page"
	mailNotAllowed = "did not send an e-mail address we can accept"
)

// variant is one way in which a provider can be set up for one of our connections, and
// what it comes to: an empty code for a person who signs in.
type variant struct {
	id   string
	set  settings // switches of SimpleSAMLphp's service, options of samlp
	saml []string
	code string
	// provider differs of SimpleSAMLphp's provider; person is alice when empty.
	provider settings
	person   string
}

// Every switch of SimpleSAMLphp and samlp that makes a difference, each with a connection
// and a provider of its own, on one server of each.
func TestSAMLProviderVariants(t *testing.T) {
	t.Parallel()
	in := newInstall(t, plan{})
	php := newSimpleSAMLphp(t)
	_, cert := signingKey(t)
	encrypting := settings{"assertion.encryption": true, "keys": []settings{{"type": "X509Certificate", "signing": true, "encryption": true, "X509Certificate": derOf(t, cert)}}}
	over := php.keyUntil("over", time.Now().Add(-24*time.Hour))
	expired := settings{"privatekey": over + ".key", "certificate": over + ".crt"}
	ofPHP := []variant{
		{id: "plain"},
		{id: "assertion-signed", set: settings{"saml20.sign.response": false}},
		{id: "response-signed", set: settings{"saml20.sign.assertion": false}},
		{id: "unsigned", set: settings{"saml20.sign.response": false, "saml20.sign.assertion": false}, code: "saml_signature_missing"},
		{id: "want-both", set: settings{"saml20.sign.response": false}, saml: []string{"signed: both"}, code: "saml_signature_missing"},
		{id: "want-assertion", set: settings{"saml20.sign.assertion": false}, saml: []string{"signed: assertion"}, code: "saml_signature_missing"},
		// It names others beside us, in one restriction.
		{id: "audience", set: settings{"audience": []string{"https://other.example"}}},
		{id: "sha1", set: settings{"signature.algorithm": rsaSHA1}, code: "saml_weak_algorithm"},
		{id: "encrypted", set: encrypting, code: "saml_encryption_disabled"},
		// Three seconds are enough for a form that posts itself.
		{id: "short", set: settings{"assertion.lifetime": 3}},
		{id: "transient", set: settings{"NameIDFormat": transientID}, provider: settings{"NameIDFormat": transientID, "authproc": settings{}}, code: "saml_name_id"},
		{id: "attribute", saml: []string{"subject: { attribute: uid }"}, set: settings{"NameIDFormat": transientID}, provider: settings{"NameIDFormat": transientID, "authproc": settings{}}},
		{id: "twins", person: "twins", code: "email_ambiguous"},
		{id: "two-ids", person: "twins", saml: []string{"subject: { attribute: ids }"}, code: "saml_attribute_ambiguous"},
		{id: "expired", provider: expired},
		{id: "expired-refused", provider: expired, saml: []string{"expired_certificates: refuse"}, code: "saml_certificate_expired"},
	}
	ofSamlp := []variant{
		{id: "adfs"},
		{id: "both", set: settings{"signResponse": true}, saml: []string{"signed: both"}},
		{id: "response", set: settings{"signResponse": true, "signAssertion": false}, saml: []string{"signed: response"}},
		{id: "none", set: settings{"signAssertion": false}, code: "saml_signature_missing"},
		{id: "gcm", set: encryptTo(t), code: "saml_encryption_disabled"},
		{id: "weak", set: settings{"signatureAlgorithm": "rsa-sha1", "digestAlgorithm": "sha1"}, code: "saml_weak_algorithm"},
		{id: "digest", set: settings{"digestAlgorithm": "sha1"}, code: "saml_weak_algorithm"},
		{id: "name", saml: []string{"subject: name_id"}, code: "saml_name_id"},
		{id: "unspecified", saml: []string{"subject: name_id", "subject_formats: [unspecified]"}, set: settings{"nameIdentifierFormat": unspecified}},
		{id: "other-audience", set: settings{"audience": "https://other.example"}, code: "saml_audience_mismatch"},
		{id: "destination", set: settings{"destination": "https://other.example/acs"}, code: "saml_destination_mismatch"},
		{id: "recipient", set: settings{"recipient": "https://other.example/acs"}, code: "saml_recipient_mismatch"},
		{id: "long", set: settings{"lifetimeInSeconds": 7200}, code: "saml_lifetime"},
		{id: "fails", set: settings{"fails": true}, code: "saml_status"},
		{id: "loses", set: settings{"loses": true}, code: "saml_unsolicited"},
		{id: "post", set: settings{"postOnly": true}},
	}
	options := map[string]settings{}
	for _, v := range ofSamlp {
		options[v.id] = settings{}
		maps.Copy(options[v.id], v.set)
	}
	npm := newSamlp(t, in, options)
	var all []string
	for _, v := range ofPHP {
		php.providers[v.id] = v.provider
		php.serves(in, v.id, v.set)
		all = append(all, samlConnection(v.id, php.metadata(v.id), v.saml))
	}
	for _, v := range ofSamlp {
		if !strings.Contains(strings.Join(v.saml, " "), "subject:") {
			v.saml = append(v.saml, "subject: { attribute: "+adfsClaims+"nameidentifier }")
		}
		all = append(all, samlConnection(v.id, npm.metadata(v.id), v.saml, "claims: { email: "+adfsClaims+"emailaddress, name: "+adfsClaims+"name }"))
	}
	ofLibrary := []variant{{id: "library"}, {id: "library-default", code: "saml_weak_algorithm"}} // which is SHA-1
	var register []func(*install)
	for _, v := range ofLibrary {
		method := rsaSHA256
		if v.code != "" {
			method = ""
		}
		address, serves := newSamlidp(t, v.id, method)
		register = append(register, serves)
		all = append(all, samlConnection(v.id, address+"/metadata", []string{"subject: { attribute: urn:oid:0.9.2342.19200300.100.1.1 }"},
			"claims: { email: urn:oid:0.9.2342.19200300.100.1.3, name: urn:oid:2.5.4.3 }"))
	}
	in.configure(all...)
	for _, serves := range register {
		serves(in)
	}

	judge := func(t *testing.T, v variant, answer *page, w *waiting) {
		p := answer.submit("/sso/saml/acs/")
		if v.code == "" {
			p.must(http.StatusOK, "Alice Liddell").submit("approve-external").must(http.StatusOK, "Device connected")
			return
		}
		sentence, ok := map[string]string{"saml_unsolicited": unsolicited, "email_ambiguous": mailNotAllowed}[v.code]
		if !ok {
			sentence = notAcceptable
		}
		if !strings.Contains(p.body, sentence) {
			t.Errorf("the page does not say %q:\n%s", sentence, p.body)
		}
		in.explained(p, v.code)
		w.pending()
	}
	for _, v := range ofPHP {
		t.Run("SSO-64 SimpleSAMLphp "+v.id, func(t *testing.T) {
			w, b := in.client(v.id), newBrowser(t)
			person := v.person
			if person == "" {
				person = "alice"
			}
			judge(t, v, w.typed(b, "x@"+v.id+".test").signIn(person), w)
		})
	}
	for _, v := range ofSamlp {
		t.Run("SSO-64 samlp "+v.id, func(t *testing.T) {
			w, b := in.client(v.id), newBrowser(t)
			p := w.typed(b, "x@"+v.id+".test")
			if v.id == "post" { // a page of ours that posts the request
				if strings.Contains(p.body, "SAMLResponse") {
					t.Fatal("the request went by redirect")
				}
				p = p.must(http.StatusOK, "SAMLRequest").submit(npm.url)
			}
			judge(t, v, p.must(http.StatusOK, "SAMLResponse"), w)
		})
	}
	for _, v := range ofLibrary {
		t.Run("SSO-64 samlidp "+v.id, func(t *testing.T) {
			w := in.client(v.id)
			judge(t, v, throughSamlidp(w.typed(newBrowser(t), "x@"+v.id+".test")), w)
		})
	}
	t.Run("SSO-64 SAML-32 begun in the provider's portal, RelayState an address", func(t *testing.T) {
		b := newBrowser(t)
		q := url.Values{"spentityid": {in.serviceEntity("plain")}, "RelayState": {"https://evil.example/"}}
		p := b.open(php.base("plain") + "saml2/idp/SSOService.php?" + q.Encode()).signIn("alice").submit("/sso/saml/acs/")
		for _, hop := range b.visited {
			if hop.Hostname() == "evil.example" {
				t.Errorf("led to %s", hop)
			}
		}
		if strings.Contains(p.body, "evil.example") || strings.Contains(p.body, "Alice Liddell") {
			t.Errorf("the page says\n%s", p.body)
		}
		in.explained(p, "saml_unsolicited")
	})
}
