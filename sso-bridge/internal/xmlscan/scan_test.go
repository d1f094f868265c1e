// SPDX-License-Identifier: Apache-2.0

package xmlscan_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/xmlscan"
)

const saml = ` xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"`

// edited are limits of a document that people edit.
var edited = xmlscan.Limits{Bytes: 1 << 20, Elements: 100, Depth: 8, Attributes: 8, Namespaces: 8, Comments: true}

func TestScanTakes(t *testing.T) {
	for what, text := range map[string]string{
		"a declaration":                      `<?xml version="1.0" encoding="utf-8" standalone='no' ?><a/>`,
		"white space around the root":        "\n<a/>\r\n\t ",
		"references and quotes":              `<a b='"x"' c="'&lt;&#10;">&amp;&#x41;</a>`,
		"a character beyond the first plane": `<a b="&#x1F600;">&#128512;&#x0041;</a>`,
		"the SAML prefixes as they are":      `<saml:a` + saml + `/>`,
		"a SAML namespace by other names":    `<a xmlns="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion"><saml2:b/></a>`,
		"a prefix rebound that is nobody's":  `<p:a xmlns:p="urn:a"><p:b xmlns:p="urn:b"/></p:a>`,
		"a default namespace that is unset":  `<a xmlns="urn:a"><b xmlns=""/></a>`,
		"xml:lang":                           `<a xml:lang="de" xmlns:xml="http://www.w3.org/XML/1998/namespace"/>`,
		"one local name in two namespaces":   `<a b="1" p:b="2" xmlns:p="urn:p"/>`,
		"ID on a SAML element, id on none":   `<saml:a` + saml + ` ID="_1"><b id="_1"/><b id="_1"/></saml:a>`,
		"letters of all the world":           `<a>Zoë 山 𐍈</a>`,
	} {
		t.Run("SAML-25 "+what, func(t *testing.T) {
			d, err := xmlscan.Scan([]byte(text), xmlscan.Message)
			if err != nil {
				t.Fatal(err)
			}
			if string(d.Bytes()) != text || d.Elements() == 0 || d.Depth() == 0 {
				t.Fatalf("document %+v", d)
			}
		})
	}
}

func TestScanRefuses(t *testing.T) {
	deep := strings.Repeat("<a>", 33) + strings.Repeat("</a>", 33)
	for _, row := range []struct{ name, text, rule string }{
		{"SAML-48 nothing", ``, xmlscan.RuleBytes},
		{"SAML-48 4 MB of flat elements", `<a>` + strings.Repeat(`<b/>`, 1<<20) + `</a>`, xmlscan.RuleBytes},
		{"SAML-48 2001 elements", `<a>` + strings.Repeat(`<b/>`, 2000) + `</a>`, xmlscan.RuleElements},
		{"SAML-48 33 levels", deep, xmlscan.RuleDepth},
		{"SAML-48 33 attributes", `<a` + attributes(33, ` a%d="1"`) + `/>`, xmlscan.RuleAttributes},
		{"SAML-48 65 declarations in all", `<a>` + strings.Repeat(`<b xmlns="urn:b"/>`, 65) + `</a>`, xmlscan.RuleNamespaces},
		{"SAML-48 64 declarations in scope of 1001 elements", `<a` + attributes(32, ` xmlns:a%d="urn:a"`) + `><a` + attributes(32, ` xmlns:b%d="urn:a"`) + `>` + strings.Repeat(`<b/>`, 1000) + `</a></a>`, xmlscan.RuleNamespaces},
		{"SAML-27 bytes that are no UTF-8", "<a>\xff</a>", xmlscan.RuleEncoding},
		{"SAML-27 an overlong form", "<a>\xc0\xbc</a>", xmlscan.RuleEncoding},
		{"SAML-27 a byte order mark", "\xef\xbb\xbf<a/>", xmlscan.RuleEncoding},
		{"SAML-27 UTF-16", "\xff\xfe<\x00a\x00/\x00>\x00", xmlscan.RuleEncoding},
		{"SAML-27 NUL", "<a>\x00</a>", xmlscan.RuleCharacter},
		{"SAML-27 a control character", "<a>\x1b</a>", xmlscan.RuleCharacter},
		{"SAML-27 NUL by reference", "<a>&#0;</a>", xmlscan.RuleCharacter},
		{"SAML-24 a surrogate by reference", "<a>&#xD800;</a>", xmlscan.RuleCharacter},
		{"SAML-24 a pair of them in a value", "<a b='&#55357;&#56832;'/>", xmlscan.RuleCharacter},
		{"SAML-24 a reference beyond all characters", "<a>&#x110000;</a>", xmlscan.RuleCharacter},
		{"SAML-24 a reference of many digits", "<a>&#x" + strings.Repeat("0", 20) + "41;</a>", xmlscan.RuleCharacter},
		{"SAML-24 a reference that is no number", "<a>&#x;</a>", xmlscan.RuleCharacter},
		{"SAML-27 declared UTF-7", `<?xml version="1.0" encoding="UTF-7"?><a/>`, xmlscan.RuleEncoding},
		{"SAML-27 declared UTF-16", `<?xml version='1.0' encoding='UTF-16'?><a/>`, xmlscan.RuleEncoding},
		{"SAML-27 two encodings declared", `<?xml version="1.0" encoding="UTF-8" encoding="UTF-7"?><a/>`, xmlscan.RuleDeclaration},
		{"SAML-27 version 1.1", `<?xml version="1.1"?><a/>`, xmlscan.RuleDeclaration},
		{"SAML-27 no version", `<?xml encoding="UTF-8"?><a/>`, xmlscan.RuleDeclaration},
		{"SAML-23 a document type", `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`, xmlscan.RuleDirective},
		{"SAML-15 an unknown entity", `<a>&nbsp;</a>`, xmlscan.RuleSyntax},
		{"SAML-23 a stylesheet", `<?xml-stylesheet href="http://evil.example/"?><a/>`, xmlscan.RuleInstruction},
		{"SAML-15 a declaration with no blank", `<?xml!?><a/>`, xmlscan.RuleInstruction},
		{"SAML-15 an instruction", `<a><?php x?></a>`, xmlscan.RuleInstruction},
		{"SAML-15 a second declaration", `<?xml version="1.0"?><a><?xml version="1.0"?></a>`, xmlscan.RuleInstruction},
		{"SAML-15 a declaration that is not first", ` <?xml version="1.0"?><a/>`, xmlscan.RuleInstruction},
		{"SAML-15 CDATA", `<a><![CDATA[x]]></a>`, xmlscan.RuleCDATA},
		{"SAML-14 a comment in text", `<a>x<!-- --></a>`, xmlscan.RuleComment},
		{"SAML-14 a comment before the root", `<!-- --><a/>`, xmlscan.RuleComment},
		{"SAML-28 a second root", `<a/><b/>`, xmlscan.RuleRoot},
		{"SAML-28 text before", `x<a/>`, xmlscan.RuleRoot},
		{"SAML-28 text after", `<a/>x`, xmlscan.RuleRoot},
		{"SAML-28 a blank by reference after", `<a/>&#32;`, xmlscan.RuleRoot},
		{"SAML-28 no root", " \n", xmlscan.RuleRoot},
		{"SAML-28 an open root", `<a><b></b>`, xmlscan.RuleSyntax},
		{"SAML-24 tags that do not pair", `<a><b></a></b>`, xmlscan.RuleSyntax},
		{"SAML-24 tags that pair by namespace alone", `<p:a xmlns:p="urn:a" xmlns:q="urn:a"></q:a>`, xmlscan.RuleSyntax},
		{"SAML-24 a stray end", `<a/></a>`, xmlscan.RuleSyntax},
		{"SAML-24 attributes with nothing between", `<a b="1"c="2"/>`, xmlscan.RuleSyntax},
		{"SAML-24 a value without quotes", `<a b=1/>`, xmlscan.RuleSyntax},
		{"SAML-24 an end of CDATA in text", `<a>]]></a>`, xmlscan.RuleSyntax},
		{"SAML-24 a line break in a value", "<a b=\"1\n2\"/>", xmlscan.RuleLineBreak},
		{"SAML-24 a tab in a value", "<a b='1\t2'/>", xmlscan.RuleLineBreak},
		{"SAML-24 no prefix before the colon", `<:a/>`, xmlscan.RuleName},
		{"SAML-24 no name after the colon", `<a:/>`, xmlscan.RuleName},
		{"SAML-24 two colons", `<a:b:c xmlns:a="urn:a"/>`, xmlscan.RuleSyntax},
		{"SAML-24 an attribute that begins with a colon", `<a :b="1"/>`, xmlscan.RuleName},
		{"SAML-24 an attribute that ends with a colon", `<a b:="1"/>`, xmlscan.RuleName},
		{"SAML-24 xmlns with a colon and no name", `<a xmlns:="urn:a"/>`, xmlscan.RuleName},
		{"SAML-24 an element of xmlns", `<xmlns:a/>`, xmlscan.RuleName},
		{"SAML-24 a prefix that is not declared", `<p:a/>`, xmlscan.RuleUndeclared},
		{"SAML-24 an attribute's that is not declared", `<a p:b="1"/>`, xmlscan.RuleUndeclared},
		{"SAML-24 a prefix beyond its element", `<a><p:b xmlns:p="urn:p"/><p:b/></a>`, xmlscan.RuleUndeclared},
		{"SAML-25 saml means another", `<a xmlns:saml="urn:oasis:names:tc:SAML:1.0:assertion"/>`, xmlscan.RuleReserved},
		{"SAML-25 samlp rebound below", `<samlp:a xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"><b xmlns:samlp="urn:b"/></samlp:a>`, xmlscan.RuleReserved},
		{"SAML-25 ds means another", `<a xmlns:ds="urn:ds"/>`, xmlscan.RuleReserved},
		{"SAML-25 xenc means another", `<a xmlns:xenc="urn:x"/>`, xmlscan.RuleReserved},
		{"SAML-25 xml means another", `<a xmlns:xml="urn:x"/>`, xmlscan.RuleReserved},
		{"SAML-25 xmlns declared", `<a xmlns:xmlns="urn:x"/>`, xmlscan.RuleReserved},
		{"SAML-25 another prefix for xml", `<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>`, xmlscan.RuleReserved},
		{"SAML-25 a default that is xmlns", `<a xmlns="http://www.w3.org/2000/xmlns/"/>`, xmlscan.RuleReserved},
		{"SAML-16 a relative namespace", `<a xmlns="../b"/>`, xmlscan.RuleNamespace},
		{"SAML-16 a prefix unset", `<a xmlns:p=""/>`, xmlscan.RuleNamespace},
		{"SAML-16 a namespace with a blank", `<a xmlns="urn:a b"/>`, xmlscan.RuleNamespace},
		{"SAML-16 a namespace that is no URI", `<a xmlns="urn:a^b"/>`, xmlscan.RuleNamespace},
		{"SAML-26 an attribute twice", `<a b="1" b="2"/>`, xmlscan.RuleTwice},
		{"SAML-26 twice by the expanded name", `<a p:b="1" q:b="2" xmlns:p="urn:p" xmlns:q="urn:p"/>`, xmlscan.RuleTwice},
		{"SAML-26 a declaration twice", `<a xmlns:p="urn:p" xmlns:p="urn:p"/>`, xmlscan.RuleTwice},
		{"SAML-26 the default declared twice", `<a xmlns="urn:p" xmlns="urn:q"/>`, xmlscan.RuleTwice},
		{"SAML-26 ID twice in the document", `<a ID="1"><b ID="1"/></a>`, xmlscan.RuleID},
		{"SAML-26 ID of one, Id of another", `<a ID="1"><b Id="1"/></a>`, xmlscan.RuleID},
		{"SAML-26 ID of one, xml:id of another", `<a ID="1"><b xml:id="1"/></a>`, xmlscan.RuleID},
		{"SAML-26 id on a SAML element", `<saml:a` + saml + ` id="1"/>`, xmlscan.RuleID},
		{"SAML-26 Id on a SAML element", `<saml:a` + saml + ` Id="1"/>`, xmlscan.RuleID},
		{"SAML-26 a prefixed ID on a SAML element", `<saml:a` + saml + ` saml:ID="1" ID="2"/>`, xmlscan.RuleID},
		{"SAML-26 id on one without a prefix", `<a xmlns="urn:oasis:names:tc:SAML:2.0:protocol" id="1"/>`, xmlscan.RuleID},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := xmlscan.Scan([]byte(row.text), xmlscan.Message)
			e, ok := errors.AsType[*xmlscan.Error](err)
			if !ok {
				t.Fatalf("passed: %v", err)
			}
			if e.Rule != row.rule || e.Bytes != len(row.text) || len(d.Bytes()) > 0 {
				t.Fatalf("rule %s of %d bytes, want %s", e.Rule, e.Bytes, row.rule)
			}
		})
	}
}

// TestScanAtTheLimits shows that what is allowed is allowed whole.
func TestScanAtTheLimits(t *testing.T) {
	for name, text := range map[string]string{
		"SAML-48 2000 elements":   `<a>` + strings.Repeat(`<b/>`, 1999) + `</a>`,
		"SAML-48 32 levels":       strings.Repeat("<a>", 32) + strings.Repeat("</a>", 32),
		"SAML-48 32 attributes":   `<a` + attributes(32, ` a%d="1"`) + `/>`,
		"SAML-48 64 declarations": `<a>` + strings.Repeat(`<b xmlns="urn:b"/>`, 64) + `</a>`,
		"SAML-48 192 KiB":         `<a>` + strings.Repeat(`x`, 192<<10-7) + `</a>`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := xmlscan.Scan([]byte(text), xmlscan.Message); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestScanEdited shows what documents that people edit may have.
func TestScanEdited(t *testing.T) {
	for _, row := range []struct{ name, text, rule string }{
		{"SAML-52 comments between elements", "<!-- a -->\n<a><!-- b -->\n <b/> <!-- c --></a><!-- d -->", ""},
		{"SAML-52 a comment after an element that follows text", "<a>x<b/><!-- c --></a>", ""},
		{"SAML-52 a value over two lines", "<a b='1\n2'/>", ""},
		{"SAML-14 a comment after text", "<a>x<!-- --></a>", xmlscan.RuleComment},
		{"SAML-14 a comment before text", "<a><!-- -->x</a>", xmlscan.RuleComment},
		{"SAML-14 a comment before a reference", "<a><!-- -->&#32;</a>", xmlscan.RuleComment},
		{"SAML-52 a document type", "<!DOCTYPE a><a/>", xmlscan.RuleDirective},
		{"SAML-52 CDATA", "<a><![CDATA[x]]></a>", xmlscan.RuleCDATA},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := xmlscan.Scan([]byte(row.text), edited)
			if e, ok := errors.AsType[*xmlscan.Error](err); err != nil && (!ok || e.Rule != row.rule) || (err == nil) != (row.rule == "") {
				t.Fatalf("%v, want %q", err, row.rule)
			}
		})
	}
}

// TestScanBudget shows that what is too long costs nothing, and what is long little.
func TestScanBudget(t *testing.T) {
	for _, row := range []struct {
		name, text string
		most       uint64
	}{
		{"SAML-48 4 MB are refused by their length", `<a>` + strings.Repeat(`<b/>`, 1<<20) + `</a>`, 64 << 10},
		{"SAML-48 the size limit in elements", `<a>` + strings.Repeat(`<b c="`+strings.Repeat("x", 80)+`"/>`, 1999) + `</a>`, 4 << 20},
		{"SAML-48 the size limit in attributes", `<a>` + strings.Repeat(`<b`+attributes(32, ` a%d=""`)+`/>`, 700) + `</a>`, 8 << 20},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := []byte(row.text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := xmlscan.Scan(text, xmlscan.Message)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > row.most {
				t.Fatalf("%d bytes allocated, want at most %d (%v)", used, row.most, err)
			}
		})
	}
}

// attributes writes n attributes by a form with a number in it.
func attributes(n int, form string) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, form, i)
	}
	return s.String()
}
