// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// exact is the comparison of authentication context classes that an answer is held to as
// well.
const exact = "exact"

// comparison is exact unless configured otherwise (SAML core section 3.3.2.2.1).
func (x *exchange) comparison() string {
	if x.saml.Comparison == "" {
		return exact
	}
	return x.saml.Comparison
}

// The parameters of the redirect binding (SAML bindings section 3.4).
const (
	paramRequest   = "SAMLRequest"
	paramRelay     = "RelayState"
	paramAlgorithm = "SigAlg"
	paramSignature = "Signature"
)

// Address gives the signed request of a login (SAML core section 3.4.1): by the redirect
// binding when the provider offers it, else as a form to post. The handle is the relay
// state; the person's e-mail is not in it.
func (p *Provider) Address(ctx context.Context, r login.Request) (login.Destination, error) {
	x, err := p.begin(r, &login.Trace{})
	if err != nil {
		return login.Destination{}, err
	}
	if r.State.IsZero() {
		return login.Destination{}, failure.New(failure.Internal).Because(errors.New("samlsp: the attempt has no handle"))
	}
	if err := x.load(ctx); err != nil {
		return login.Destination{}, err
	}
	key, err := p.Keys.Signer(ctx, r.Serving.ID, r.NextKey)
	if err != nil {
		return login.Destination{}, keyless(err)
	}
	switch {
	case x.idp.Redirect != "":
		return x.redirect(key)
	case x.idp.Post != "":
		return x.post(key)
	}
	return login.Destination{}, failure.New(failure.SAMLMetadata).With("cause", "the provider has no address for requests")
}

// authnRequest is the request, without a signature.
func (x *exchange) authnRequest(destination string) *etree.Element {
	yes, format := true, x.saml.NameIDFormat
	r := saml.AuthnRequest{
		ID: x.request.Material.RequestID, Version: "2.0", IssueInstant: x.Now().UTC(), Destination: destination,
		Issuer:                      &saml.Issuer{Value: x.entity},
		AssertionConsumerServiceURL: x.request.RedirectURI, ProtocolBinding: saml.HTTPPostBinding,
		NameIDPolicy: &saml.NameIDPolicy{Format: &format, AllowCreate: &yes},
	}
	if x.fresh() {
		r.ForceAuthn = &yes
	}
	el := r.Element()
	if len(x.saml.Contexts) > 0 {
		// The library knows of one class alone.
		asked := el.CreateElement("samlp:RequestedAuthnContext")
		asked.CreateAttr("Comparison", x.comparison())
		for _, class := range x.saml.Contexts {
			asked.CreateElement("saml:AuthnContextClassRef").SetText(class)
		}
	}
	return el
}

func written(el *etree.Element) ([]byte, error) {
	doc := etree.NewDocument()
	doc.SetRoot(el)
	return doc.WriteToBytes()
}

// redirect puts the request into an address. The signature is of the three parameters as
// they stand in it (SAML bindings section 3.4.4.1), and of nothing else that the
// provider's own address may have.
func (x *exchange) redirect(key spkeys.Signer) (login.Destination, error) {
	base := x.idp.Redirect
	u, err := url.Parse(base)
	if err != nil || u.Fragment != "" || idpmetadata.Clashes(base) {
		return login.Destination{}, failure.New(failure.SAMLMetadata).With("host", x.trace.ProviderHost).With("cause", "the provider's address takes no parameters")
	}
	text, err := written(x.authnRequest(base))
	if err != nil {
		return login.Destination{}, failure.New(failure.Internal).Because(err)
	}
	query := paramRequest + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated(text))) +
		"&" + paramRelay + "=" + url.QueryEscape(x.request.State.Reveal()) +
		"&" + paramAlgorithm + "=" + url.QueryEscape(dsig.RSASHA256SignatureMethod)
	sum := sha256.Sum256([]byte(query))
	signature, err := rsa.SignPKCS1v15(nil, key.Private, crypto.SHA256, sum[:])
	if err != nil {
		return login.Destination{}, failure.New(failure.Internal).Because(err)
	}
	separator := "?"
	switch {
	case strings.HasSuffix(base, "?"), strings.HasSuffix(base, "&"):
		separator = ""
	case u.RawQuery != "":
		separator = "&"
	}
	return login.Destination{URL: base + separator + query + "&" + paramSignature + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature))}, nil
}

// deflated compresses a text (RFC 1951), without any wrapping.
func deflated(text []byte) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestCompression) // fails for a level that is none
	_, _ = w.Write(text)                                 // a buffer takes all
	_ = w.Close()
	return out.Bytes()
}

// post puts the request into the fields of a form, with the signature inside it.
func (x *exchange) post(key spkeys.Signer) (login.Destination, error) {
	el := x.authnRequest(x.idp.Post)
	if err := signEnveloped(el, key); err != nil {
		return login.Destination{}, failure.New(failure.Internal).Because(err)
	}
	text, err := written(el)
	if err != nil {
		return login.Destination{}, failure.New(failure.Internal).Because(err)
	}
	return login.Destination{URL: x.idp.Post, Post: []login.Field{
		{Name: paramRequest, Value: secret.New(base64.StdEncoding.EncodeToString(text))},
		{Name: paramRelay, Value: x.request.State},
	}}, nil
}

// signEnveloped signs an element with RSA-SHA256 and exclusive canonicalization, and puts the
// signature behind the issuer, where the schema has it.
func signEnveloped(el *etree.Element, key spkeys.Signer) error {
	c, err := dsig.NewSigningContext(key.Private, [][]byte{key.Certificate.Raw})
	if err != nil {
		return err
	}
	c.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := c.SetSignatureMethod(dsig.RSASHA256SignatureMethod); err != nil {
		return err
	}
	signature, err := c.ConstructSignature(el, true)
	if err != nil {
		return err
	}
	el.InsertChildAt(1, signature)
	return nil
}
