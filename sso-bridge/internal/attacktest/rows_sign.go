// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// canonicalizations are what a signature may say of how octets are made, and what it may
// not.
func canonicalizations() (table []row) {
	const shape = failure.SAMLSignatureShape
	for _, uri := range []string{
		"http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments",
		"http://www.w3.org/2006/12/xml-c14n11", "http://www.w3.org/2006/12/xml-c14n11#WithComments",
		ExclusiveC14N + "WithComments", "NULL", "", "http://www.w3.org/2001/10/xml-exc-c14n", "http://www.w3.org/2010/10/xml-c14n2",
	} {
		library := Library("")
		if strings.Contains(uri, "c14n11") || strings.Contains(uri, "20010315") || strings.HasSuffix(uri, "#WithComments") {
			library = Accepts
		}
		used := func(a *attempt) { a.C14N = uri }
		if uri == "" { // empty means the exclusive one here
			used = shaped(swapAll(`Algorithm="`+ExclusiveC14N+`"`, `Algorithm=""`))
		}
		table = append(table, []row{
			{"SAML-16 the canonicalization " + fmt.Sprintf("%q", uri), used, shape, library},
			{"SAML-16 of SignedInfo alone the canonicalization " + fmt.Sprintf("%q", uri), shaped(swap(`Method Algorithm="`+ExclusiveC14N+`"`, `Method Algorithm="`+uri+`"`)), shape, ""},
			{"SAML-16 of the reference alone the canonicalization " + fmt.Sprintf("%q", uri), shaped(swap(`Transform Algorithm="`+ExclusiveC14N+`"`, `Transform Algorithm="`+uri+`"`)), shape, ""},
		}...)
	}
	nine := func(x string) string {
		for _, p := range strings.Fields(ninePrefixes) {
			x = set("saml:Assertion", 0, "xmlns:"+p, "urn:example:"+p)(x)
		}
		return x
	}
	eight := func(x string) string {
		for _, p := range strings.Fields(ninePrefixes)[:8] {
			x = set("saml:Assertion", 0, "xmlns:"+p, "urn:example:"+p)(x)
		}
		return x
	}
	return append(table, []row{
		{"SAML-16 an empty PrefixList", listing(""), accepted, ""},
		{"SAML-16 a PrefixList of a prefix that is in scope", also(named(WithSchemas), listing("xs")), accepted, ""},
		{"SAML-16 a PrefixList of a prefix of the response", listing("samlp"), accepted, ""},
		{"SAML-16 a PrefixList of three prefixes", also(named(WithSchemas), listing("xs xsi saml")), accepted, ""},
		{"SAML-16 a PrefixList of eight prefixes", also(edited(eight), listing(strings.Join(strings.Fields(ninePrefixes)[:8], " "))), accepted, ""},
		{"SAML-16 a PrefixList of nine prefixes", also(edited(nine), listing(ninePrefixes)), shape, Accepts},
		{"SAML-16 a PrefixList of a prefix that nothing declares", listing("nowhere"), shape, Accepts},
		{"SAML-16 a PrefixList with a no-break space", also(named(WithSchemas), listing("xs\u00a0xsi")), shape, Accepts},
		{"SAML-16 a PrefixList with a reference to a tab", also(named(WithSchemas), listing("xs\txsi"), altered(swap("xs\txsi", "xs&#9;xsi"))), shape, Accepts},
		{"SAML-16 a PrefixList with two blanks", also(named(WithSchemas), listing("xs  xsi")), accepted, ""},
		{"SAML-16 a PrefixList with blanks around", also(named(WithSchemas), listing(" xs ")), accepted, ""},
		{"SAML-16 a PrefixList of one prefix twice", also(named(WithSchemas), listing("xs xs")), accepted, ""},
		{"SAML-16 a PrefixList of the default namespace", also(named(Inherited), listing("#default")), shape, ""},
		{"SAML-16 a PrefixList of SignedInfo", shaped(instead("ds:CanonicalizationMethod", 0, func(string) string {
			return `<ds:CanonicalizationMethod Algorithm="` + ExclusiveC14N + `"><ec:InclusiveNamespaces xmlns:ec="` + ExclusiveC14N + `" PrefixList="saml"/></ds:CanonicalizationMethod>`
		})), shape, Accepts},
		{"SAML-16 two InclusiveNamespaces", also(named(WithSchemas), listing("xs"), shaped(twice("ec:InclusiveNamespaces", 0))), shape, Accepts},
		{"SAML-16 attributes of two namespaces in the order of both", edited(set("saml:Assertion", 0, `xmlns:a="urn:a" xmlns:z="urn:z" a:p="1" z:q`, "2")), accepted, ""},
		{"SAML-16 attributes of two namespaces in the order of their local names", edited(set("saml:Assertion", 0, `xmlns:a="urn:z" xmlns:b="urn:b" a:p="1" b:q`, "2")), failure.SAMLMalformed, Accepts},
		{"SAML-16 attributes of two namespaces and one local name", edited(set("saml:Assertion", 0, `xmlns:a="urn:z" xmlns:b="urn:b" b:x="1" a:y`, "2"), set("saml:Subject", 0, `a:p="1" b:p`, "2")), failure.SAMLMalformed, ""},
		{"SAML-16 a relative namespace URI", edited(set("saml:Assertion", 0, "xmlns:x", "relative/uri")), failure.SAMLMalformed, Accepts},
		{"SAML-16 a relative namespace URI and the digest of nothing", also(edited(set("saml:Assertion", 0, "xmlns:x", "1")), shaped(swap(digestMark, digest(SHA256, nil)))), failure.SAMLMalformed, ""},
		{"SAML-16 the digest of nothing", shaped(swap(digestMark, digest(SHA256, nil))), failure.SAMLSignatureInvalid, ""},
		{"SAML-16 the signature of nothing", altered(nothingSigned), failure.SAMLSignatureInvalid, ""},
	}...)
}

const ninePrefixes = "a b c d e f g h i"

// nothingSigned is what an attacker has who once made the provider sign no octets at all.
func nothingSigned(x string) string {
	h := crypto.SHA256.New()
	k, _ := Provider().Signer.(*rsa.PrivateKey)
	value := base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(nil, k, crypto.SHA256, h.Sum(nil))))
	return instead("ds:SignatureValue", 0, func(string) string { return "<ds:SignatureValue>" + value + "</ds:SignatureValue>" })(x)
}

// signatures are absent, empty, in another place, or of another key.
func signatures() []row {
	const shape, missing, invalid = failure.SAMLSignatureShape, failure.SAMLSignatureMissing, failure.SAMLSignatureInvalid
	moved := func(mark string) edit {
		return func(x string) string { return before(mark, theirs(x))(swap(theirs(x), "")(x)) }
	}
	keyInfo := func(text string) func(*attempt) {
		return func(a *attempt) {
			a.Shape = instead("ds:KeyInfo", 0, func(string) string { return "<ds:KeyInfo>" + text + "</ds:KeyInfo>" })
		}
	}
	certificate := func(keys ...Key) (s string) {
		for _, k := range keys {
			s += "<ds:X509Certificate>" + k.Base64() + "</ds:X509Certificate>"
		}
		return "<ds:X509Data>" + s + "</ds:X509Data>"
	}
	pub, _ := Stranger().Signer.Public().(*rsa.PublicKey)
	value := "<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>" + base64.StdEncoding.EncodeToString(pub.N.Bytes()) + "</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>"
	stranger := func(text string) func(*attempt) { return also(by(Stranger()), keyInfo(text)) }
	table := shapes([]row{
		{"SAML-17 every signature taken out", altered(bare), missing, ""},
		{"SAML-17 another person under the genuine signature", altered(swap(Person, Mallory)), invalid, ""},
		{"SAML-17 an empty Signature", altered(func(x string) string { return swap(theirs(x), `<ds:Signature xmlns:ds="`+dsigNS+`"/>`)(x) }), shape, ""},
		{"SAML-17 an empty SignatureValue", altered(instead("ds:SignatureValue", 0, func(string) string { return "<ds:SignatureValue></ds:SignatureValue>" })), shape, ""},
		{"SAML-17 no SignatureValue", altered(without("ds:SignatureValue", 0)), shape, ""},
		{"SAML-17 two SignatureValues", altered(twice("ds:SignatureValue", 0)), shape, ""},
		{"SAML-17 an empty DigestValue", altered(instead("ds:DigestValue", 0, func(string) string { return "<ds:DigestValue></ds:DigestValue>" })), shape, ""},
		{"SAML-17 no SignedInfo", altered(without("ds:SignedInfo", 0)), shape, ""},
		{"SAML-17 two SignedInfos", altered(twice("ds:SignedInfo", 0)), shape, ""},
		{"SAML-17 no Reference", altered(without("ds:Reference", 0)), shape, ""},
		{"SAML-17 the signature moved behind the Subject", altered(moved("<saml:Conditions")), shape, ""},
		{"SAML-17 the signature moved into the Subject", altered(moved("<saml:SubjectConfirmation ")), shape, ""},
		{"SAML-17 the signature moved to the end of the response", altered(moved("</samlp:Response>")), shape, ""},
		{"SAML-17 the signature moved into Status", altered(moved("<samlp:StatusCode")), shape, ""},
		{"SAML-17 the signature before the Issuer", altered(func(x string) string {
			return swap("<saml:Issuer>"+Issuer+"</saml:Issuer>"+theirs(x), theirs(x)+"<saml:Issuer>"+Issuer+"</saml:Issuer>")(x)
		}), shape, ""},
	})
	return append(table, []row{
		{"SAML-17 the assertion's signature on the response", altered(func(x string) string {
			return after("</saml:Issuer>", theirs(x))(swap(theirs(x), "")(x))
		}), shape, ""},
		{"SAML-17 the signature is of the subject", also(edited(set("saml:Subject", 0, "ID", "_subject")), shaped(swap("#"+AssertionID, "#_subject"))), shape, ""},
		{"SAML-17 the response's signature is of the assertion", also(signing(Response), shaped(swap("#"+ResponseID, "#"+AssertionID))), shape, ""},
		{"SAML-17 the assertion's signature is of the response", shaped(swap("#"+AssertionID, "#"+ResponseID)), shape, ""},
		{"SAML-17 the signature of another login", altered(func(x string) string {
			l := Genuine()
			l.NameID = "another@corp.example"
			return swap(theirs(x), theirs(l.Text()))(x)
		}), invalid, ""},
		{"SAML-17 the signature's element in another namespace", altered(swapAll("<ds:", "<x:"), swapAll("</ds:", "</x:"), swap("xmlns:ds=", `xmlns:x="urn:example:other" xmlns:y=`)), missing, ""},
		{"SAML-19 a stranger's key and certificate", by(Stranger()), invalid, ""},
		{"SAML-19 a stranger's key without KeyInfo", also(by(Stranger()), func(a *attempt) { a.KeyInfo = false }), invalid, ""},
		{"SAML-19 a stranger's key under our provider's certificate", stranger(certificate(Provider())), invalid, ""},
		{"SAML-19 a stranger's key and both certificates", stranger(certificate(Provider(), Stranger())), invalid, ""},
		{"SAML-19 a stranger's key and both certificates, its own first", stranger(certificate(Stranger(), Provider())), invalid, ""},
		{"SAML-19 a stranger's key and a KeyName", stranger("<ds:KeyName>idp.example</ds:KeyName>"), invalid, ""},
		{"SAML-19 a stranger's key and its value", stranger(value), invalid, ""},
		{"SAML-19 a stranger's key and a place to fetch it", stranger(`<ds:RetrievalMethod URI="` + nobody + `/key" Type="http://www.w3.org/2000/09/xmldsig#rawX509Certificate"/>`), invalid, ""},
		{"SAML-19 the right key under a stranger's certificate", keyInfo(certificate(Stranger())), accepted, ""},
		{"SAML-19 the right key and a stranger's value", keyInfo(value), accepted, ""},
		{"SAML-19 the right key and a KeyName", keyInfo("<ds:KeyName>idp.example</ds:KeyName>"), accepted, ""},
		{"SAML-19 the right key and a certificate that is none", keyInfo("<ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data>"), accepted, ""},
		{"SAML-19 the key of a connection that has another", terms(func(t *Terms) { t.Certificates = certificates(Other()) }), invalid, ""},
		{"SAML-19 a connection without a certificate", terms(func(t *Terms) { t.Certificates = nil }), invalid, ""},
	}...)
}

// policies are what a connection demands against what a message has.
func policies() (table []row) {
	for _, policy := range []string{"either", "assertion", "response", "both"} {
		for _, s := range []Signed{Unsigned, Assertion, Response, Both} {
			want := failure.SAMLSignatureMissing
			switch {
			case policy == "either" && s != Unsigned, policy == "assertion" && s&Assertion != 0, policy == "response" && s&Response != 0, s == Both:
				want = accepted
			}
			table = append(table, []row{
				{"SAML-18 SSO-59 signed: " + policy + ", " + s.String(), also(signing(s), terms(func(t *Terms) { t.Signed = policy })), want, ""},
			}...)
		}
	}
	return table
}

// algorithms are signed for what they name, so that nothing else is wrong.
func algorithms() []row {
	const weak = failure.SAMLWeakAlgorithm
	return []row{
		{"SAML-20 RSA and SHA-1", algorithm(RSASHA1, SHA256), weak, Accepts},
		{"SAML-20 a digest by SHA-1", algorithm("", SHA1), weak, Accepts},
		{"SAML-20 both by SHA-1", algorithm(RSASHA1, SHA1), weak, Accepts},
		{"SAML-20 RSA and MD5", algorithm(RSAMD5, SHA256), weak, ""},
		{"SAML-20 a digest by MD5", algorithm("", MD5), weak, ""},
		{"SAML-20 HMAC and SHA-1 with the public key", algorithm(HMACSHA1, ""), weak, ""},
		{"SAML-20 HMAC and SHA-256 with the public key", algorithm(HMACSHA256, ""), weak, ""},
		{"SAML-20 DSA", algorithm(DSASHA1, ""), weak, ""},
		{"SAML-20 elliptic and SHA-1", also(by(P256()), algorithm(ECDSASHA1, ""), terms(func(t *Terms) { t.Certificates = certificates(P256()) })), weak, ""},
		{"SAML-20 an elliptic signature in DER", also(by(P256()), func(a *attempt) { a.DER = true }, terms(func(t *Terms) { t.Certificates = certificates(P256()) })), failure.SAMLSignatureInvalid, Accepts},
		{"SAML-20 an elliptic signature with a zero between its halves", also(by(P256()), terms(func(t *Terms) { t.Certificates = certificates(P256()) }), altered(halves(func(r, s []byte) []byte {
			return append(append(r, 0), s...)
		}))), failure.SAMLSignatureInvalid, ""},
		{"SAML-20 an elliptic signature of one octet", also(by(P256()), terms(func(t *Terms) { t.Certificates = certificates(P256()) }), altered(halves(func(r, _ []byte) []byte { return r[:1] }))), failure.SAMLSignatureInvalid, ""},
		{"SAML-20 an elliptic curve of 224 bits", also(by(P224()), terms(func(t *Terms) { t.Certificates = certificates(P224()) })), failure.SAMLSignatureInvalid, ""},
		{"SAML-20 an RSA key of 1024 bits", also(by(Short()), terms(func(t *Terms) { t.Certificates = certificates(Short()) })), weak, Accepts},
		{"SAML-20 an RSA key of 1024 bits beside a long one", also(by(Short()), terms(func(t *Terms) { t.Certificates = certificates(Provider(), Short()) })), weak, Accepts},
		{"SAML-20 RSA of the name of an elliptic method", altered(swap(RSASHA256, ECDSASHA256)), failure.SAMLSignatureInvalid, ""},
		{"SAML-20 a method that nobody knows", algorithm("urn:example:method", ""), failure.SAMLSignatureShape, ""},
		{"SAML-20 an empty method", shaped(swap(`"`+RSASHA256+`"`, `""`)), failure.SAMLSignatureShape, ""},
	}
}

// halves writes the two numbers of an elliptic signature otherwise.
func halves(write func(r, s []byte) []byte) edit {
	return instead("ds:SignatureValue", 0, func(e string) string {
		value := must(base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(e, "<ds:SignatureValue>"), "</ds:SignatureValue>")))
		half := len(value) / 2
		return "<ds:SignatureValue>" + base64.StdEncoding.EncodeToString(write(bytes.Clone(value[:half]), value[half:])) + "</ds:SignatureValue>"
	})
}

// references are transforms and addresses that the web browser profile does not have.
func references() []row {
	const shape = failure.SAMLSignatureShape
	transform := func(uri, inside string) func(*attempt) {
		return shaped(before("</ds:Transforms>", `<ds:Transform Algorithm="`+uri+`">`+inside+`</ds:Transform>`))
	}
	uri := func(to string) func(*attempt) { return shaped(swap(`URI="#`+AssertionID+`"`, to)) }
	second := func(to string) string {
		return `<ds:Reference URI="` + to + `"><ds:Transforms><ds:Transform Algorithm="` + enveloped + `"/><ds:Transform Algorithm="` + ExclusiveC14N + `"/></ds:Transforms>` +
			`<ds:DigestMethod Algorithm="` + SHA256 + `"/><ds:DigestValue>` + digest(SHA256, []byte("another element")) + `</ds:DigestValue></ds:Reference>`
	}
	var table []row
	for _, e := range []struct {
		name string
		n    int
	}{
		{"ds:Signature", 0}, {"ds:SignedInfo", 0}, {"ds:CanonicalizationMethod", 0}, {"ds:SignatureMethod", 0}, {"ds:Reference", 0}, {"ds:Transforms", 0}, {"ds:Transform", 0}, {"ds:Transform", 1},
		{"ec:InclusiveNamespaces", 0}, {"ds:DigestMethod", 0}, {"ds:DigestValue", 0}, {"ds:SignatureValue", 0},
	} {
		inside := instead(e.name, e.n, func(text string) string { // an element that was empty has a child then
			if strings.HasSuffix(text, "/>") {
				return strings.TrimSuffix(text, "/>") + `><x:more xmlns:x="urn:example:other"/></` + e.name + ">"
			}
			return strings.TrimSuffix(text, "</"+e.name+">") + `<x:more xmlns:x="urn:example:other"/></` + e.name + ">"
		})
		where := fmt.Sprintf("%s (%d)", e.name, e.n)
		table = append(table, []row{
			{"SAML-21 an unknown attribute of " + where, also(listing("saml"), shaped(set(e.name, e.n, "more", "x"))), shape, ""},
			{"SAML-21 an unknown child of " + where, also(listing("saml"), altered(inside)), shape, ""},
		}...)
	}
	box := `<x:Box xmlns:x="urn:example:other" ID="_box"><saml:Issuer>` + Issuer + `</saml:Issuer>`
	return append(table, []row{
		{"SAML-20 a method of a length", shaped(instead("ds:SignatureMethod", 0, func(string) string {
			return `<ds:SignatureMethod Algorithm="` + RSASHA256 + `"><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>`
		})), shape, Accepts},
		{"SAML-21 two canonicalizations and nothing else", shaped(swap(`Transform Algorithm="`+enveloped+`"`, `Transform Algorithm="`+ExclusiveC14N+`"`)), shape, ""},
		{"SAML-21 two enveloped transforms and nothing else", shaped(swap(`Transform Algorithm="`+ExclusiveC14N+`"`, `Transform Algorithm="`+enveloped+`"`)), shape, ""},
		{"SAML-17 a DigestValue with more behind its end", altered(swap("</ds:DigestValue>", "===</ds:DigestValue>")), shape, ""},
		{"SAML-17 a SignatureValue with more behind its end", altered(swap("</ds:SignatureValue>", "====</ds:SignatureValue>")), shape, ""},
		{"SAML-17 a SignatureValue with bits behind its end", altered(func(x string) string {
			at := strings.Index(x, "==</ds:SignatureValue>") - 1
			return x[:at] + string(x[at]+1) + x[at+1:]
		}), shape, Accepts},
		{"SAML-17 a DigestValue of another length", shaped(swap(digestMark, digest(SHA512, nil))), shape, ""},
		{"SAML-17 a signature behind the Issuer of another element", altered(func(x string) string {
			return before("<samlp:Status>", extensions(box+swap("#"+AssertionID, "#_box")(theirs(x))+"</x:Box>"))(x)
		}), shape, ""},
		{"SAML-17 an assertion that holds nothing but its signature", altered(func(x string) string {
			return instead("saml:Assertion", 0, func(a string) string { return a[:strings.Index(a, ">")+1] + theirs(x) + "</saml:Assertion>" })(x)
		}), shape, ""},
		{"SAML-21 an XSLT transform", transform("http://www.w3.org/TR/1999/REC-xslt-19991116", `<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/"><xsl:value-of select="document('`+nobody+`')"/></xsl:template></xsl:stylesheet>`), shape, ""},
		{"SAML-21 an XPath transform", transform("http://www.w3.org/TR/1999/REC-xpath-19991116", `<ds:XPath>false()</ds:XPath>`), shape, ""},
		{"SAML-21 an XPath filter", transform("http://www.w3.org/2002/06/xmldsig-filter2", ""), shape, ""},
		{"SAML-21 a base64 transform", transform(dsigNS+"base64", ""), shape, ""},
		{"SAML-21 the enveloped transform twice", transform(enveloped, ""), shape, ""},
		{"SAML-21 the canonicalization twice", transform(ExclusiveC14N, ""), shape, Accepts},
		{"SAML-21 no transforms", shaped(without("ds:Transforms", 0)), shape, ""},
		{"SAML-21 no canonicalization", shaped(without("ds:Transform", 1)), shape, ""},
		{"SAML-21 no enveloped transform", shaped(without("ds:Transform", 0)), shape, ""},
		{"SAML-21 the transforms in the other order", shaped(func(s string) string { return twice("ds:Transform", 1)(s) }, without("ds:Transform", 0), instead("ds:Transform", 1, func(string) string { return `<ds:Transform Algorithm="` + enveloped + `"/>` })), shape, Accepts},
		{"SAML-21 an XPointer of the ID", uri(`URI="#xpointer(id('` + AssertionID + `'))"`), shape, ""},
		{"SAML-21 an XPointer of everything", uri(`URI="#xpointer(/)"`), shape, ""},
		{"SAML-21 an empty URI", uri(`URI=""`), shape, Accepts},
		{"SAML-21 no URI", uri(``), shape, Accepts},
		{"SAML-21 a URI of one number sign", uri(`URI="#"`), shape, ""},
		{"SAML-21 a URI of another letter before the ID", uri(`URI="?` + AssertionID + `"`), shape, Accepts},
		{"SAML-21 a URI of another host", uri(`URI="` + nobody + `/#` + AssertionID + `"`), shape, ""},
		{"SAML-21 SAML-22 two references, the other one first", shaped(before("<ds:Reference", second("#_other"))), shape, Accepts},
		{"SAML-21 SAML-22 two references, the other one second", shaped(after("</ds:Reference>", second("#_other"))), shape, Accepts},
		{"SAML-22 two references to the same element", shaped(after("</ds:Reference>", second("#"+AssertionID))), shape, Accepts},
		{"SAML-22 two references to it, the false one first", shaped(before("<ds:Reference", second("#"+AssertionID))), shape, ""},
		{"SAML-22 the reference to the response of a signature of the assertion", shaped(after("</ds:Reference>", second("#"+ResponseID))), shape, Accepts},
		{"SAML-21 a Manifest in an Object", shaped(before("</ds:Signature>", "<ds:Object><ds:Manifest>"+second("#"+AssertionID)+"</ds:Manifest></ds:Object>")), shape, Accepts},
		{"SAML-21 an unknown child of the signature", shaped(before("</ds:Signature>", `<x:more xmlns:x="urn:example:other"/>`)), shape, Accepts},
		{"SAML-21 text in the signature", altered(swap("<ds:SignatureValue>", "text<ds:SignatureValue>")), shape, Accepts},
	}...)
}
