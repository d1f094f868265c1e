// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// minKeyBits is the shortest RSA key that is trusted.
const minKeyBits = 2048

// maxKeyInfo bounds the text of a certificate in a message that is looked at for the log.
const maxKeyInfo = 16 << 10

// message is what verification leaves: the assertion from verified bytes, and the response,
// verified as well where it is signed.
type message struct {
	outer     outer
	assertion verified
}

// assertionParts are the children of an Assertion (SAML core, section 2.3.3) but for
// Statement, which has no meaning of its own.
var assertionParts = []part{
	{assertionSpace, "Issuer", false}, {signatureSpace, "Signature", false}, {assertionSpace, "Subject", false},
	{assertionSpace, "Conditions", false}, {assertionSpace, "Advice", false}, {assertionSpace, "AuthnStatement", true},
	{assertionSpace, "AuthzDecisionStatement", true}, {assertionSpace, "AttributeStatement", true},
}

// verify verifies every signature, holds the policy against what was signed (S5), and goes
// on with what the verifier returned (S6). An assertion in a signed response is taken out
// of the returned response; its own signature, if it has one, is verified where it stood,
// for the canonical response has lost declarations that the signature may name.
func (r *reader) verify(s seen, signatures []signature) (message, error) {
	var response, assertion verified
	for _, sig := range signatures {
		v, err := r.vouched(sig)
		if err != nil {
			return message{}, err
		}
		if s.partName(sig) == "response" {
			response = v
		} else {
			assertion = v
		}
	}
	if !r.policy(response.signed != nil, assertion.signed != nil) {
		return message{}, r.unsigned()
	}
	m := message{outer: outerOf(s.response.raw), assertion: assertion}
	if response.signed != nil {
		inner, ok := response.only(assertionSpace, "Assertion")
		if rule := response.holds(responseParts...); rule != "" || !ok {
			return message{}, misbuilt(1, s.response.raw, "verified_response")
		}
		m = message{outer: outerOf(response.signed), assertion: inner}
		m.outer.signed = true
	}
	if m.assertion.value("Version") != "2.0" {
		return message{}, misbuilt(1, s.response.raw, "assertion_version")
	}
	if rule := m.assertion.holds(assertionParts...); rule != "" {
		return message{}, misbuilt(1, s.response.raw, rule)
	}
	return m, nil
}

// policy reports whether enough is signed. One signature at least there is, and whichever
// it is, it covers the assertion. A word that is not known demands all.
func (r *reader) policy(response, assertion bool) bool {
	switch r.e.Signed {
	case connection.SignedEither:
		return response || assertion
	case connection.SignedAssertion:
		return assertion
	case connection.SignedResponse:
		return response
	}
	return response && assertion
}

// unsigned is saml_signature_missing.
func (r *reader) unsigned() error {
	return failure.New(failure.SAMLSignatureMissing).With("policy", r.e.Signed).
		With("signed_elements", cmp.Or(strings.Join(r.trace.SignedParts, " "), "none"))
}

// vouched verifies one signature by the configured certificates and gives what it covers.
func (r *reader) vouched(sig signature) (verified, error) {
	var tried []string
	el := sig.detached()
	for _, c := range r.candidates() {
		value, bits, ok := sig.fits(c)
		if !ok {
			continue
		}
		tried = append(tried, fingerprint(c.Raw))
		covered, err := check(el, c, value)
		if err != nil {
			continue
		}
		if bits < minKeyBits && !sig.method.ecdsa {
			return verified{}, failure.New(failure.SAMLWeakAlgorithm).With("algorithm", sig.method.name).With("key_bits", strconv.Itoa(bits))
		}
		if err := r.trusted(c); err != nil {
			return verified{}, err
		}
		id, _ := attribute(sig.parent, "ID")
		if got, _ := attribute(covered, "ID"); got != id || !is(covered, sig.parent.NamespaceURI(), sig.parent.Tag) {
			break // the verifier covered something else
		}
		return verified{signed: covered}, nil
	}
	f := failure.New(failure.SAMLSignatureInvalid).With("fingerprints_tried", short(tried))
	if print := keyInfoFingerprint(sig.el); print != "" {
		f = f.With("keyinfo_fingerprint", print)
	}
	return verified{}, f
}

// candidates are the configured certificates, those first that are not over: a key may
// have a second certificate that goes on.
func (r *reader) candidates() []*x509.Certificate {
	all := slices.DeleteFunc(slices.Clone(r.e.Certificates), func(c *x509.Certificate) bool { return c == nil })
	slices.SortStableFunc(all, func(a, b *x509.Certificate) int {
		over := func(c *x509.Certificate) int {
			if r.now.After(c.NotAfter) {
				return 1
			}
			return 0
		}
		return over(a) - over(b)
	})
	return all
}

// trusted notes the certificate that verified, and refuses one that is over where the
// connection wants that. Trust is in the key, so a date alone refuses nothing.
func (r *reader) trusted(c *x509.Certificate) error {
	end := c.NotAfter.UTC()
	over := r.now.After(end)
	r.trace.CertificateExpired = r.trace.CertificateExpired || over
	if r.trace.CertificateFingerprint == "" || over {
		r.trace.CertificateFingerprint, r.trace.CertificateNotAfter = fingerprint(c.Raw), &end
	}
	if over && r.e.RefuseExpired {
		return failure.New(failure.SAMLCertificateExpired).With("not_after", end.Format("2006-01-02T15:04:05Z"))
	}
	return nil
}

// fits gives the value of a signature as x509 takes it for a certificate's key, and the
// key's length; false for a key of another kind. XML has the two numbers of ECDSA side by
// side, each as long as the curve's order (RFC 9231, section 2.3.6), X.509 a DER sequence.
func (sig signature) fits(c *x509.Certificate) ([]byte, int, bool) {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return sig.value, key.N.BitLen(), !sig.method.ecdsa
	case *ecdsa.PublicKey:
		size := key.Curve.Params().BitSize
		if !sig.method.ecdsa || key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return nil, 0, false
		}
		half := size / 8
		if len(sig.value) != 2*half {
			return nil, size, true // tried, and no signature verifies that is empty
		}
		der, err := asn1.Marshal(struct{ R, S *big.Int }{
			new(big.Int).SetBytes(sig.value[:half]), new(big.Int).SetBytes(sig.value[half:]),
		})
		return der, size, err == nil
	}
	return nil, 0, false
}

// detached gives a copy of what a signature stands in, as the verifier takes it: without
// KeyInfo, so that nothing in the message chooses a key, and with the declarations of
// namespaces that the element inherits.
func (sig signature) detached() *etree.Element {
	el := sig.parent.Copy()
	for prefix, space := range declarations(sig.parent) {
		switch {
		case prefix != "":
			el.CreateAttr("xmlns:"+prefix, space)
		case space != "": // an unset default is no declaration at the top
			el.CreateAttr("xmlns", space)
		}
	}
	own := signatureOf(el)
	if children := own.ChildElements(); len(children) > 2 {
		own.RemoveChild(children[2])
	}
	return el
}

// signatureOf gives the signature of an element, which stands right after Issuer (S4).
func signatureOf(el *etree.Element) *etree.Element { return el.ChildElements()[1] }

// check verifies a detached element by one certificate. The verifier works on a copy of
// its own, so one element serves every certificate in turn; only the value is set, as x509
// takes it for the certificate's key. The clock is set to the certificate's own life, for
// its end is judged by trusted.
func check(el *etree.Element, c *x509.Certificate, value []byte) (*etree.Element, error) {
	signatureOf(el).ChildElements()[1].SetText(base64.StdEncoding.EncodeToString(value))
	return (&dsig.ValidationContext{
		CertificateStore: &dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}},
		IdAttribute:      "ID",
		Clock:            dsig.NewFakeClockAt(c.NotBefore),
	}).Validate(el)
}

// fingerprint is SHA-256 in hex.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// maxPrints is how many fingerprints a fact has room for.
const maxPrints = 3

func short(prints []string) string {
	if n := len(prints) - maxPrints; n > 0 {
		return strings.Join(prints[:maxPrints], " ") + " +" + strconv.Itoa(n)
	}
	return strings.Join(prints, " ")
}

// keyInfoFingerprint gives that of the certificate which a message brings along, for the
// log alone: with it an administrator sees that the provider has a new key.
func keyInfoFingerprint(signature *etree.Element) string {
	at := signature
	for _, local := range []string{"KeyInfo", "X509Data", "X509Certificate"} {
		i := slices.IndexFunc(at.ChildElements(), func(c *etree.Element) bool { return is(c, signatureSpace, local) })
		if i < 0 {
			return ""
		}
		at = at.ChildElements()[i]
	}
	s, ok := text(at)
	if !ok || len(s) > maxKeyInfo {
		return ""
	}
	der, err := base64.StdEncoding.DecodeString(unbroken.Replace(s))
	if err != nil || len(der) == 0 {
		return ""
	}
	return fingerprint(der)
}
