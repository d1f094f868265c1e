// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// signedBy signs the assertion of the sample in a way.
func signedBy(t testing.TB, o signing) string {
	t.Helper()
	root := element(t, sampleText)
	sign(t, assertionOf(t, root), o)
	return encoded(t, root)
}

// set gives an edit that sets an attribute of one element of a signature.
func set(path, attribute, value string) func(*etree.Element) {
	return func(sig *etree.Element) { sig.FindElement(path).CreateAttr(attribute, value) }
}

// add gives an edit that adds an element to one of a signature.
func add(t testing.TB, path, child string) func(*etree.Element) {
	return func(sig *etree.Element) {
		to := sig
		if path != "" {
			to = sig.FindElement(path)
		}
		to.AddChild(element(t, child))
	}
}

const more = "http://www.w3.org/2001/04/xmldsig-more#"

func TestSignatureMethods(t *testing.T) {
	for _, row := range []struct {
		name string
		by   func() keyPair
		o    signing
	}{
		{"rsa-sha256", idpKey, signing{}},
		{"rsa-sha384", idpKey, signing{method: more + "rsa-sha384", hash: crypto.SHA384, digest: more + "sha384"}},
		{"rsa-sha512", idpKey, signing{method: more + "rsa-sha512", hash: crypto.SHA512, digest: "http://www.w3.org/2001/04/xmlenc#sha512"}},
		{"ecdsa-sha256 on P-256", p256Key, signing{method: more + "ecdsa-sha256"}},
		{"ecdsa-sha384 on P-384", p384Key, signing{method: more + "ecdsa-sha384", hash: crypto.SHA384}},
		{"ecdsa-sha256 on P-384", p384Key, signing{method: more + "ecdsa-sha256"}},
	} {
		t.Run("SAML-20 "+row.name+" is taken", func(t *testing.T) {
			row.o.by = row.by
			e := expected()
			e.Certificates = []*x509.Certificate{row.by().cert}
			_, trace := accepted(t, signedBy(t, row.o), e)
			if trace.Algorithms[0] != strings.Fields(row.name)[0] || trace.CertificateFingerprint != fingerprint(row.by().cert.Raw) {
				t.Fatalf("trace %+v", trace)
			}
		})
	}
}

func TestSignatureKeys(t *testing.T) {
	with := func(keys ...func() keyPair) Expected {
		e := expected()
		e.Certificates = nil
		for _, k := range keys {
			e.Certificates = append(e.Certificates, k().cert)
		}
		return e
	}
	t.Run("SAML-53 SSO-61 two certificates, no KeyInfo", func(t *testing.T) {
		accepted(t, signedBy(t, signing{}), with(otherKey, p256Key, idpKey))
		accepted(t, signedBy(t, signing{by: otherKey}), with(otherKey, idpKey))
	})
	t.Run("SAML-19 another key", func(t *testing.T) {
		f := refusal(t, signedBy(t, signing{by: otherKey}), with(idpKey), failure.SAMLSignatureInvalid)
		if f.Facts["fingerprints_tried"] != fingerprint(idpKey().cert.Raw) || f.Facts["keyinfo_fingerprint"] != "" {
			t.Fatalf("facts %v", f.Facts)
		}
	})
	t.Run("SAML-19 another key that brings its certificate along", func(t *testing.T) {
		f := refusal(t, signedBy(t, signing{by: otherKey, keyInfo: true}), with(idpKey), failure.SAMLSignatureInvalid)
		if f.Facts["keyinfo_fingerprint"] != fingerprint(otherKey().cert.Raw) {
			t.Fatalf("facts %v", f.Facts)
		}
	})
	t.Run("SAML-19 no certificate at all", func(t *testing.T) {
		refused(t, signedBy(t, signing{keyInfo: true}), with(), failure.SAMLSignatureInvalid)
	})
	for what, info := range map[string]string{
		"a foreign certificate": `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`,
		"a name":                `<ds:KeyInfo><ds:KeyName>other</ds:KeyName></ds:KeyInfo>`,
		"a retrieval method":    `<ds:KeyInfo><ds:RetrievalMethod URI="http://evil.example/key"/></ds:KeyInfo>`,
		"nothing":               `<ds:KeyInfo/>`,
	} {
		t.Run("SAML-19 the right key, and KeyInfo with "+what, func(t *testing.T) {
			root := element(t, sampleText)
			sign(t, assertionOf(t, root), signing{})
			assertionOf(t, root).ChildElements()[1].AddChild(element(t, info))
			accepted(t, encoded(t, root), with(idpKey))
		})
	}
	t.Run("SAML-20 an RSA key of 1024 bits", func(t *testing.T) {
		f := refusal(t, signedBy(t, signing{by: weakKey}), with(weakKey), failure.SAMLWeakAlgorithm)
		if f.Facts["key_bits"] != "1024" {
			t.Fatalf("facts %v", f.Facts)
		}
	})
	t.Run("SAML-20 a curve that is not allowed", func(t *testing.T) {
		refused(t, signedBy(t, signing{by: p521Key, method: more + "ecdsa-sha256"}), with(p521Key), failure.SAMLSignatureInvalid)
	})
	t.Run("SAML-20 an ECDSA value in DER", func(t *testing.T) {
		der := func(v []byte) []byte {
			out, _ := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(v[:32]), new(big.Int).SetBytes(v[32:])})
			return out
		}
		refused(t, signedBy(t, signing{by: p256Key, method: more + "ecdsa-sha256", value: der}), with(p256Key), failure.SAMLSignatureInvalid)
	})
	t.Run("SAML-19 an RSA method for an ECDSA key", func(t *testing.T) {
		refused(t, signedBy(t, signing{}), with(p256Key), failure.SAMLSignatureInvalid)
	})
}

func TestExpiredCertificate(t *testing.T) {
	over := certify(idpKey().key, true)
	e := expected()
	e.Certificates = []*x509.Certificate{over.cert}
	t.Run("SAML-54 SSO-61 one that is over is taken, and noted", func(t *testing.T) {
		_, trace := accepted(t, signedBy(t, signing{}), e)
		if !trace.CertificateExpired || trace.CertificateNotAfter == nil || !trace.CertificateNotAfter.Equal(over.cert.NotAfter) {
			t.Fatalf("trace %+v", trace)
		}
	})
	e.RefuseExpired = true
	t.Run("SAML-54 one that is over is refused where the connection says so", func(t *testing.T) {
		f := refusal(t, signedBy(t, signing{}), e, failure.SAMLCertificateExpired)
		if f.Facts["not_after"] != "2026-03-03T10:00:00Z" {
			t.Fatalf("facts %v", f.Facts)
		}
	})
	t.Run("SAML-54 a second certificate of the key that goes on is taken", func(t *testing.T) {
		e.Certificates = append(e.Certificates, idpKey().cert)
		if _, trace := accepted(t, signedBy(t, signing{}), e); trace.CertificateExpired {
			t.Fatal("noted as expired")
		}
	})
}

func TestWeakAlgorithms(t *testing.T) {
	for uri, name := range weakAlgorithms {
		o := signing{edit: set("./SignedInfo/SignatureMethod", "Algorithm", uri)}
		if strings.HasSuffix(uri, "#sha1") || strings.HasSuffix(uri, "#md5") || strings.HasSuffix(uri, "xmlenc#ripemd160") {
			o = signing{edit: set("./SignedInfo/Reference/DigestMethod", "Algorithm", uri)}
		}
		t.Run("SAML-20 "+name, func(t *testing.T) {
			if f := refusal(t, signedBy(t, o), expected(), failure.SAMLWeakAlgorithm); f.Facts["algorithm"] != name {
				t.Fatalf("facts %v", f.Facts)
			}
		})
	}
	t.Run("SAML-20 a signature made with SHA-1 and called SHA-256", func(t *testing.T) {
		refused(t, signedBy(t, signing{hash: crypto.SHA1}), expected(), failure.SAMLSignatureInvalid)
	})
}

func TestSignatureShape(t *testing.T) {
	const reference = "./SignedInfo/Reference"
	const c14n = reference + "/Transforms/Transform[2]"
	transform := func(uri string) string { return `<ds:Transform Algorithm="` + uri + `"/>` }
	cut := func(path string) func(*etree.Element) {
		return func(sig *etree.Element) { el := sig.FindElement(path); el.Parent().RemoveChild(el) }
	}
	for _, row := range []struct {
		name string
		rule string
		edit func(*etree.Element)
	}{
		{"SAML-16 signed info by inclusive canonicalization", "canonicalization", set("./SignedInfo/CanonicalizationMethod", "Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315")},
		{"SAML-16 signed info with comments", "canonicalization", set("./SignedInfo/CanonicalizationMethod", "Algorithm", exclusive+"WithComments")},
		{"SAML-16 prefixes for signed info", "canonicalization", add(t, "./SignedInfo/CanonicalizationMethod", `<ec:InclusiveNamespaces xmlns:ec="`+exclusiveSpace+`" PrefixList="saml"/>`)},
		{"SAML-16 inclusive canonicalization", "transforms", set(c14n, "Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315")},
		{"SAML-16 canonicalization 1.1", "transforms", set(c14n, "Algorithm", "http://www.w3.org/2006/12/xml-c14n11")},
		{"SAML-16 canonicalization with comments", "transforms", set(c14n, "Algorithm", exclusive+"WithComments")},
		{"SAML-16 no canonicalization", "transforms", cut(c14n)},
		{"SAML-21 not enveloped", "transforms", cut(reference + "/Transforms/Transform[1]")},
		{"SAML-21 no transforms", "reference_children", cut(reference + "/Transforms")},
		{"SAML-21 XSLT", "transforms", set(c14n, "Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")},
		{"SAML-21 XPath", "transforms", add(t, reference+"/Transforms", transform("http://www.w3.org/TR/1999/REC-xpath-19991116"))},
		{"SAML-21 base64", "transforms", add(t, reference+"/Transforms", transform("http://www.w3.org/2000/09/xmldsig#base64"))},
		{"SAML-21 SAML-22 two references", "signed_info_children", func(sig *etree.Element) {
			info := sig.FindElement("./SignedInfo")
			info.AddChild(info.FindElement("./Reference").Copy())
		}},
		{"SAML-21 an empty URI", "reference_uri", set(reference, "URI", "")},
		{"SAML-21 no URI", "reference_uri", func(sig *etree.Element) { sig.FindElement(reference).RemoveAttr("URI") }},
		{"SAML-21 an XPointer", "reference_uri", set(reference, "URI", "#xpointer(/)")},
		{"SAML-21 an address", "reference_uri", set(reference, "URI", "http://evil.example/")},
		{"SAML-17 SAML-22 another element's ID", "reference_uri", set(reference, "URI", "#_resp")},
		{"SAML-21 a type of reference", "reference_children", set(reference, "Type", "http://www.w3.org/2000/09/xmldsig#Manifest")},
		{"SAML-20 an unknown method", "signature_method", set("./SignedInfo/SignatureMethod", "Algorithm", "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1")},
		{"SAML-20 a length for HMAC", "signature_method", add(t, "./SignedInfo/SignatureMethod", `<ds:HMACOutputLength>8</ds:HMACOutputLength>`)},
		{"SAML-20 an unknown digest", "digest_method", set(reference+"/DigestMethod", "Algorithm", more+"sha224")},
		{"SAML-17 a digest that is cut", "digest_value", func(sig *etree.Element) { sig.FindElement(reference + "/DigestValue").SetText("AAAA") }},
		{"SAML-08 an object", "signature_children", add(t, "", `<ds:Object><x/></ds:Object>`)},
		{"SAML-10 a foreign child", "signature_children", add(t, "", `<x xmlns="urn:x"/>`)},
		{"SAML-17 two signed infos", "signature_children", func(sig *etree.Element) { sig.InsertChildAt(0, sig.FindElement("./SignedInfo").Copy()) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			if f := refusal(t, signedBy(t, signing{edit: row.edit}), expected(), failure.SAMLSignatureShape); f.Facts["rule"] != row.rule {
				t.Fatalf("facts %v, want rule %s", f.Facts, row.rule)
			}
		})
	}
}

func TestPrefixList(t *testing.T) {
	for _, row := range []struct {
		name, list string
		written    bool
		rule       string
	}{
		{"SAML-16 xs, as Okta sends it", "xs", true, ""},
		{"SAML-16 all that are in scope", "xs xsi saml samlp", true, ""},
		{"SAML-16 an empty list", "", true, ""},
		{"SAML-16 a prefix that is not in scope", "xs other", true, "prefix_list"},
		{"SAML-16 the default namespace", "#default", true, "prefix_list"},
		{"SAML-16 a wide blank between them", "xs\u00a0xsi", true, "prefix_list"},
		{"SAML-16 a tab by reference between them", "xs&#9;xsi", true, "prefix_list"},
		{"SAML-16 nine prefixes", "xs xs xs xs xs xs xs xs xs", true, "prefix_list"},
	} {
		t.Run(row.name, func(t *testing.T) {
			response := signedBy(t, signing{prefixes: row.list, list: row.written})
			if row.rule == "" {
				accepted(t, response, expected())
				return
			}
			if f := refusal(t, response, expected(), failure.SAMLSignatureShape); f.Facts["rule"] != row.rule {
				t.Fatalf("facts %v", f.Facts)
			}
		})
	}
	t.Run("SAML-16 a list without its attribute", func(t *testing.T) {
		f := refusal(t, signedBy(t, signing{list: true, edit: func(sig *etree.Element) {
			sig.FindElement("//InclusiveNamespaces").RemoveAttr("PrefixList")
		}}), expected(), failure.SAMLSignatureShape)
		if f.Facts["rule"] != "prefix_list" {
			t.Fatalf("facts %v", f.Facts)
		}
	})
	t.Run("SAML-16 the assertion's signature has a list, the response's has none", func(t *testing.T) {
		root := element(t, sampleText)
		sign(t, assertionOf(t, root), signing{prefixes: "xs"})
		sign(t, root, signing{})
		if a, _ := accepted(t, encoded(t, root), expected()); !reflect.DeepEqual(a, sampleAssertion) {
			t.Fatalf("read %+v", a)
		}
	})
}

// TestEverySignature: one good signature does not carry a bad one.
func TestEverySignature(t *testing.T) {
	for _, row := range []struct {
		name                string
		assertion, response signing
	}{
		{"SAML-17 the assertion's is by another key", signing{by: otherKey}, signing{}},
		{"SAML-17 the response's is by another key", signing{}, signing{by: otherKey}},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := element(t, sampleText)
			sign(t, assertionOf(t, root), row.assertion)
			sign(t, root, row.response)
			refused(t, encoded(t, root), expected(), failure.SAMLSignatureInvalid)
		})
	}
	place := func(name string, code failure.Code, move func(root, sig *etree.Element)) {
		t.Run(name, func(t *testing.T) {
			root := element(t, sampleText)
			sign(t, assertionOf(t, root), signing{})
			sig := assertionOf(t, root).ChildElements()[1]
			move(root, sig)
			refused(t, encoded(t, root), expected(), code)
		})
	}
	place("SAML-17 moved to the response", failure.SAMLSignatureShape, func(root, sig *etree.Element) {
		sig.Parent().RemoveChild(sig)
		root.InsertChildAt(1, sig)
	})
	place("SAML-17 moved to the end of the assertion", failure.SAMLSignatureShape, func(_, sig *etree.Element) { sig.Parent().AddChild(sig) })
	place("SAML-17 before the issuer", failure.SAMLSignatureShape, func(_, sig *etree.Element) { sig.Parent().InsertChildAt(0, sig) })
	place("SAML-11 twice in the assertion", failure.SAMLSignatureShape, func(_, sig *etree.Element) { sig.Parent().InsertChildAt(2, sig.Copy()) })
	place("SAML-17 in the subject", failure.SAMLSignatureShape, func(root, sig *etree.Element) {
		sig.Parent().ChildElements()[2].AddChild(sig)
	})
	place("SAML-17 without a value", failure.SAMLSignatureShape, func(_, sig *etree.Element) { sig.FindElement("./SignatureValue").SetText("") })
	place("SAML-17 with a wide blank in the value", failure.SAMLSignatureShape, func(_, sig *etree.Element) {
		v := sig.FindElement("./SignatureValue")
		v.SetText("\u00a0" + v.Text())
	})
	place("SAML-17 with another value", failure.SAMLSignatureInvalid, func(_, sig *etree.Element) { sig.FindElement("./SignatureValue").SetText("AAAA") })
	place("SAML-17 altered text", failure.SAMLSignatureInvalid, func(root, _ *etree.Element) { root.FindElement("//NameID").SetText("bob") })
	place("SAML-17 altered format", failure.SAMLSignatureInvalid, func(root, _ *etree.Element) {
		root.FindElement("//NameID").CreateAttr("Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified")
	})
}

// TestBrokenValue: providers break base64 into lines, and indent it.
func TestBrokenValue(t *testing.T) {
	t.Run("SAML-17 a value in lines", func(t *testing.T) {
		root := element(t, sampleText)
		sign(t, assertionOf(t, root), signing{})
		v := root.FindElement("//SignatureValue")
		v.SetText("\n\t " + v.Text()[:64] + "\r\n" + v.Text()[64:] + "\n")
		accepted(t, encoded(t, root), expected())
	})
}

// TestInheritedNamespaces: where a prefix is declared changes nothing of who it is.
func TestInheritedNamespaces(t *testing.T) {
	bare := strings.NewReplacer("<saml:", "<", "</saml:", "</", "xmlns:saml=", "xmlns=")
	own := strings.NewReplacer(` xmlns:saml="`+assertionSpace+`"`, ``, `<saml:Issuer>`, `<Issuer xmlns="`+assertionSpace+`">`,
		`</saml:Issuer>`, `</Issuer>`, `<saml:Assertion `, `<Assertion xmlns="`+assertionSpace+`" `, "<saml:", "<", "</saml:", "</")
	for name, text := range map[string]string{
		"SAML-25 an assertion with no prefix, its namespace from the response": bare.Replace(sampleText),
		"SAML-25 an assertion that declares its own default namespace":         own.Replace(sampleText),
		"SAML-25 prefixes of SAML's own":                                       strings.NewReplacer("saml:", "s2:", "xmlns:saml=", "xmlns:s2=", "samlp:", "p2:", "xmlns:samlp=", "xmlns:p2=").Replace(sampleText),
		"SAML-25 declarations that nobody uses":                                replaced(t, `<saml:Assertion `, `<saml:Assertion xmlns:u="urn:u" xmlns="urn:d" `),
	} {
		for shape, signed := range map[string]string{"assertion": signedAssertion(t, text), "response": signedResponse(t, text)} {
			t.Run(name+", signed "+shape, func(t *testing.T) {
				if a, _ := accepted(t, signed, expected()); !reflect.DeepEqual(a, sampleAssertion) {
					t.Fatalf("read %+v", a)
				}
			})
		}
	}
}

// TestPanic: a panic is one more refusal, and says nothing of the message.
func TestPanic(t *testing.T) {
	t.Run("SAML-46 a panic below is Internal, with its type and its stack", func(t *testing.T) {
		var none *login.Trace
		_, err := Read(signedAssertion(t, sampleText), expected(), testNow, none)
		f := failure.Of(err)
		if f.Code != failure.Internal || !strings.Contains(err.Error(), "a panic of type") || !strings.Contains(err.Error(), "read_message.go") ||
			strings.Contains(err.Error(), "alice") {
			t.Fatalf("%v", err)
		}
	})
}
