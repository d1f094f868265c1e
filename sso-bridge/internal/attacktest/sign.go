// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	_ "crypto/md5"  // to sign as no provider should
	_ "crypto/sha1" // likewise
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// Algorithms of signatures and digests, the weak ones too.
const (
	ExclusiveC14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
	enveloped     = dsigNS + "enveloped-signature"

	more = "http://www.w3.org/2001/04/xmldsig-more#"

	RSASHA1   = dsigNS + "rsa-sha1"
	RSAMD5    = more + "rsa-md5"
	RSASHA256 = more + "rsa-sha256"
	RSASHA384 = more + "rsa-sha384"
	RSASHA512 = more + "rsa-sha512"

	ECDSASHA1   = more + "ecdsa-sha1"
	ECDSASHA256 = more + "ecdsa-sha256"
	ECDSASHA384 = more + "ecdsa-sha384"

	HMACSHA1   = dsigNS + "hmac-sha1"
	HMACSHA256 = more + "hmac-sha256"
	DSASHA1    = dsigNS + "dsa-sha1"

	SHA1   = dsigNS + "sha1"
	MD5    = more + "md5"
	SHA256 = xencNS + "sha256"
	SHA384 = more + "sha384"
	SHA512 = xencNS + "sha512"
)

var hashes = map[string]crypto.Hash{
	SHA1: crypto.SHA1, MD5: crypto.MD5, SHA256: crypto.SHA256, SHA384: crypto.SHA384, SHA512: crypto.SHA512,
	RSASHA1: crypto.SHA1, RSAMD5: crypto.MD5, RSASHA256: crypto.SHA256, RSASHA384: crypto.SHA384, RSASHA512: crypto.SHA512,
	ECDSASHA1: crypto.SHA1, ECDSASHA256: crypto.SHA256, ECDSASHA384: crypto.SHA384, HMACSHA1: crypto.SHA1, HMACSHA256: crypto.SHA256, DSASHA1: crypto.SHA1,
}

// What a signature holds until it is known.
const (
	digestMark = "{{digest}}"
	valueMark  = "{{value}}"
)

// sign puts a signature where mark is. What it refers to is the element with the ID of
// its place; the signature itself is not part of what is digested. It signs whatever
// Shape made of SignedInfo, for an attacker may be a provider.
func (l Login) sign(text, mark string) string {
	id := ResponseID
	if mark == assertionMark {
		id = AssertionID
	}
	if strings.Count(text, mark) != 1 {
		panic("attacktest: " + mark + " stands not once")
	}
	if l.Shape != nil {
		return l.signed(text, mark, id)
	}
	// Most attacks alter one message, which is signed once.
	key := fmt.Sprintf("%p %s %s %s %t %t %s %s", l.Key.Certificate, l.Method, l.Digest, l.C14N, l.DER, l.KeyInfo, mark, text)
	if l.PrefixList != nil {
		key += *l.PrefixList
	}
	if known, ok := made.Load(key); ok {
		out, _ := known.(string)
		return out
	}
	out := l.signed(text, mark, id)
	made.Store(key, out)
	return out
}

// made are the messages that were signed, by all that they depend on.
var made sync.Map

func (l Login) signed(text, mark, id string) string {
	digestURI, method, c14n := l.Digest, l.Method, l.C14N
	if digestURI == "" {
		digestURI = SHA256
	}
	if method == "" {
		method = RSASHA256
		if _, ok := l.Key.Signer.(*ecdsa.PrivateKey); ok {
			method = ECDSASHA256
		}
	}
	if c14n == "" {
		c14n = ExclusiveC14N
	}
	list := ""
	if l.PrefixList != nil {
		list = `<ec:InclusiveNamespaces xmlns:ec="` + ExclusiveC14N + `" PrefixList="` + *l.PrefixList + `"/>`
	}
	signature := `<ds:Signature xmlns:ds="` + dsigNS + `"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="` + c14n + `"/><ds:SignatureMethod Algorithm="` + method + `"/>` +
		`<ds:Reference URI="#` + id + `"><ds:Transforms><ds:Transform Algorithm="` + enveloped + `"/><ds:Transform Algorithm="` + c14n + `">` + list + `</ds:Transform></ds:Transforms>` +
		`<ds:DigestMethod Algorithm="` + digestURI + `"/><ds:DigestValue>` + digestMark + `</ds:DigestValue></ds:Reference></ds:SignedInfo>` +
		`<ds:SignatureValue>` + valueMark + `</ds:SignatureValue>`
	if l.KeyInfo {
		signature += `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + l.Key.Base64() + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`
	}
	signature += `</ds:Signature>`
	if l.Shape != nil {
		signature = l.Shape(signature)
	}
	plain := strings.NewReplacer(responseMark, "", assertionMark, "").Replace(text)
	prefixes := ""
	if l.PrefixList != nil {
		prefixes = *l.PrefixList
	}
	if strings.Contains(signature, digestMark) {
		signature = strings.ReplaceAll(signature, digestMark, digest(digestURI, canonical(find(plain, func(e *etree.Element) bool { return e.SelectAttrValue("ID", "") == id }), c14n, prefixes)))
	}
	text = strings.Replace(text, mark, signature, 1)
	if !strings.Contains(signature, valueMark) {
		return text
	}
	// SignedInfo is canonical where it stands.
	info := find(text, func(e *etree.Element) bool {
		if e.Tag != "SignedInfo" || e.Parent() == nil {
			return false
		}
		for _, c := range e.Parent().ChildElements() {
			if c.Tag == "SignatureValue" && strings.TrimSpace(c.Text()) == valueMark {
				return true
			}
		}
		return false
	})
	return strings.Replace(text, valueMark, l.value(method, canonical(info, c14n, "")), 1)
}

func digest(uri string, text []byte) string {
	h := hashes[uri].New()
	_, _ = h.Write(text)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// value signs: RSA by PKCS #1, ECDSA as the two numbers one behind the other (RFC 6931,
// section 2.3.6), HMAC with what everybody knows.
func (l Login) value(method string, text []byte) string {
	hash, ok := hashes[method]
	if !ok {
		hash = crypto.SHA256
	}
	if strings.Contains(method, "#hmac-") {
		mac := hmac.New(hash.New, l.Key.Certificate.RawSubjectPublicKeyInfo)
		_, _ = mac.Write(text)
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	h := hash.New()
	_, _ = h.Write(text)
	signed := must(l.Key.Signer.Sign(nil, h.Sum(nil), hash))
	if k, ok := l.Key.Signer.(*ecdsa.PrivateKey); ok && !l.DER {
		var pair struct{ R, S *big.Int }
		_ = must(asn1.Unmarshal(signed, &pair))
		size := (k.Params().BitSize + 7) / 8
		signed = append(pair.R.FillBytes(make([]byte, size)), pair.S.FillBytes(make([]byte, size))...)
	}
	return base64.StdEncoding.EncodeToString(signed)
}

// find gives the first element that fits, within its document.
func find(text string, fits func(*etree.Element) bool) *etree.Element {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil {
		panic("attacktest: " + err.Error())
	}
	var in func(*etree.Element) *etree.Element
	in = func(e *etree.Element) *etree.Element {
		if fits(e) {
			return e
		}
		for _, c := range e.ChildElements() {
			if found := in(c); found != nil {
				return found
			}
		}
		return nil
	}
	if found := in(&doc.Element); found != nil {
		return found
	}
	panic("attacktest: nothing to sign")
}

// canonical gives the octets of an element with the namespaces that it inherits.
func canonical(e *etree.Element, algorithm, prefixes string) []byte {
	var c dsig.Canonicalizer
	switch dsig.AlgorithmID(algorithm) {
	case dsig.CanonicalXML10ExclusiveWithCommentsAlgorithmId:
		c = dsig.MakeC14N10ExclusiveWithCommentsCanonicalizerWithPrefixList(prefixes)
	case dsig.CanonicalXML11AlgorithmId:
		c = dsig.MakeC14N11Canonicalizer()
	case dsig.CanonicalXML11WithCommentsAlgorithmId:
		c = dsig.MakeC14N11WithCommentsCanonicalizer()
	case dsig.CanonicalXML10RecAlgorithmId:
		c = dsig.MakeC14N10RecCanonicalizer()
	case dsig.CanonicalXML10WithCommentsAlgorithmId:
		c = dsig.MakeC14N10WithCommentsCanonicalizer()
	default: // an unknown one is signed as the one that ought to be there
		c = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes)
	}
	return must(c.Canonicalize(detached(e)))
}

// detached is a copy of an element with every declaration that it inherits.
func detached(e *etree.Element) *etree.Element {
	out := e.Copy()
	for p := e.Parent(); p != nil; p = p.Parent() {
		for _, a := range p.Attr {
			if name := a.FullKey(); (a.Space == "xmlns" || name == "xmlns") && out.SelectAttr(name) == nil {
				out.Attr = append(out.Attr, a)
			}
		}
	}
	return out
}
