// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/beevik/etree"
)

const (
	protocolNS  = "urn:oasis:names:tc:SAML:2.0:protocol"
	assertionNS = "urn:oasis:names:tc:SAML:2.0:assertion"
	metadataNS  = "urn:oasis:names:tc:SAML:2.0:metadata"
	signatureNS = "http://www.w3.org/2000/09/xmldsig#"

	redirectBinding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	postBinding     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"

	persistentFormat = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	transientFormat  = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
)

// entityID is the provider's name as a SAML identity provider: the address of its metadata.
func (p *provider) entityID() string { return p.Issuer + "/saml/metadata" }

func (p *provider) samlMetadata(w http.ResponseWriter, _ *http.Request) {
	doc := etree.NewDocument()
	entity := doc.CreateElement("md:EntityDescriptor")
	entity.CreateAttr("xmlns:md", metadataNS)
	entity.CreateAttr("entityID", p.entityID())
	role := entity.CreateElement("md:IDPSSODescriptor")
	role.CreateAttr("protocolSupportEnumeration", protocolNS)
	key := role.CreateElement("md:KeyDescriptor")
	key.CreateAttr("use", "signing")
	info := key.CreateElement("ds:KeyInfo")
	info.CreateAttr("xmlns:ds", signatureNS)
	info.CreateElement("ds:X509Data").CreateElement("ds:X509Certificate").SetText(base64.StdEncoding.EncodeToString(p.certificate))
	role.CreateElement("md:NameIDFormat").SetText(persistentFormat)
	for _, binding := range []string{redirectBinding, postBinding} {
		service := role.CreateElement("md:SingleSignOnService")
		service.CreateAttr("Binding", binding)
		service.CreateAttr("Location", p.Issuer+"/saml/sso")
	}
	w.Header().Set("Content-Type", "application/samlmetadata+xml")
	_, _ = doc.WriteTo(w)
}

// samlRequest is what is read of an AuthnRequest. Its signature is not looked at: whoever
// asks is answered at an address of the list or not at all.
type samlRequest struct {
	XMLName  xml.Name `xml:"urn:oasis:names:tc:SAML:2.0:protocol AuthnRequest"`
	ID       string   `xml:",attr"`
	Consumer string   `xml:"AssertionConsumerServiceURL,attr"`
	Issuer   string   `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
}

// samlRequestOf reads the request of the address, which is deflated (SAML bindings section
// 3.4.4.1), or of the form, which is not.
func (p *provider) samlRequestOf(r *http.Request) (q samlRequest, relayState string, err error) {
	text, relayState := r.URL.Query().Get("SAMLRequest"), r.URL.Query().Get("RelayState")
	deflated := text != ""
	if !deflated {
		text, relayState = r.PostFormValue("SAMLRequest"), r.PostFormValue("RelayState")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return q, "", errors.New("SAMLRequest is no base64")
	}
	if deflated {
		if raw, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(raw)), maxForm)); err != nil {
			return q, "", errors.New("SAMLRequest is not deflated")
		}
	}
	if err := xml.Unmarshal(raw, &q); err != nil || q.ID == "" || q.Issuer == "" { //nolint:gosec // three texts of a message of whoever asks
		return q, "", errors.New("SAMLRequest is no AuthnRequest with ID and Issuer")
	}
	if !slices.Contains(p.ConsumerURLs, q.Consumer) {
		return q, "", errors.New("unknown AssertionConsumerServiceURL")
	}
	return q, relayState, nil
}

// samlAsk takes a request of the Redirect binding.
func (p *provider) samlAsk(w http.ResponseWriter, r *http.Request) {
	if _, _, err := p.samlRequestOf(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	show(w, pageData{People: peopleOf(bySAML), SAML: true})
}

// samlDecide takes a request of the POST binding, which names nobody yet, and the click.
func (p *provider) samlDecide(w http.ResponseWriter, r *http.Request) {
	q, relayState, err := p.samlRequestOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	key := r.PostFormValue("person")
	if key == "" {
		data := pageData{People: peopleOf(bySAML), SAML: true, Fields: map[string]string{"SAMLRequest": r.PostFormValue("SAMLRequest")}}
		if relayState != "" {
			data.Fields["RelayState"] = relayState
		}
		show(w, data)
		return
	}
	who, ok := find(bySAML, key)
	if !ok {
		http.Error(w, nobodyOfThatName, http.StatusBadRequest)
		return
	}
	now := p.Now()
	a := p.samlAnswerOf(q, who, now)
	if who.bend != nil {
		who.bend(&a, now)
	}
	response, err := p.samlResponse(a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	nonce := random()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; frame-ancestors 'none'")
	_ = answerPage.Execute(w, struct{ To, Response, RelayState, Nonce string }{q.Consumer, base64.StdEncoding.EncodeToString(response), relayState, nonce})
}
