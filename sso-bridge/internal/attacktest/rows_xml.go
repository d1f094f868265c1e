// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// texts hold what a parser may pass over at each offset of the texts that decide who
// signs in. Canonicalization leaves comments out, so that the signature holds.
func texts() (table []row) {
	const bad = failure.SAMLMalformed
	l := Genuine()
	l.Signed = Both
	signed := l.Text()
	for _, part := range []struct{ name, value string }{
		{"NameID", Person}, {"AttributeValue", "alice@mail.example"}, {"Issuer", Issuer}, {"Audience", Audience}, {"AuthnContextClassRef", Password},
	} {
		for at := 0; at <= len(part.value); at++ {
			put := func(what string) func(*attempt) {
				return text(swapLast(">"+part.value+"<", ">"+part.value[:at]+what+part.value[at:]+"<")(signed))
			}
			library := Library("")
			if part.name == "NameID" && at > 0 && at < len(part.value) {
				library = Accepts
			}
			where := fmt.Sprintf("at %d of %s", at, part.name)
			table = append(table, []row{
				{"SAML-14 a comment " + where, put("<!-- x -->"), bad, library},
				{"SAML-15 a processing instruction " + where, put("<?x y?>"), bad, ""},
				{"SAML-15 an empty CDATA " + where, put("<![CDATA[]]>"), bad, ""},
				{"SAML-15 an entity " + where, put("&x;"), bad, ""},
			}...)
		}
		table = append(table, []row{
			{"SAML-15 all of it CDATA in " + part.name, text(swapLast(">"+part.value+"<", "><![CDATA["+part.value+"]]><")(signed)), bad, Accepts},
			{"SAML-15 a numeric reference in " + part.name, text(swapLast(">"+part.value+"<", fmt.Sprintf(">&#x%x;%s<", part.value[0], part.value[1:]))(signed)), accepted, ""},
		}...)
	}
	return append(table, []row{
		{"SAML-14 a comment between elements", text(swap("<saml:Subject>", "<!-- x --><saml:Subject>")(signed)), bad, Accepts},
		{"SAML-14 a comment that the provider signed", edited(swap("<saml:Subject>", "<!-- x --><saml:Subject>")), bad, Accepts},
		{"SAML-14 a comment of another name", edited(swap(Person, "<!---->"+Person)), bad, Accepts},
		{"SAML-14 a comment in the signature", text(swap("<ds:DigestValue>", "<ds:DigestValue><!-- x -->")(signed)), bad, Accepts},
		{"SAML-14 a comment before the root", text("<!-- x -->" + signed), bad, Accepts},
		{"SAML-14 a comment behind the root", text(signed + "<!-- x -->"), bad, Accepts},
		{"SAML-15 a processing instruction before the root", text("<?x y?>" + signed), bad, Accepts},
		{"SAML-15 a processing instruction behind the declaration", text(`<?xml version="1.0"?><?x y?>` + signed), bad, Accepts},
		{"SAML-15 an entity that is no letter", text(swap(Person, "alice&nbsp;@corp.example")(signed)), bad, ""},
		{"SAML-15 CDATA that hides an end", edited(swap(Person, Person+"<![CDATA[</saml:NameID>]]>")), bad, Accepts},
	}...)
}

const doctype = `<!DOCTYPE samlp:Response [%s]>`

// outside are documents that want something of the world.
func outside(canary string) []row {
	const bad = failure.SAMLMalformed
	dtd := func(inside, in string) func(*attempt) {
		return altered(func(x string) string { return fmt.Sprintf(doctype, inside) + strings.Replace(x, Person, in, 1) })
	}
	return []row{
		{"SAML-23 an external entity in the NameID", dtd(`<!ENTITY e SYSTEM "`+canary+`/e">`, "&e;"), bad, ""},
		{"SAML-23 an external entity of a file", dtd(`<!ENTITY e SYSTEM "file:///etc/hostname">`, "&e;"), bad, ""},
		{"SAML-23 an external entity that nothing uses", dtd(`<!ENTITY e SYSTEM "`+canary+`/e">`, Person), bad, Accepts},
		{"SAML-23 a parameter entity", dtd(`<!ENTITY % e SYSTEM "`+canary+`/e"> %e;`, Person), bad, Accepts},
		{"SAML-23 an external subset", altered(func(x string) string { return `<!DOCTYPE samlp:Response SYSTEM "` + canary + `/d">` + x }), bad, Accepts},
		{"SAML-23 a public identifier", altered(func(x string) string { return `<!DOCTYPE samlp:Response PUBLIC "x" "` + canary + `/d">` + x }), bad, Accepts},
		{"SAML-23 an expansion", dtd(`<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">`, "&c;"), bad, ""},
		{"SAML-23 an entity for the genuine name", dtd(`<!ENTITY who "`+Person+`">`, "&who;"), bad, ""},
		{"SAML-23 an entity that is declared and not used", dtd(`<!ENTITY who "`+Person+`">`, Person), bad, Accepts},
		{"SAML-23 an attribute that the DTD makes an ID", dtd(`<!ATTLIST saml:Subject ID ID #IMPLIED>`, Person), bad, Accepts},
		{"SAML-23 an attribute that the DTD adds", dtd(`<!ATTLIST saml:NameID Format CDATA "`+Transient+`">`, Person), bad, Accepts},
		{"SAML-23 a DTD with nothing in it", altered(func(x string) string { return `<!DOCTYPE samlp:Response>` + x }), bad, Accepts},
		{"SAML-23 an external schema beside XInclude", edited(set("samlp:Response", 0, `xmlns:xi="http://www.w3.org/2001/XInclude" xi:x`, "y"), swap(Person, `<xi:include href="`+canary+`/x" parse="text"/>`)), failure.SAMLNameID, Accepts},
		{"SAML-23 an external schema", edited(set("saml:Assertion", 0, `xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation`, assertionNS+" "+canary+"/s")), accepted, ""},
		{"SAML-23 a stylesheet", altered(func(x string) string { return `<?xml-stylesheet href="` + canary + `/s" type="text/xsl"?>` + x }), bad, Accepts},
		{"SAML-23 a stylesheet behind the declaration", altered(func(x string) string {
			return `<?xml version="1.0"?><?xml-stylesheet href="` + canary + `/s" type="text/xsl"?>` + x
		}), bad, Accepts},
	}
}

// names are namespaces and IDs that two parsers may read in two ways.
func names() []row {
	const bad = failure.SAMLMalformed
	inNameID := func(attributes string) func(*attempt) {
		return edited(swap("<saml:NameID ", "<saml:NameID "+attributes+" "))
	}
	onRoot := func(attributes string) func(*attempt) {
		return altered(swap("<samlp:Response ", "<samlp:Response "+attributes+" "))
	}
	inside := func(element string) func(*attempt) { return altered(swap("<saml:NameID ", element+"<saml:NameID ")) }
	return []row{
		{"SAML-24 a name with an empty prefix", inside("<:x/>"), bad, ""},
		{"SAML-24 a name with an empty local part", altered(swap("<saml:Subject>", "<saml:Subject><x:></x:>")), bad, ""},
		{"SAML-24 a name with two colons", altered(swap("<saml:Subject>", "<saml:Subject><a:b:c/>")), bad, ""},
		{"SAML-24 an attribute with an empty prefix", onRoot(`:x="y"`), bad, Accepts},
		{"SAML-24 an attribute with two colons", onRoot(`a:b:c="y"`), bad, ""},
		{"SAML-24 an attribute named :xmlns", onRoot(`:xmlns="urn:example:other"`), bad, Accepts},
		{"SAML-24 an attribute named xmlns:", onRoot(`xmlns:="urn:example:other"`), bad, Accepts},
		{"SAML-24 a declaration of two colons", onRoot(`xmlns:a:b="urn:example:other"`), bad, ""},
		{"SAML-24 an attribute named x:xmlns", onRoot(`xmlns:x="urn:example:x" x:xmlns="urn:example:other"`), "", ""},
		{"SAML-24 a directive with a comment in it", altered(func(x string) string { return `<!DOCTYPE x [<!-- > ]> --> ]>` + x }), bad, Accepts},
		{"SAML-24 a directive with a quote in a comment", altered(func(x string) string { return `<!DOCTYPE x [<!-- " --><!ENTITY y "z">]>` + x }), bad, Accepts},
		{"SAML-24 a directive within the root", altered(swap("<saml:Subject>", "<!x><saml:Subject>")), bad, ""},
		{"SAML-24 an element whose prefix nobody declared", inside("<nowhere:x/>"), bad, ""},
		{"SAML-24 an attribute whose prefix nobody declared", altered(swap("<saml:NameID ", `<saml:NameID nowhere:x="y" `)), bad, ""},
		{"SAML-24 an attribute without a value", onRoot(`x`), bad, ""},
		{"SAML-24 an attribute without quotes", onRoot(`x=y`), bad, ""},
		{"SAML-24 a less-than sign in an attribute", onRoot(`x="<"`), bad, ""},
		{"SAML-24 an end of CDATA in a text", altered(swap("<saml:Subject>", "]]><saml:Subject>")), bad, ""},
		{"SAML-24 a carriage return in the NameID", edited(swap(Person, "alice\r@corp.example")), failure.SAMLNameID, Accepts},
		{"SAML-24 a reference to a carriage return", altered(swap(Person, Person+"&#13;")), failure.SAMLSignatureInvalid, ""},
		{"SAML-24 a reference to a character that is none", altered(swap(Person, Person+"&#xFFFF;")), bad, ""},
		{"SAML-24 a reference to a surrogate", altered(swap(Person, Person+"&#xD800;")), bad, ""},
		{"SAML-24 a reference to a surrogate that the provider signed", edited(swap(Person, Person+"&#xDFFF;")), bad, Accepts},
		{"SAML-24 a reference to two surrogates that the provider signed", edited(swap(Person, Person+"&#55357;&#56832;")), bad, Accepts},
		{"SAML-24 a line feed for its reference in an attribute", also(edited(swap(`Name="groups"`, `Name="gro&#10;ups"`)), altered(swap("&#10;", "\n"))), bad, Accepts},
		{"SAML-24 a tab for its reference in an attribute", also(edited(swap(`Name="groups"`, `Name="gro&#9;ups"`)), altered(swap("&#9;", "\t"))), bad, Accepts},
		{"SAML-24 a carriage return for a reference in an attribute", also(edited(swap(`Name="groups"`, `Name="gro&#10;ups"`)), altered(swap("&#10;", "\r"))), bad, Accepts},
		{"SAML-24 a reference to a line feed in an attribute", edited(swap(`Name="groups"`, `Name="gro&#10;ups"`)), accepted, ""},
		{"SAML-24 attributes with nothing between", altered(swap(`" InResponseTo=`, `"InResponseTo=`)), bad, Accepts},
		{"SAML-24 an end tag with more than its name", altered(swap("</saml:Subject>", `</saml:Subject x="y">`)), bad, ""},
		{"SAML-24 an end tag with a blank", altered(swap("</saml:Subject>", `</saml:Subject >`)), accepted, ""},
		{"SAML-24 a number sign without a number", altered(swap(Person, Person+"&#;")), bad, ""},
		{"SAML-24 a reference with a large X", altered(swap("alice", "&#X61;lice")), bad, ""},
		{"SAML-24 a namespace with a reference in it", altered(swap(`="`+assertionNS+`"`, `="`+strings.Replace(assertionNS, "urn", "&#117;rn", 1)+`"`)), accepted, ""},
		{"SAML-24 a namespace that is no URI", edited(set("saml:Assertion", 0, "xmlns:x", "http://[bad")), bad, Accepts},
		{"SAML-24 a namespace with an ampersand in it", edited(set("saml:Assertion", 0, "xmlns:x", "http://a/?b=c&amp;d=e#f")), bad, Accepts},
		{"SAML-24 a namespace with a blank in it", edited(set("saml:Assertion", 0, "xmlns:x", "urn:a b")), bad, Accepts},
		{"SAML-24 a namespace with a percent sign in it", edited(set("saml:Assertion", 0, "xmlns:x", "http://a/%zz")), bad, Accepts},
		{"SAML-24 a reference to more than there is", altered(swap(Person, Person+"&#x110000;")), bad, ""},
		{"SAML-24 a reference to a number without an end", altered(swap(Person, Person+"&#99999999999;")), bad, ""},
		{"SAML-25 the prefix saml bound to another namespace", inside(`<saml:x xmlns:saml="urn:example:other"/>`), bad, ""},
		{"SAML-25 the prefix saml bound to the protocol", inside(`<saml:x xmlns:saml="` + protocolNS + `"/>`), bad, ""},
		{"SAML-25 the prefix samlp bound to another namespace", inside(`<samlp:x xmlns:samlp="urn:example:other"/>`), bad, ""},
		{"SAML-25 the prefix ds bound to another namespace", inside(`<ds:x xmlns:ds="urn:example:other"/>`), bad, ""},
		{"SAML-25 the prefix xenc bound to another namespace", inside(`<xenc:x xmlns:xenc="urn:example:other"/>`), bad, ""},
		{"SAML-25 the prefix saml for another NameID", edited(swap(`<saml:NameID `, `<saml:NameID xmlns:saml="urn:example:other" `)), bad, Accepts},
		{"SAML-25 the prefix xml bound", inside(`<x xmlns:xml="urn:example:other"/>`), bad, ""},
		{"SAML-25 the prefix xmlns bound", inside(`<x xmlns:xmlns="urn:example:other"/>`), bad, ""},
		{"SAML-25 a prefix bound to nothing", inside(`<x xmlns:y=""/>`), bad, ""},
		{"SAML-25 another prefix bound to the name of xml", inNameID(`xmlns:y="http://www.w3.org/XML/1998/namespace"`), bad, ""},
		{"SAML-25 another prefix bound to the name of xmlns", inNameID(`xmlns:y="http://www.w3.org/2000/xmlns/"`), bad, ""},
		{"SAML-25 a declaration that nothing uses", edited(set("saml:Assertion", 0, "xmlns:unused", "urn:example:unused")), accepted, ""},
		{"SAML-25 a declaration added to the response", onRoot(`xmlns:unused="urn:example:unused"`), accepted, ""},
		{"SAML-25 the same declaration again", inNameID(`xmlns:saml="` + assertionNS + `"`), accepted, ""},
		{"SAML-25 a NameID under a prefix of its own", edited(swap("<saml:NameID ", `<y:NameID xmlns:y="`+assertionNS+`" `), swap("</saml:NameID>", "</y:NameID>")), accepted, ""},
		{"SAML-25 a NameID under a default namespace of its own", edited(swap("<saml:NameID ", `<NameID xmlns="`+assertionNS+`" `), swap("</saml:NameID>", "</NameID>")), accepted, ""},
		{"SAML-25 the default namespace taken from the NameID", also(named(Inherited), edited(swap("<NameID ", `<NameID xmlns="" `))), failure.SAMLNameID, ""},
		{"SAML-25 the namespace in capitals", altered(swapAll(assertionNS, strings.ToUpper(assertionNS))), bad, ""},
		{"SAML-26 an attribute twice", inNameID(`x="1" x="2"`), bad, Accepts},
		{"SAML-26 the ID twice", altered(swap(`<saml:Assertion ID=`, `<saml:Assertion ID="_x" ID=`)), bad, Accepts},
		{"SAML-26 an attribute of one namespace twice", inNameID(`xmlns:y="urn:example:y" xmlns:z="urn:example:y" y:a="1" z:a="2"`), bad, ""},
		{"SAML-26 a prefixed ID beside the ID", edited(set("saml:Assertion", 0, `xmlns:x="urn:example:x" x:ID`, "_x")), bad, Accepts},
		{"SAML-26 a prefixed ID of the response", altered(set("samlp:Response", 0, `xmlns:x="urn:example:x" x:ID`, "_x")), bad, Accepts},
		{"SAML-26 id beside the ID", edited(set("saml:Assertion", 0, "id", "_x")), bad, Accepts},
		{"SAML-26 Id beside the ID", edited(set("saml:Assertion", 0, "Id", "_x")), bad, Accepts},
		{"SAML-26 xml:id beside the ID", edited(set("saml:Assertion", 0, "xml:id", "_x")), bad, Accepts},
		{"SAML-26 id of the Subject", edited(set("saml:Subject", 0, "id", AssertionID)), bad, Accepts},
		{"SAML-26 a prefix that is named ID", edited(set("saml:Assertion", 0, "xmlns:ID", "urn:example:other")), accepted, ""},
		{"SAML-26 one ID for both", edited(swapAll(`ID="`+ResponseID+`"`, `ID="`+AssertionID+`"`)), bad, ""},
	}
}

// encodings are octets that two readers may take for two texts.
func encodings() []row {
	const bad = failure.SAMLMalformed
	declared := func(what string) func(*attempt) {
		return altered(func(x string) string { return `<?xml version="1.0" ` + what + `?>` + x })
	}
	wide := func(order func(uint16) string, mark string) func(*attempt) {
		return func(a *attempt) {
			b := strings.Builder{}
			b.WriteString(mark)
			for _, u := range utf16.Encode([]rune(a.Text())) {
				b.WriteString(order(u))
			}
			a.text = b.String()
		}
	}
	big := func(u uint16) string { return string([]byte{byte(u >> 8), byte(u)}) }
	little := func(u uint16) string { return string([]byte{byte(u), byte(u >> 8)}) }
	spelled := func(f func(string) string) func(*attempt) { return func(a *attempt) { a.form = f(a.Form()) } }
	signed := Genuine().Text()
	return []row{
		{"SAML-27 declared as UTF-8 in small letters", declared(`encoding="utf-8"`), accepted, ""},
		{"SAML-27 declared as standing alone", declared(`encoding="UTF-8" standalone="yes"`), accepted, ""},
		{"SAML-27 declared as ISO-8859-1", declared(`encoding="ISO-8859-1"`), bad, ""},
		{"SAML-27 declared as UTF-7", declared(`encoding="UTF-7"`), bad, Accepts},
		{"SAML-27 declared as UTF-16", declared(`encoding="UTF-16"`), bad, Accepts},
		{"SAML-27 declared as US-ASCII", declared(`encoding="US-ASCII"`), bad, ""},
		{"SAML-27 declared as version 2.0", altered(func(x string) string { return `<?xml version="2.0"?>` + x }), bad, ""},
		{"SAML-27 declared without a version", altered(func(x string) string { return `<?xml encoding="UTF-8"?>` + x }), bad, ""},
		{"SAML-27 declared as twice encoded", declared(`encoding="UTF-8" encoding="UTF-16"`), bad, ""},
		{"SAML-27 declared as standing perhaps alone", declared(`standalone="maybe"`), bad, ""},
		{"SAML-27 declared as more", declared(`more="x"`), bad, ""},
		{"SAML-27 declared without a blank between", altered(func(x string) string { return `<?xml version="1.0"encoding="UTF-8"?>` + x }), bad, ""},
		{"SAML-27 declared the other way round", altered(func(x string) string { return `<?xml encoding="UTF-8" version="1.0"?>` + x }), bad, ""},
		{"SAML-27 declared in capitals", altered(func(x string) string { return `<?XML version="1.0"?>` + x }), bad, ""},
		{"SAML-27 declared between single quotes", altered(func(x string) string { return `<?xml version='1.0' encoding='UTF-8'?>` + x }), accepted, ""},
		{"SAML-27 declared as version 1.1", altered(func(x string) string { return `<?xml version="1.1"?>` + x }), bad, ""},
		{"SAML-27 UTF-7 in the NameID", declared(`encoding="UTF-7" x="+ADw-"`), bad, ""},
		{"SAML-27 UTF-16, the big end first", wide(big, "\xfe\xff"), bad, ""},
		{"SAML-27 UTF-16, the little end first", wide(little, "\xff\xfe"), bad, ""},
		{"SAML-27 UTF-16 without a mark", wide(little, ""), bad, ""},
		{"SAML-27 a byte order mark", altered(func(x string) string { return "\xef\xbb\xbf" + x }), bad, Accepts},
		{"SAML-27 a NUL in the NameID", text(strings.Replace(signed, Person, "alice\x00@corp.example", 1)), bad, ""},
		{"SAML-27 a NUL at the end", text(signed + "\x00"), bad, ""},
		{"SAML-27 a reference to NUL", text(strings.Replace(signed, Person, "alice&#0;@corp.example", 1)), bad, ""},
		{"SAML-27 an overlong letter", text(strings.Replace(signed, Person, "\xc1\xa1lice@corp.example", 1)), bad, ""},
		{"SAML-27 an overlong bracket", text(strings.Replace(signed, Person, Person+"\xc0\xbc", 1)), bad, ""},
		{"SAML-27 a surrogate in UTF-8", text(strings.Replace(signed, Person, Person+"\xed\xa0\x80", 1)), bad, ""},
		{"SAML-27 an octet of Latin-1", text(strings.Replace(signed, Person, "al\xefce@corp.example", 1)), bad, ""},
		{"SAML-27 the character DEL", text(strings.Replace(signed, Person, "alice\x7f@corp.example", 1)), bad, ""},
		{"SAML-27 a control character", text(strings.Replace(signed, Person, "alice\x01@corp.example", 1)), bad, ""},
		{"SAML-27 base64 of the other alphabet", form(base64.URLEncoding.EncodeToString([]byte(signed + strings.Repeat(" ", 3) + "<!-- ÿ¿ -->"))), bad, ""},
		{"SAML-27 base64 without padding", form(strings.TrimRight(Encode(padded(signed)), "=")), bad, ""},
		{"SAML-27 base64 with bits behind the end", form(strings.Replace(Encode(padded(signed)), "Cg==", "Ch==", 1)), bad, ""},
		{"SAML-27 base64 with a blank", spelled(func(s string) string { return s[:40] + " " + s[40:] }), bad, ""},
		{"SAML-27 base64 with text behind it", spelled(func(s string) string { return s + "====" }), bad, ""},
		{"SAML-27 base64 twice", spelled(Encode), bad, ""},
		{"SAML-27 no base64", form(signed), bad, ""},
		{"SAML-27 nothing", form(" "), bad, ""},
		{"SAML-28 a second root", altered(func(x string) string { return x + "<x/>" }), bad, Accepts},
		{"SAML-28 the message twice", altered(func(x string) string { return x + x }), bad, Accepts},
		{"SAML-28 a root before it", altered(func(x string) string { return "<x/>" + x }), bad, ""},
		{"SAML-28 text before it", altered(func(x string) string { return "text" + x }), bad, Accepts},
		{"SAML-28 text behind it", altered(func(x string) string { return x + "text" }), bad, Accepts},
		{"SAML-28 white space around it", altered(func(x string) string { return " \n" + x + "\n\t " }), accepted, ""},
		{"SAML-28 an end without a beginning", altered(func(x string) string { return x + "</samlp:Response>" }), bad, ""},
		{"SAML-28 the beginning of a declaration", text("<?xml"), bad, ""},
		{"SAML-28 a message that is cut", altered(func(x string) string { return x[:len(x)-20] }), bad, ""},
		{"SAML-28 a declaration within it", altered(swap("<saml:Subject>", `<?xml version="1.0"?><saml:Subject>`)), bad, ""},
		{"SAML-28 two declarations", altered(func(x string) string { return strings.Repeat(`<?xml version="1.0"?>`, 2) + x }), bad, ""},
		{"SAML-28 white space before the declaration", altered(func(x string) string { return ` <?xml version="1.0"?>` + x }), bad, ""},
	}
}

// padded has a length at which base64 ends with two signs of padding, behind a line feed.
func padded(x string) string {
	for len(x)%3 != 0 {
		x += " "
	}
	return x + "\n"
}

// bombs want memory or time. Their answer is malformed, whatever else is wrong.
func bombs() []row {
	const bad = failure.SAMLMalformed
	signed := Genuine().Text()
	inside := func(s string) string { return swap("<saml:Subject>", s+"<saml:Subject>")(signed) }
	deflated := bytes.Buffer{}
	w := must(flate.NewWriter(&deflated, flate.BestCompression))
	_, _ = w.Write([]byte(strings.Repeat(signed, 1000)))
	_ = w.Close()
	attributes, spaces := strings.Builder{}, strings.Builder{}
	for i := range 40 {
		_, _ = fmt.Fprintf(&attributes, ` a%d="x"`, i)
	}
	for i := range 70 {
		_, _ = fmt.Fprintf(&spaces, `<x xmlns:n%d="urn:example:%d"/>`, i, i)
	}
	return []row{
		{"SAML-48 a deflated message", form(base64.StdEncoding.EncodeToString(deflated.Bytes())), bad, ""},
		{"SAML-48 base64 of base64 of base64", form(Encode(Encode(Encode(signed)))), bad, ""},
		{"SAML-48 four megabytes of flat elements", text(inside(strings.Repeat("<x/>", 1<<20))), bad, ""},
		{"SAML-48 as many flat elements as the size allows", text(inside(strings.Repeat("<x/>", 46_000))), bad, ""},
		{"SAML-48 2001 elements", text(inside(strings.Repeat("<x/>", 2001))), bad, Panics},
		{"SAML-48 depth", text(inside(strings.Repeat("<x>", 20_000) + strings.Repeat("</x>", 20_000))), bad, ""},
		{"SAML-48 a depth of 33", text(inside(strings.Repeat("<x>", 31) + strings.Repeat("</x>", 31))), bad, ""},
		{"SAML-48 wide attributes", text(inside("<x" + attributes.String() + "/>")), bad, ""},
		{"SAML-48 many attributes", text(inside("<x" + strings.Repeat(attributes.String(), 400) + "/>")), bad, ""},
		{"SAML-48 a flood of xmlns", text(inside(spaces.String())), bad, ""},
		{"SAML-48 twenty signatures", text(strings.Replace(signed, "</samlp:Response>", strings.Repeat(theirs(signed), 20)+"</samlp:Response>", 1)), failure.SAMLSignatureShape, ""},
		{"SAML-48 a text as long as the size allows", text(inside("<x>" + strings.Repeat("a", 185<<10) + "</x>")), failure.SAMLSignatureInvalid, ""},
		{"SAML-48 more than the size allows", text(inside("<x>" + strings.Repeat("a", 200<<10) + "</x>")), bad, ""},
		{"SAML-48 a million references", text(strings.Replace(signed, Person, strings.Repeat("&#97;", 36_000), 1)), failure.SAMLSignatureInvalid, ""},
	}
}

// roots are other messages than the one that is asked for.
func roots() []row {
	const structure = failure.SAMLStructure
	root := func(name string) func(*attempt) {
		return also(signing(Both), edited(swapAll("samlp:Response", "samlp:"+name)))
	}
	return []row{
		{"SAML-49 a response of version 1.1", edited(set("samlp:Response", 0, "Version", "1.1")), structure, Accepts},
		{"SAML-49 an assertion of version 1.1", edited(set("saml:Assertion", 0, "Version", "1.1")), structure, Accepts},
		{"SAML-49 a response without a version", edited(unset("samlp:Response", 0, "Version")), structure, Accepts},
		{"SAML-49 an assertion without a version", edited(unset("saml:Assertion", 0, "Version")), structure, Accepts},
		{"SAML-49 a response without an ID", edited(unset("samlp:Response", 0, "ID")), structure, Accepts},
		{"SAML-49 an assertion without an ID", also(signing(Response), edited(unset("saml:Assertion", 0, "ID"))), structure, Accepts},
		{"SAML-49 a response with an empty ID", edited(set("samlp:Response", 0, "ID", "")), structure, Accepts},
		{"SAML-49 an assertion with an empty ID", also(signing(Response), edited(set("saml:Assertion", 0, "ID", ""))), structure, Accepts},
		{"SAML-49 SAML 1.1", text(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:1.0:protocol" MajorVersion="1" MinorVersion="1" ResponseID="_x"><saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:1.0:assertion" MajorVersion="1" MinorVersion="1" AssertionID="_y"/></samlp:Response>`), failure.SAMLMalformed, ""},
		{"SAML-49 SAML 1.1 under other prefixes", text(`<p:Response xmlns:p="urn:oasis:names:tc:SAML:1.0:protocol" MajorVersion="1" MinorVersion="1" ResponseID="_x"/>`), structure, ""},
		{"SAML-49 a LogoutResponse", root("LogoutResponse"), structure, ""},
		{"SAML-49 an ArtifactResponse", root("ArtifactResponse"), structure, ""},
		{"SAML-49 an AuthnRequest", root("AuthnRequest"), structure, ""},
		{"SAML-49 the response in an ArtifactResponse", altered(func(x string) string {
			return `<samlp:ArtifactResponse xmlns:samlp="` + protocolNS + `" ID="_artifact" Version="2.0" InResponseTo="` + RequestID + `">` + x + `</samlp:ArtifactResponse>`
		}), structure, ""},
		{"SAML-49 the response in SOAP", altered(func(x string) string {
			return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>` + x + `</s:Body></s:Envelope>`
		}), structure, ""},
		{"SAML-49 the assertion alone", func(a *attempt) {
			a.text = set("saml:Assertion", 0, "xmlns:saml", assertionNS)(piece(a.Text(), "saml:Assertion", 0))
		}, structure, ""},
		{"SAML-49 the root of another namespace", altered(swapAll("samlp:Response", "x:Response"), swap("xmlns:samlp=", `xmlns:x="urn:example:other" xmlns:samlp=`)), structure, ""},
		{"SAML-41 SAML-49 no assertion", also(signing(Response), edited(without("saml:Assertion", 0))), structure, ""},
	}
}
