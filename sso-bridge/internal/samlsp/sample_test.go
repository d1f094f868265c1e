// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// The names of the sample: a provider, us, a request.
const (
	testIssuer   = "https://idp.corp.test/metadata"
	testAudience = "https://sso.dify.test/sso/saml/metadata/corp"
	testConsumer = "https://sso.dify.test/sso/saml/acs/corp"
	testRequest  = "_req0123456789abcdef0123456789abcdef"
)

var testNow = time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)

// keyPair is a key and a certificate of it.
type keyPair struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// certify makes a certificate that is valid around testNow, or ended a day before.
func certify(key crypto.Signer, over bool) keyPair {
	end := testNow.AddDate(1, 0, 0)
	if over {
		end = testNow.AddDate(0, 0, -1)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: testNow.AddDate(-1, 0, 0), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return keyPair{key, cert}
}

func rsaKey(bits int) func() keyPair {
	return sync.OnceValue(func() keyPair {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		return certify(key, false)
	})
}

func ecKey(curve elliptic.Curve) func() keyPair {
	return sync.OnceValue(func() keyPair {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		return certify(key, false)
	})
}

// The keys of the package, each made once.
var (
	idpKey   = rsaKey(2048)
	otherKey = rsaKey(2048)
	weakKey  = rsaKey(1024)
	p256Key  = ecKey(elliptic.P256())
	p384Key  = ecKey(elliptic.P384())
	p521Key  = ecKey(elliptic.P521())
)

// sampleText is a response as a provider makes it, without signatures.
const sampleText = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ` +
	`ID="_resp" Version="2.0" IssueInstant="2026-03-04T10:00:00Z" Destination="` + testConsumer + `" InResponseTo="` + testRequest + `">` +
	`<saml:Issuer>` + testIssuer + `</saml:Issuer>` +
	`<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>` +
	`<saml:Assertion xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="_assertion" Version="2.0" IssueInstant="2026-03-04T10:00:00Z">` +
	`<saml:Issuer>` + testIssuer + `</saml:Issuer>` +
	`<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">alice-1</saml:NameID>` +
	`<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="2026-03-04T10:05:00Z" Recipient="` + testConsumer + `" InResponseTo="` + testRequest + `"/></saml:SubjectConfirmation></saml:Subject>` +
	`<saml:Conditions NotBefore="2026-03-04T09:59:30Z" NotOnOrAfter="2026-03-04T10:05:00Z"><saml:AudienceRestriction><saml:Audience>` + testAudience + `</saml:Audience></saml:AudienceRestriction></saml:Conditions>` +
	`<saml:AuthnStatement AuthnInstant="2026-03-04T09:30:00Z" SessionNotOnOrAfter="2026-03-04T18:00:00Z" SessionIndex="_s"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>` +
	`<saml:AttributeStatement><saml:Attribute Name="email" FriendlyName="mail"><saml:AttributeValue xsi:type="xs:string">alice@corp.test</saml:AttributeValue></saml:Attribute>` +
	`<saml:Attribute Name="groups"><saml:AttributeValue xsi:type="xs:string">eng</saml:AttributeValue><saml:AttributeValue xsi:type="xs:string">admins</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>` +
	`</saml:Assertion></samlp:Response>`

// signing says how one signature is made; its zero value is the usual way.
type signing struct {
	by       func() keyPair
	method   string // the end of its URI, "rsa-sha256" for none
	digest   string // the whole URI
	hash     crypto.Hash
	prefixes string // a PrefixList
	list     bool   // write the PrefixList though it is empty
	keyInfo  bool
	value    func([]byte) []byte  // changes the value before it is written
	edit     func(*etree.Element) // changes the ds:Signature before it is signed
}

const sha256URI = "http://www.w3.org/2001/04/xmlenc#sha256"

// sign puts a signature into an element, after its Issuer.
func sign(t testing.TB, el *etree.Element, o signing) {
	t.Helper()
	if o.by == nil {
		o.by = idpKey
	}
	if o.method == "" {
		o.method = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	}
	if o.digest == "" {
		o.digest = sha256URI
	}
	if o.hash == 0 {
		o.hash = crypto.SHA256
	}
	digested := o.hash
	if o.digest == sha256URI {
		digested = crypto.SHA256
	}
	canonical, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(o.prefixes).Canonicalize(detached(el))
	if err != nil {
		t.Fatal(err)
	}
	h := digested.New()
	h.Write(canonical)
	list := ""
	if o.prefixes != "" || o.list {
		list = `<ec:InclusiveNamespaces xmlns:ec="` + exclusiveSpace + `" PrefixList="` + o.prefixes + `"/>`
	}
	id, _ := attribute(el, "ID")
	sig := element(t, `<ds:Signature xmlns:ds="`+signatureSpace+`"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="`+exclusive+`"/>`+
		`<ds:SignatureMethod Algorithm="`+o.method+`"/><ds:Reference URI="#`+id+`"><ds:Transforms><ds:Transform Algorithm="`+enveloped+`"/>`+
		`<ds:Transform Algorithm="`+exclusive+`">`+list+`</ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="`+o.digest+`"/><ds:DigestValue>`+
		base64.StdEncoding.EncodeToString(h.Sum(nil))+`</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue/></ds:Signature>`)
	if o.edit != nil {
		o.edit(sig)
	}
	info := sig.ChildElements()[0].Copy()
	info.CreateAttr("xmlns:ds", signatureSpace)
	signed, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("").Canonicalize(info)
	if err != nil {
		t.Fatal(err)
	}
	h = o.hash.New()
	h.Write(signed)
	value, err := o.by().key.Sign(rand.Reader, h.Sum(nil), o.hash)
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := o.by().key.(*ecdsa.PrivateKey); ok {
		value = sideBySide(t, value, (key.Curve.Params().BitSize+7)/8)
	}
	if o.value != nil {
		value = o.value(value)
	}
	sig.FindElement("./SignatureValue").SetText(base64.StdEncoding.EncodeToString(value))
	if o.keyInfo {
		sig.AddChild(element(t, `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>`+base64.StdEncoding.EncodeToString(o.by().cert.Raw)+`</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`))
	}
	el.InsertChildAt(1, sig)
}

// detached is a copy that declares what the element inherits.
func detached(el *etree.Element) *etree.Element {
	c := el.Copy()
	for prefix, space := range declarations(el) {
		if prefix == "" {
			c.CreateAttr("xmlns", space)
		} else {
			c.CreateAttr("xmlns:"+prefix, space)
		}
	}
	return c
}

// sideBySide is the form of XML of an ECDSA signature in DER.
func sideBySide(t testing.TB, der []byte, size int) []byte {
	t.Helper()
	var n struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &n); err != nil {
		t.Fatal(err)
	}
	return append(n.R.FillBytes(make([]byte, size)), n.S.FillBytes(make([]byte, size))...)
}

// element reads one element.
func element(t testing.TB, s string) *etree.Element {
	t.Helper()
	d := etree.NewDocument()
	if err := d.ReadFromString(s); err != nil {
		t.Fatal(err)
	}
	return d.Root()
}

// assertionOf gives the assertion of a response.
func assertionOf(t testing.TB, root *etree.Element) *etree.Element {
	t.Helper()
	el, ok := onlyOf(root, assertionSpace, "Assertion")
	if !ok {
		t.Fatal("the sample has not one assertion")
	}
	return el
}

// encoded is an element as a form has it.
func encoded(t testing.TB, root *etree.Element) string {
	t.Helper()
	d := etree.NewDocument()
	d.SetRoot(root.Copy())
	d.WriteSettings.CanonicalAttrVal = true // a tab in a value as a reference to it
	text, err := d.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(text)
}

// replaced is the sample with texts exchanged: old, new, old, new. Each old one must be there.
func replaced(t testing.TB, pairs ...string) string {
	t.Helper()
	text := sampleText
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the sample holds no %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// signedAssertion signs the assertion of a text the usual way.
func signedAssertion(t testing.TB, text string) string {
	t.Helper()
	root := element(t, text)
	sign(t, assertionOf(t, root), signing{})
	return encoded(t, root)
}

// signedResponse signs the response of a text the usual way.
func signedResponse(t testing.TB, text string) string {
	t.Helper()
	root := element(t, text)
	sign(t, root, signing{})
	return encoded(t, root)
}

// expected is what the sample meets.
func expected() Expected {
	return Expected{
		Issuer: testIssuer, Certificates: []*x509.Certificate{idpKey().cert}, Audience: testAudience, Consumer: testConsumer,
		RequestID: testRequest, RequestedAt: testNow.Add(-time.Minute), Signed: connection.SignedEither, Skew: time.Minute,
	}
}

// accepted reads a response that must be in order.
func accepted(t testing.TB, response string, e Expected) (Assertion, login.Trace) {
	t.Helper()
	var trace login.Trace
	a, err := Read(response, e, testNow, &trace)
	if err != nil {
		t.Fatalf("refused: %v, facts %v", err, failure.Of(err).Facts)
	}
	return a, trace
}

// refused reads a response that must give a code.
func refused(t testing.TB, response string, e Expected, code failure.Code) {
	t.Helper()
	_ = refusal(t, response, e, code)
}

// refusal is refused and gives the failure.
func refusal(t testing.TB, response string, e Expected, code failure.Code) *failure.Error {
	t.Helper()
	a, err := Read(response, e, testNow, &login.Trace{})
	if err == nil {
		t.Fatalf("accepted, with NameID %q", a.NameID.Value)
	}
	f := failure.Of(err)
	if f.Code != code {
		t.Fatalf("code %s (facts %v, %v), want %s", f.Code, f.Facts, err, code)
	}
	return f
}
