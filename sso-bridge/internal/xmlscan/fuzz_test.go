// SPDX-License-Identifier: Apache-2.0

package xmlscan_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/beevik/etree"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/xmlscan"
)

// FuzzPreScan: what passes is read by the namespaces of encoding/xml and by etree's
// prefixes as one and the same, and stays so when etree writes it and it is read again
// (CVE-2020-29509 and its kin).
func FuzzPreScan(f *testing.F) {
	for _, s := range []string{
		`<a/>`, `<?xml version="1.0" encoding="UTF-8"?><a b="1">x</a>`, `<a xmlns="urn:a" xmlns:p="urn:p"><p:b p:c="&lt;&#10;" d='"'>&amp;</p:b></a>`,
		`<a:b:c/>`, `<:a/>`, `<a:/>`, `<a :b="1"/>`, `<a xmlns:="urn:a"/>`, `<a xmlns:xmlns="urn:a"/>`, `<a xmlns="urn:a"><b xmlns=""/></a>`,
		`<a><![CDATA[x]]></a>`, `<a><!-- --></a>`, `<a><?x?></a>`, `<!DOCTYPE a><a/>`, `<a b="1"c="2"/>`, "<a b=\"\n\"/>", "<a>\r\n\r</a>", `<a>&#13;</a>`, `<a/><b/>`,
		`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1"><saml:Issuer>x</saml:Issuer></saml:Assertion>`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := xmlscan.Scan(text, xmlscan.Message)
		if err != nil {
			if _, ok := errors.AsType[*xmlscan.Error](err); !ok {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		tree := etree.NewDocument()
		if err := tree.ReadFromBytes(text); err != nil {
			t.Fatalf("etree: %v", err)
		}
		want := flatten(&tree.Element)
		if got := decode(t, text); got != want {
			t.Fatalf("encoding/xml reads %q, etree %q", got, want)
		}
		// As goxmldsig writes what it digests.
		tree.WriteSettings = etree.WriteSettings{CanonicalAttrVal: true, CanonicalEndTags: true, CanonicalText: true}
		written, err := tree.WriteToBytes()
		if err != nil {
			t.Fatal(err)
		}
		if len(written) > xmlscan.Message.Bytes {
			return // references made it longer
		}
		if again, err := xmlscan.Scan(written, xmlscan.Message); err != nil || again.Elements() != d.Elements() || again.Depth() != d.Depth() {
			t.Fatalf("as etree writes it: %v, %q", err, written)
		}
		if got := decode(t, written); got != want {
			t.Fatalf("after a round trip %q, before %q", got, want)
		}
	})
}

// flatten writes what etree read, by namespaces.
func flatten(el *etree.Element) string {
	var b bytes.Buffer
	for _, c := range el.Child {
		switch c := c.(type) {
		case *etree.Element:
			b.WriteString("(" + known(c.Space, c.NamespaceURI()) + "|" + c.Tag)
			for _, a := range c.Attr {
				if a.Space != "xmlns" && (a.Space != "" || a.Key != "xmlns") {
					b.WriteString("[" + known(a.Space, a.NamespaceURI()) + "|" + a.Key + "=" + a.Value + "]")
				}
			}
			b.WriteString(flatten(c) + ")")
		case *etree.CharData:
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// known is a namespace; etree knows none of xml, which is never declared.
func known(prefix, space string) string {
	if prefix == "xml" {
		return "http://www.w3.org/XML/1998/namespace"
	}
	return space
}

// decode writes what encoding/xml reads, by namespaces.
func decode(t *testing.T, text []byte) string {
	var b bytes.Buffer
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatalf("encoding/xml: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			b.WriteString("(" + token.Name.Space + "|" + token.Name.Local)
			for _, a := range token.Attr {
				if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
					b.WriteString("[" + a.Name.Space + "|" + a.Name.Local + "=" + a.Value + "]")
				}
			}
		case xml.EndElement:
			b.WriteString(")")
		case xml.CharData:
			b.Write(token)
		}
	}
}
