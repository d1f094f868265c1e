// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"strings"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// genuine are logins as providers send them, each of which has to be accepted.
func genuine() []row {
	return append(shapes([]row{
		{"genuine with prefixes", func(*attempt) {}, accepted, ""},
		{"genuine with prefixes declared again", named(Everywhere), accepted, ""},
		{"SAML-25 genuine with default namespaces", named(Unprefixed), accepted, ""},
		{"SAML-25 genuine with an inherited default namespace", named(Inherited), accepted, Refuses},
		{"SAML-25 genuine with other prefixes", named(OtherNames), accepted, ""},
		{"SAML-16 genuine with typed values and a PrefixList of xs", also(named(WithSchemas), listing("xs")), accepted, ""},
		{"SAML-53 genuine without KeyInfo", func(a *attempt) { a.KeyInfo = false }, accepted, ""},
		{"genuine with a signature without a prefix", shaped(swapAll("<ds:", "<"), swapAll("</ds:", "</"), swap("xmlns:ds=", "xmlns=")), accepted, ""},
		{"genuine with a value in lines", shaped(swap(valueMark, "\n  "+valueMark+"\n")), accepted, ""},
		{"genuine on an elliptic curve", also(by(P256()), terms(func(t *Terms) { t.Certificates = certificates(P256()) })), accepted, ""},
	}), []row{
		{"genuine with RSA and SHA-384", algorithm(RSASHA384, SHA384), accepted, ""},
		{"genuine with RSA and SHA-512", algorithm(RSASHA512, SHA512), accepted, ""},
		{"genuine with an Id of SignedInfo", shaped(swap("<ds:SignedInfo>", `<ds:SignedInfo Id="_info">`)), accepted, ""},
		{"genuine on P-384", also(by(P384()), algorithm(ECDSASHA384, SHA384), terms(func(t *Terms) { t.Certificates = certificates(P384()) })), accepted, ""},
		{"SAML-53 two certificates and no KeyInfo", also(by(Other()), func(a *attempt) { a.KeyInfo = false }, terms(func(t *Terms) { t.Certificates = certificates(Provider(), Other()) })), accepted, Refuses},
		{"SAML-53 two certificates, the second in KeyInfo", also(by(Other()), terms(func(t *Terms) { t.Certificates = certificates(Provider(), Other()) })), accepted, ""},
		{"SAML-54 an expired certificate", also(by(Expired()), terms(func(t *Terms) { t.Certificates = certificates(Expired()) })), accepted, Refuses},
		{"SAML-54 an expired certificate where it is refused", also(by(Expired()), terms(func(t *Terms) { t.Certificates, t.RefuseExpired = certificates(Expired()), true })), failure.SAMLCertificateExpired, ""},
		{"SAML-54 an expired certificate beside the one that signed", terms(func(t *Terms) { t.Certificates, t.RefuseExpired = certificates(Expired(), Provider()), true }), accepted, ""},
		{"genuine with an XML declaration", altered(func(x string) string { return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + x + "\n" }), accepted, ""},
		{"genuine with line breaks between elements", edited(swapAll("><", ">\n  <")), accepted, ""},
		{"genuine without an Issuer of the response", edited(without("saml:Issuer", ofResponse)), accepted, ""},
		{"genuine without a Destination", edited(unset("samlp:Response", 0, "Destination")), accepted, ""},
		{"genuine with a name of two scripts", called("Ægir 王@corp.example"), accepted, ""},
		{"genuine with an escaped name", called("alice &amp; bob"), accepted, ""},
	}...)
}

// forged is the genuine assertion as an attacker would have it: another person, another
// ID, and no signature.
func forged(x string) string {
	a := bare(piece(x, "saml:Assertion", 0))
	return strings.NewReplacer(Person, Mallory, AssertionID, "_forged").Replace(a)
}

// bare takes every signature out.
func bare(x string) string {
	for strings.Contains(x, "<ds:Signature ") {
		x = without("ds:Signature", 0)(x)
	}
	return x
}

// own gives the signature that an element has itself, which the message may not have.
func own(x, name string) string {
	e := piece(x, name, 0)
	head := e
	if at := strings.Index(e, "</saml:Issuer>"); at >= 0 {
		head = e[at+len("</saml:Issuer>"):]
	}
	if !strings.HasPrefix(head, "<ds:Signature ") {
		return ""
	}
	return piece(head, "ds:Signature", 0)
}

// theirs is the assertion's signature, or the response's where it has none.
func theirs(x string) string {
	if s := own(x, "saml:Assertion"); s != "" {
		return s
	}
	return own(x, "samlp:Response")
}

// object puts text into a signature.
func object(signature, text string) string {
	return swap("</ds:Signature>", "<ds:Object>"+text+"</ds:Object></ds:Signature>")(signature)
}

func extensions(text string) string {
	return "<samlp:Extensions>" + text + "</samlp:Extensions>"
}

// holding puts an assertion in the place of the genuine one, with a signature after its
// Issuer.
func holding(assertion, signature string) edit {
	return instead("saml:Assertion", 0, func(string) string { return after("</saml:Issuer>", signature)(assertion) })
}

// forgedResponse makes one around the forged assertion of a genuine one.
func forgedResponse(x, signature string) string {
	r := strings.NewReplacer(Person, Mallory, AssertionID, "_forged", ResponseID, "_forgedresponse").Replace(bare(x))
	return after("</saml:Issuer>", signature)(r)
}

// wrapping are the shapes in which the signature stays good and another element is read.
func wrapping() []row {
	const saml, shape = failure.SAMLStructure, failure.SAMLSignatureShape
	table := shapes([]row{
		{"SAML-01 a forged response, the genuine one in the copied signature", altered(func(x string) string {
			return forgedResponse(x, swap("</ds:Signature>", bare(x)+"</ds:Signature>")(theirs(x)))
		}), saml, ""},
		{"SAML-01 the genuine response around a forged one in its signature", altered(func(x string) string {
			return swap("</ds:Signature>", forgedResponse(x, "")+"</ds:Signature>")(x)
		}), saml, Accepts},
		{"SAML-02 a forged response, the genuine one beside its signature", altered(func(x string) string {
			return forgedResponse(x, theirs(x)+bare(x))
		}), saml, ""},
		{"SAML-02 a forged response around the whole genuine one", altered(func(x string) string { return forgedResponse(x, x) }), saml, ""},
		{"SAML-03 a forged assertion before the genuine one", altered(func(x string) string { return before("<saml:Assertion", forged(x))(x) }), saml, Accepts},
		{"SAML-03 a forged assertion before it, with a copy of the signature", altered(func(x string) string {
			return before("<saml:Assertion", after("</saml:Issuer>", theirs(x))(forged(x)))(x)
		}), saml, ""},
		{"SAML-04 a forged assertion around the genuine one", altered(func(x string) string {
			return instead("saml:Assertion", 0, func(a string) string { return swapLast("</saml:Assertion>", a+"</saml:Assertion>")(forged(x)) })(x)
		}), saml, ""},
		{"SAML-05 a forged assertion with the genuine signature, the original at the end", altered(func(x string) string {
			return swapLast("</samlp:Response>", bare(piece(x, "saml:Assertion", 0))+"</samlp:Response>")(holding(forged(x), theirs(x))(x))
		}), saml, ""},
		{"SAML-06 a forged assertion with the genuine signature, the original in it", altered(func(x string) string {
			return holding(forged(x), swap("</ds:Signature>", bare(piece(x, "saml:Assertion", 0))+"</ds:Signature>")(theirs(x)))(x)
		}), saml, ""},
		{"SAML-07 a forged assertion in Extensions", altered(func(x string) string { return before("<samlp:Status>", extensions(forged(x)))(x) }), saml, Accepts},
		{"SAML-07 a forged assertion in Extensions, the genuine one within it", altered(func(x string) string {
			return before("<samlp:Status>", extensions(swapLast("</saml:Assertion>", piece(x, "saml:Assertion", 0)+"</saml:Assertion>")(forged(x))))(without("saml:Assertion", 0)(x))
		}), saml, ""},
		{"SAML-08 the original in the ds:Object of a forged one", altered(func(x string) string {
			return holding(forged(x), object(theirs(x), bare(piece(x, "saml:Assertion", 0))))(x)
		}), saml, ""},
		{"SAML-08 a forged assertion in the genuine signature", altered(func(x string) string {
			return swap(theirs(x), object(theirs(x), forged(x)))(x)
		}), saml, Accepts},
		{"SAML-09 a forged assertion after the signed one", altered(func(x string) string { return swapLast("</samlp:Response>", forged(x)+"</samlp:Response>")(x) }), saml, Accepts},
		{"SAML-09 an assertion without a subject after the signed one", altered(func(x string) string {
			return swapLast("</samlp:Response>", without("saml:Subject", 0)(forged(x))+"</samlp:Response>")(x)
		}), saml, ""},
	})
	// Ten names places for the original, and each rule by itself.
	same := func(x string) string { return strings.ReplaceAll(forged(x), "_forged", AssertionID) }
	unlike := func(x string) string {
		return strings.ReplaceAll(bare(piece(x, "saml:Assertion", 0)), AssertionID, "_other")
	}
	for _, place := range []struct {
		name string
		put  func(original string) edit
	}{
		{"Extensions", func(o string) edit { return before("<samlp:Status>", extensions(o)) }},
		{"Advice", func(o string) edit { return after("</saml:Conditions>", "<saml:Advice>"+o+"</saml:Advice>") }},
		{"ds:Object", func(o string) edit { return swap("</ds:Signature>", "<ds:Object>"+o+"</ds:Object></ds:Signature>") }},
		{"StatusDetail", func(o string) edit {
			return before("</samlp:Status>", "<samlp:StatusDetail>"+o+"</samlp:StatusDetail>")
		}},
	} {
		table = append(table, shapes([]row{
			{"SAML-10 the same ID and signature, the original in " + place.name, altered(func(x string) string {
				return place.put(bare(piece(x, "saml:Assertion", 0)))(holding(same(x), theirs(x))(x))
			}), failure.SAMLMalformed, ""},
			{"SAML-10 two assertions of two IDs, the original in " + place.name, altered(func(x string) string {
				return place.put(unlike(x))(holding(forged(x), theirs(x))(x))
			}), saml, ""},
			{"SAML-10 one assertion and its ID once more in " + place.name, altered(func(x string) string {
				return place.put(`<x:Other xmlns:x="urn:example:other" ID="` + AssertionID + `"/>`)(holding(same(x), theirs(x))(x))
			}), failure.SAMLMalformed, ""},
		})...)
	}
	// A signed failure carries nobody.
	failed := all(swap("status:Success", "status:Responder"), without("saml:Assertion", 0))
	carried := func(x string) string {
		return swapLast("</samlp:Response>", forged(Genuine().Text())+"</samlp:Response>")(x)
	}
	return append(table, []row{
		{"SAML-11 a signed failure, a forged assertion put in", also(signing(Response), edited(failed), altered(carried)), failure.SAMLSignatureInvalid, ""},
		{"SAML-11 a signed failure made a success, a forged assertion put in", also(signing(Response), edited(failed), altered(carried, swap("status:Responder", "status:Success"))), failure.SAMLSignatureInvalid, ""},
		{"SAML-11 a signed failure within a forged response", also(signing(Response), edited(failed), altered(func(x string) string {
			return swap("<samlp:Status>", x+"<samlp:Status>")(forgedResponse(Genuine().Text(), ""))
		})), saml, ""},
		{"SAML-11 a stranger's signature of the response as a decoy", altered(func(x string) string {
			return after("</saml:Issuer>", own(Login{NameID: Person, Signed: Response, Key: Stranger(), KeyInfo: true}.Text(), "samlp:Response"))(x)
		}), failure.SAMLSignatureInvalid, ""},
		{"SAML-11 a second signature of the assertion as a decoy", altered(func(x string) string { return after("</ds:Signature>", theirs(x))(x) }), shape, ""},
		{"SAML-11 a third signature in Extensions", also(signing(Both), altered(func(x string) string { return before("<samlp:Status>", extensions(theirs(x)))(x) })), shape, ""},
	}...)
}

var kinds = []string{"NameID", "Subject", "Conditions", "Issuer"}

// foreign are elements of another namespace with the names that matter, and those that
// matter twice. The provider signs all of it: a person may choose what a provider says.
func foreign() (table []row) {
	const other = ` xmlns:x="urn:example:other"`
	code := map[string]failure.Code{"NameID": failure.SAMLNameID, "Subject": failure.SAMLStructure, "Conditions": failure.SAMLStructure, "Issuer": failure.SAMLStructure}
	for _, kind := range kinds {
		n := 0
		if kind == "Issuer" {
			n = ofAssertion
		}
		theirs := func(e string) string { // the whole of it in another namespace
			return strings.NewReplacer(Person, Mallory, "<saml:"+kind+">", "<x:"+kind+other+">", "<saml:"+kind+" ", "<x:"+kind+other+" ", "</saml:"+kind+">", "</x:"+kind+">").Replace(e)
		}
		want := code[kind]
		library := Accepts
		rows := shapes([]row{
			{"SAML-12 a foreign " + kind + " alone", edited(instead("saml:"+kind, n, theirs)), want, ""},
			{"SAML-12 a foreign " + kind + " before the genuine one", edited(instead("saml:"+kind, n, func(e string) string { return theirs(e) + e })), want, library},
			{"SAML-12 a foreign " + kind + " after the genuine one", edited(instead("saml:"+kind, n, func(e string) string { return e + theirs(e) })), want, library},
			{"SAML-13 the " + kind + " twice", edited(twice("saml:"+kind, n)), want, library},
			{"SAML-13 another " + kind + " before the genuine one", edited(instead("saml:"+kind, n, func(e string) string { return strings.ReplaceAll(e, Person, Mallory) + e })), want, library},
			{"SAML-13 another " + kind + " after the genuine one", edited(instead("saml:"+kind, n, func(e string) string { return e + strings.ReplaceAll(e, Person, Mallory) })), want, library},
		})
		for i := range rows { // the signature stands no longer behind the Issuer
			if kind == "Issuer" && !strings.HasSuffix(rows[i].name, Response.String()) {
				rows[i].want = failure.SAMLSignatureShape
			}
		}
		table = append(table, rows...)
	}
	return append(table, []row{
		{"SAML-12 a NameID of no namespace", edited(instead("saml:NameID", 0, func(string) string { return `<NameID>` + Mallory + `</NameID>` })), failure.SAMLNameID, Accepts},
		{"SAML-12 a foreign element within the NameID", edited(swap(">"+Person+"<", `>`+Person+`<x:more xmlns:x="urn:example:other">`+Mallory+`</x:more><`)), failure.SAMLNameID, Accepts},
		{"SAML-12 a foreign Assertion beside the genuine one", altered(func(x string) string {
			return before("<saml:Assertion", strings.NewReplacer("<saml:Assertion", `<x:Assertion xmlns:x="urn:example:other"`, "</saml:Assertion", "</x:Assertion").Replace(forged(x)))(x)
		}), failure.SAMLStructure, Accepts},
		{"SAML-12 a foreign Assertion in the place of the genuine one", altered(swap("<saml:Assertion", `<x:Assertion xmlns:x="urn:example:other"`), swap("</saml:Assertion", "</x:Assertion")), failure.SAMLStructure, ""},
	}...)
}
