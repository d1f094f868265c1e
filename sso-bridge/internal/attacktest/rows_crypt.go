// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// Ours is a key of the service provider that a provider could encrypt to. The product has
// none: it is here so that a library that decrypts can be shown what it does.
var Ours = key("ours", rsaKey(2048), Now.AddDate(1, 0, 0))

const (
	xenc11 = "http://www.w3.org/2009/xmlenc11#"
	oaep   = xencNS + "rsa-oaep-mgf1p"
	cbc128 = xencNS + "aes128-cbc"
	gcm128 = xenc11 + "aes128-gcm"
	des3   = xencNS + "tripledes-cbc"
	rsa15  = xencNS + "rsa-1_5"
)

// sealed is an element EncryptedData: bytes under a fresh key of a size, which is under
// our public key. What stands in it is of the attacker's choosing.
func sealed(algorithm, transport string, contentKey, content []byte) string {
	pub, _ := Ours().Signer.Public().(*rsa.PublicKey)
	h := sha1.New() // #nosec G401 -- it is what the algorithm of 2001 means
	under := must(rsa.EncryptOAEP(h, rand.Reader, pub, contentKey, nil))
	enc := base64.StdEncoding.EncodeToString
	return `<xenc:EncryptedData xmlns:xenc="` + xencNS + `" Type="` + xencNS + `Element"><xenc:EncryptionMethod Algorithm="` + algorithm + `"/>` +
		`<ds:KeyInfo xmlns:ds="` + dsigNS + `"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="` + transport + `"/><xenc:CipherData><xenc:CipherValue>` + enc(under) +
		`</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>` + enc(content) + `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>`
}

func assertionOf(data string) string {
	return "<saml:EncryptedAssertion>" + data + "</saml:EncryptedAssertion>"
}

// cbc encrypts as XML Encryption pads.
func cbc(k []byte, plain string) []byte {
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	text := append([]byte(plain), make([]byte, pad)...)
	text[len(text)-1] = byte(pad)
	iv := make([]byte, aes.BlockSize)
	out := make([]byte, len(text))
	cipher.NewCBCEncrypter(must(aes.NewCipher(k)), iv).CryptBlocks(out, text)
	return append(iv, out...)
}

// PanicShapes are the encrypted messages on which the library panics before it knows who
// sent them: nothing of them is signed.
func PanicShapes() []Attack {
	var all []Attack
	for _, r := range panics() {
		all = append(all, r.attack())
	}
	return all
}

func panics() []row {
	k := make([]byte, 16)
	in := func(data string) func(*attempt) {
		return also(signing(Unsigned), edited(instead("saml:Assertion", 0, func(string) string { return assertionOf(data) })))
	}
	const off = failure.SAMLEncryptionDisabled
	return []row{
		{"SAML-46 SSO-58 CBC of no whole blocks", in(sealed(cbc128, oaep, k, make([]byte, 21))), off, Panics},
		{"SAML-46 SSO-58 a text without a root", in(sealed(cbc128, oaep, k, cbc(k, "<!-- nothing -->"))), off, Panics},
		{"SAML-46 SSO-58 white space without a root", in(sealed(cbc128, oaep, k, cbc(k, " \n "))), off, Panics},
		{"SAML-46 SSO-58 a short GCM", in(sealed(gcm128, oaep, k, make([]byte, 5))), off, Panics},
		{"SAML-46 SSO-58 triple DES", in(sealed(des3, oaep, make([]byte, 8), make([]byte, 32))), off, Panics},
	}
}

// encrypted is whatever hides from a reader; nobody unwraps it.
func encrypted(canary string) []row {
	const off = failure.SAMLEncryptionDisabled
	k := make([]byte, 16)
	plain := piece(Genuine().Text(), "saml:Assertion", 0)
	good := sealed(cbc128, oaep, k, cbc(k, set("saml:Assertion", 0, "xmlns:saml", assertionNS)(plain)))
	inPlace := edited(instead("saml:Assertion", 0, func(string) string { return assertionOf(good) }))
	reference := strings.Replace(good, "<xenc:CipherValue>", `<xenc:CipherReference URI="`+canary+`/c"/><xenc:CipherValue>`, 1)
	table := append(panics(), []row{
		{"SAML-46 SSO-60 the whole assertion, unsigned response", also(signing(Unsigned), inPlace), off, Accepts},
		{"SAML-46 SSO-60 the whole assertion, signed response", also(signing(Response), inPlace), off, Accepts},
		{"SAML-46 beside a plain one, before it", altered(before("<saml:Assertion", assertionOf(good))), off, Accepts},
		{"SAML-46 beside a plain one, after it", altered(swapLast("</samlp:Response>", assertionOf(good)+"</samlp:Response>")), off, Accepts},
		{"SAML-46 in Extensions", altered(before("<samlp:Status>", extensions(assertionOf(good)))), off, Accepts},
		{"SAML-46 in Advice", edited(after("</saml:Conditions>", "<saml:Advice>"+assertionOf(good)+"</saml:Advice>")), off, Accepts},
		{"SAML-46 SSO-60 an EncryptedID for the NameID", edited(instead("saml:NameID", 0, func(string) string { return "<saml:EncryptedID>" + good + "</saml:EncryptedID>" })), off, Accepts},
		{"SAML-46 SSO-60 an EncryptedID beside the NameID", edited(before("<saml:NameID", "<saml:EncryptedID>"+good+"</saml:EncryptedID>")), off, Accepts},
		{"SAML-46 an EncryptedID in the confirmation", edited(before("<"+data, "<saml:EncryptedID>"+good+"</saml:EncryptedID>")), off, Accepts},
		{"SAML-46 SSO-60 an EncryptedAttribute", edited(before("</saml:AttributeStatement>", "<saml:EncryptedAttribute>"+good+"</saml:EncryptedAttribute>")), off, Accepts},
		{"SAML-46 a CipherReference", also(signing(Unsigned), edited(instead("saml:Assertion", 0, func(string) string { return assertionOf(reference) }))), off, ""},
		{"SAML-46 a CipherReference and nothing else", also(signing(Unsigned), edited(instead("saml:Assertion", 0, func(string) string {
			return assertionOf(`<xenc:EncryptedData xmlns:xenc="` + xencNS + `"><xenc:EncryptionMethod Algorithm="` + cbc128 + `"/><xenc:CipherData><xenc:CipherReference URI="` + canary + `/c"/></xenc:CipherData></xenc:EncryptedData>`)
		}))), off, ""},
		{"SAML-46 an empty EncryptedAssertion", also(signing(Unsigned), edited(instead("saml:Assertion", 0, func(string) string { return assertionOf("") }))), off, ""},
		{"SAML-46 EncryptedData alone", edited(before("<saml:Subject>", good)), off, Accepts},
		{"SAML-46 EncryptedData in an attribute's value", edited(swap("alice@mail.example", good)), off, Accepts},
	}...)
	// The answer is one, whatever algorithm is named and whatever its padding says.
	for _, content := range []string{cbc128, xencNS + "aes192-cbc", xencNS + "aes256-cbc", gcm128, xenc11 + "aes256-gcm", des3, "urn:example:none"} {
		for _, transport := range []string{oaep, xenc11 + "rsa-oaep", rsa15, "urn:example:none"} {
			for i, bytes := range [][]byte{cbc(k, "x"), make([]byte, 48)} {
				table = append(table, []row{
					{fmt.Sprintf("SAML-47 SSO-60 %s under %s, padding %d", content, transport, i), also(signing(Unsigned), edited(instead("saml:Assertion", 0, func(string) string {
						return assertionOf(sealed(content, transport, k, bytes))
					}))), off, ""},
				}...)
			}
		}
	}
	return table
}
