// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// requestText takes the XML out of a request and wants our relay state beside it.
func requestText(t *testing.T, d login.Destination) []byte {
	t.Helper()
	encoded, relay := "", ""
	if d.Post == nil {
		u, err := url.Parse(d.URL)
		if err != nil {
			t.Fatal(err)
		}
		encoded, relay = u.Query().Get("SAMLRequest"), u.Query().Get("RelayState")
	}
	for _, f := range d.Post {
		switch f.Name {
		case "SAMLRequest":
			encoded = f.Value.Reveal()
		case "RelayState":
			relay = f.Value.Reveal()
		default:
			t.Errorf("a field %s", f.Name)
		}
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil && d.Post == nil {
		text, err = io.ReadAll(flate.NewReader(bytes.NewReader(text)))
	}
	if err != nil || relay != handle {
		t.Fatal(err, relay)
	}
	return text
}

func requestTree(t *testing.T, d login.Destination) *etree.Element {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(requestText(t, d)); err != nil {
		t.Fatal(err)
	}
	return doc.Root()
}

// signedBy reports whether the key of a certificate has signed a request, as a provider
// finds out: by the octets of the query, or by the signature in the document.
func signedBy(t *testing.T, d login.Destination, c *x509.Certificate) bool {
	t.Helper()
	if d.Post != nil {
		v := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}})
		v.Clock = dsig.NewFakeClockAt(partyStart)
		el, err := v.Validate(requestTree(t, d))
		return err == nil && el.SelectAttrValue("ID", "") == requestID
	}
	_, query, _ := strings.Cut(d.URL, "?")
	parts := map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if _, twice := parts[name]; twice {
			t.Errorf("%s stands twice", name)
		}
		parts[name] = part
	}
	if parts["SigAlg"] != "SigAlg="+url.QueryEscape("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256") {
		t.Error(parts["SigAlg"])
	}
	escaped, err := url.QueryUnescape(strings.TrimPrefix(parts["Signature"], "Signature="))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(escaped)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(parts["SAMLRequest"] + "&" + parts["RelayState"] + "&" + parts["SigAlg"]))
	return rsa.VerifyPKCS1v15(c.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], signature) == nil
}

// bindings runs a test on each binding.
func bindings(t *testing.T, name string, run func(t *testing.T, p *party, address string)) {
	t.Helper()
	t.Run(name+" on the redirect binding", func(t *testing.T) { run(t, newParty(t), ssoAddress) })
	t.Run(name+" on the POST binding", func(t *testing.T) {
		p := newParty(t)
		p.idp.Redirect = ""
		run(t, p, ssoAddress+"/post")
	})
}

func TestRequest(t *testing.T) {
	bindings(t, "SAML-58 has the attempt's id, our names and addresses, and no e-mail", func(t *testing.T, p *party, address string) {
		d := p.asked(t)
		el := requestTree(t, d)
		want := map[string]string{
			"ID": requestID, "Version": "2.0", "IssueInstant": "2026-11-27T12:00:00.123Z", "Destination": address,
			"AssertionConsumerServiceURL": consumer, "ProtocolBinding": "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST",
		}
		for _, a := range el.Attr {
			if value, ok := want[a.Key]; a.Space != "xmlns" && (!ok || value != a.Value) {
				t.Errorf("%s is %q", a.Key, a.Value)
			}
			delete(want, a.Key)
		}
		if len(want) != 0 || el.NamespaceURI() != "urn:oasis:names:tc:SAML:2.0:protocol" || el.Tag != "AuthnRequest" {
			t.Error("missing", want, el.Tag)
		}
		children := []string{}
		for _, c := range el.ChildElements() {
			children = append(children, c.FullTag())
		}
		order := []string{"saml:Issuer", "samlp:NameIDPolicy"}
		if d.Post != nil {
			order = slices.Insert(order, 1, "ds:Signature")
		}
		if !slices.Equal(children, order) || el.FindElement("./Issuer").Text() != ours {
			t.Error(children, el.FindElement("./Issuer").Text())
		}
		if policy := el.FindElement("./NameIDPolicy"); policy.SelectAttrValue("Format", "") != persistent || policy.SelectAttrValue("AllowCreate", "") != "true" || len(policy.Attr) != 2 {
			t.Error(policy.Attr)
		}
		if text := requestText(t, d); bytes.Contains(text, []byte("ada@")) || bytes.Contains(text, []byte(handle)) {
			t.Errorf("%s", text)
		}
		if !strings.HasPrefix(d.URL, address) || d.Post == nil == strings.HasSuffix(address, "/post") {
			t.Error(d.URL)
		}
	})

	bindings(t, "SAML-58 is signed by the current key, or the next one in a test of it", func(t *testing.T, p *party, _ string) {
		current, next := ourKeys()[0].Certificate, ourKeys()[1].Certificate
		if d := p.asked(t); !signedBy(t, d, current) || signedBy(t, d, next) {
			t.Error("not by the current key")
		}
		p.answer.NextKey = true
		if d := p.asked(t); signedBy(t, d, current) || !signedBy(t, d, next) {
			t.Error("not by the next key")
		}
	})

	t.Run("SAML-58 what was altered is not signed", func(t *testing.T) {
		p := newParty(t)
		d, c := p.asked(t), ourKeys()[0].Certificate
		d.URL = strings.Replace(d.URL, handle, strings.ToUpper(handle), 1)
		if signedBy(t, d, c) {
			t.Error("another relay state")
		}
		p.idp.Redirect = ""
		d = p.asked(t)
		altered := bytes.Replace(requestText(t, d), []byte(consumer), []byte("https://evil.example/acs"), 1)
		d.Post[0].Value = secret.New(base64.StdEncoding.EncodeToString(altered))
		if signedBy(t, d, c) {
			t.Error("another consumer address")
		}
	})

	bindings(t, "SAML-58 is signed by RSA-SHA256, the document under exclusive canonicalization", func(t *testing.T, p *party, _ string) {
		d := p.asked(t)
		if d.Post == nil {
			return // signedBy has seen to it
		}
		el := requestTree(t, d)
		for path, want := range map[string]string{
			"//SignatureMethod": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "//DigestMethod": "http://www.w3.org/2001/04/xmlenc#sha256",
			"//CanonicalizationMethod": "http://www.w3.org/2001/10/xml-exc-c14n#",
		} {
			if found := el.FindElements(path); len(found) != 1 || found[0].SelectAttrValue("Algorithm", "") != want {
				t.Error(path, found)
			}
		}
		if uri := el.FindElement("//Reference").SelectAttrValue("URI", ""); uri != "#"+requestID {
			t.Error(uri)
		}
	})

	bindings(t, "asks for a fresh sign-in when the attempt or the connection does", func(t *testing.T, p *party, _ string) {
		for _, c := range []struct{ attempt, connection bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
			p.answer.Material.ForceAuthn, p.config().ForceAuthn = c.attempt, c.connection
			want := ""
			if c.attempt || c.connection {
				want = "true"
			}
			if got := requestTree(t, p.asked(t)).SelectAttrValue("ForceAuthn", ""); got != want {
				t.Errorf("%v: %q", c, got)
			}
		}
	})

	bindings(t, "asks for authentication contexts only when they are configured", func(t *testing.T, p *party, _ string) {
		if el := requestTree(t, p.asked(t)).FindElement("./RequestedAuthnContext"); el != nil {
			t.Error("asked for nothing configured")
		}
		p.saml().Contexts = []string{"urn:one", "urn:two"}
		for comparison, want := range map[string]string{"": "exact", "exact": "exact", "minimum": "minimum"} {
			p.saml().Comparison = comparison
			d := p.asked(t)
			root := requestTree(t, d)
			children := root.ChildElements()
			asked := children[len(children)-1]
			var classes []string
			for _, c := range asked.SelectElements("AuthnContextClassRef") {
				classes = append(classes, c.Text())
			}
			if asked.Tag != "RequestedAuthnContext" || asked.SelectAttrValue("Comparison", "") != want || !slices.Equal(classes, []string{"urn:one", "urn:two"}) || !signedBy(t, d, ourKeys()[0].Certificate) {
				t.Error(comparison, asked.Tag, asked.Attr, classes)
			}
		}
	})

	t.Run("asks for no format of the NameID when none is configured", func(t *testing.T) {
		p := newParty(t)
		p.saml().NameIDFormat = ""
		if policy := requestTree(t, p.asked(t)).FindElement("./NameIDPolicy"); len(policy.Attr) != 1 || policy.SelectAttrValue("AllowCreate", "") != "true" {
			t.Error(policy.Attr)
		}
	})

	t.Run("names our configured entity id and the shared consumer service", func(t *testing.T) {
		p := newParty(t)
		p.saml().EntityID, p.answer.RedirectURI = "urn:corp:<&>", origin+"/sso/saml/acs"
		el := requestTree(t, p.asked(t))
		if el.FindElement("./Issuer").Text() != "urn:corp:<&>" || el.SelectAttrValue("AssertionConsumerServiceURL", "") != origin+"/sso/saml/acs" {
			t.Error(el.FindElement("./Issuer").Text())
		}
	})
}

func TestAddressOfTheProvider(t *testing.T) {
	for _, tc := range []struct {
		name, address, begins string
		refused               bool
	}{
		{"without parameters", "https://idp.example/sso", "https://idp.example/sso?SAMLRequest=", false},
		{"with parameters, which are not signed", "https://idp.example/sso?idpid=C01%2f&x", "https://idp.example/sso?idpid=C01%2f&x&SAMLRequest=", false},
		{"with an empty query", "https://idp.example/sso?", "https://idp.example/sso?SAMLRequest=", false},
		{"with an open end", "https://idp.example/sso?a=b&", "https://idp.example/sso?a=b&SAMLRequest=", false},
		{"with a request of its own", "https://idp.example/sso?SAMLRequest=x", "", true},
		{"with a relay state of its own", "https://idp.example/sso?a=b&RelayState=x", "", true},
		{"with a signature of its own", "https://idp.example/sso?Sig%6Eature=x", "", true},
		{"with a fragment", "https://idp.example/sso#here", "", true},
		{"that is none", "https://idp.example/%zz", "", true},
	} {
		t.Run("SAML-58 an address "+tc.name, func(t *testing.T) {
			p := newParty(t)
			p.idp.Redirect = tc.address
			d, err := p.Address(t.Context(), p.answer.Request)
			if tc.refused {
				if f := failure.Of(err); f.Code != failure.SAMLMetadata {
					t.Error(err, d.URL)
				}
				return
			}
			if err != nil || !strings.HasPrefix(d.URL, tc.begins) || !signedBy(t, d, ourKeys()[0].Certificate) {
				t.Error(err, d.URL)
			}
			if el := requestTree(t, d); el.SelectAttrValue("Destination", "") != tc.address {
				t.Error(el.SelectAttrValue("Destination", ""))
			}
		})
	}
}

func TestNoRequest(t *testing.T) {
	down := failure.New(failure.SAMLMetadata)
	for name, tc := range map[string]struct {
		edit func(p *party)
		want failure.Code
	}{
		"another protocol":                {func(p *party) { p.config().SAML = nil }, failure.Internal},
		"no handle":                       {func(p *party) { p.answer.State = secret.Text{} }, failure.Internal},
		"no request id":                   {func(p *party) { p.answer.Material.RequestID = "" }, failure.Internal},
		"no metadata":                     {func(p *party) { p.loadErr = down }, failure.SAMLMetadata},
		"no address":                      {func(p *party) { p.idp.Redirect, p.idp.Post = "", "" }, failure.SAMLMetadata},
		"no store":                        {func(p *party) { p.keyErr = fault.ErrUnavailable.Because(errors.New("down")) }, failure.StoreUnavailable},
		"a key that does not open":        {func(p *party) { p.keyErr = fault.ErrInternal }, failure.Internal},
		"the staged key is none any more": {func(p *party) { p.keyErr = spkeys.ErrNoNext }, failure.ConnectionChanged},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParty(t)
			tc.edit(p)
			d, err := p.Address(t.Context(), p.answer.Request)
			if failure.Of(err).Code != tc.want || d.URL != "" {
				t.Error(err, d.URL)
			}
		})
	}
}

// provider is the other side of the library: it knows our metadata as it parses it.
type provider struct{ metadata *saml.EntityDescriptor }

// GetServiceProvider implements saml.ServiceProviderProvider.
func (s provider) GetServiceProvider(_ *http.Request, id string) (*saml.EntityDescriptor, error) {
	if id != s.metadata.EntityID {
		return nil, os.ErrNotExist
	}
	return s.metadata, nil
}

func TestAProviderTakesTheRequest(t *testing.T) {
	bindings(t, "SAML-58 a provider that knows our metadata takes the request", func(t *testing.T, p *party, address string) {
		doc, _, err := p.Describe(t.Context(), p.answer.Serving)
		if err != nil {
			t.Fatal(err)
		}
		metadata := parsedMetadata(t, doc)
		at, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		idp := &saml.IdentityProvider{Certificate: fixedCertificates(t)[0], SSOURL: *at, ServiceProviderProvider: provider{metadata}}
		d := p.asked(t)
		r := httptest.NewRequest(http.MethodGet, d.URL, nil)
		if d.Post != nil {
			form := url.Values{}
			for _, f := range d.Post {
				form.Set(f.Name, f.Value.Reveal())
			}
			r = httptest.NewRequest(http.MethodPost, d.URL, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		request, err := saml.NewIdpAuthnRequest(idp, r)
		if err != nil {
			t.Fatal(err)
		}
		request.Now = partyStart
		if err := request.Validate(); err != nil || request.ACSEndpoint.Location != consumer || request.RelayState != handle || request.Request.ID != requestID {
			t.Error(err, request.ACSEndpoint, request.RelayState)
		}
		if *request.Request.NameIDPolicy.AllowCreate != true || request.Request.Issuer.Value != ours {
			t.Error(request.Request)
		}
	})
}
