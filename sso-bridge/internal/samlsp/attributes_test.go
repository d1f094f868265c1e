// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

const nameIDElement = `<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">alice-1</saml:NameID>`

func TestNameID(t *testing.T) {
	value := func(s string) []string {
		return []string{nameIDElement, strings.Replace(nameIDElement, "alice-1", s, 1)}
	}
	for _, r := range []row{
		{"SAML-41 SSO-76 none", []string{nameIDElement, ``}, failure.SAMLNameID, ""},
		{"SAML-13 two", []string{nameIDElement, nameIDElement + nameIDElement}, failure.SAMLNameID, ""},
		{"SAML-12 a foreign one alone", []string{nameIDElement, `<NameID xmlns="urn:x">alice-1</NameID>`}, failure.SAMLNameID, ""},
		{"SAML-12 a foreign one before", []string{nameIDElement, `<x:NameID xmlns:x="urn:x">bob</x:NameID>` + nameIDElement}, failure.SAMLNameID, ""},
		{"SAML-12 a foreign one after", []string{nameIDElement, nameIDElement + `<x:NameID xmlns:x="urn:x">bob</x:NameID>`}, failure.SAMLNameID, ""},
		{"SAML-50 a BaseID beside", []string{nameIDElement, nameIDElement + `<saml:BaseID/>`}, failure.SAMLNameID, ""},
		{"SAML-50 nothing in it", value(``), failure.SAMLNameID, "length=0"},
		{"SAML-50 SSO-76 a blank before", value(` alice-1`), failure.SAMLNameID, "length=8"},
		{"SAML-50 a line break after", value("alice-1\n"), failure.SAMLNameID, ""},
		{"SAML-50 a wide blank after", value("alice-1\u00a0"), failure.SAMLNameID, ""},
		{"SAML-50 a control character", value("ali\u0085ce"), failure.SAMLNameID, ""},
		{"SAML-50 a tab within", value("ali&#9;ce"), failure.SAMLNameID, ""},
		{"SAML-50 255 bytes", value(strings.Repeat("x", 255)), "", ""},
		{"SAML-50 256 bytes", value(strings.Repeat("x", 256)), failure.SAMLNameID, "length=256"},
		{"SAML-50 64 KB", value(strings.Repeat("x", 64<<10)), failure.SAMLNameID, "length=65536"},
		{"SAML-50 an element within", value(`ali<x xmlns="urn:x"/>ce`), failure.SAMLNameID, ""},
		{"SAML-50 a blank within", value(`alice one`), "", ""},
	} {
		r.run(t, expected())
	}
	t.Run("SAML-50 format and qualifiers come as they are", func(t *testing.T) {
		text := replaced(t, nameIDElement, `<saml:NameID NameQualifier="q" SPNameQualifier="s" Format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient" x:Format="y" xmlns:x="urn:x">n</saml:NameID>`)
		a, _ := accepted(t, signedAssertion(t, text), expected())
		if a.NameID != (NameID{Value: "n", Format: "urn:oasis:names:tc:SAML:2.0:nameid-format:transient", NameQualifier: "q", SPNameQualifier: "s"}) {
			t.Fatalf("%+v", a.NameID)
		}
	})
}

func TestAttributes(t *testing.T) {
	const email = `<saml:Attribute Name="email" FriendlyName="mail"><saml:AttributeValue xsi:type="xs:string">alice@corp.test</saml:AttributeValue></saml:Attribute>`
	many := func(n int) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, `<saml:Attribute Name="a%d"/>`, i)
		}
		return s.String()
	}
	values := func(n int) string {
		return `<saml:Attribute Name="v">` + strings.Repeat(`<saml:AttributeValue/>`, n) + `</saml:Attribute>`
	}
	for _, r := range []row{
		{"SAML-51 no name", []string{`Name="email" `, ``}, failure.SAMLStructure, "rule=attribute_name"},
		{"SAML-12 a foreign attribute", []string{email, email + `<Attribute xmlns="urn:x" Name="email"/>`}, failure.SAMLStructure, "rule=foreign_child"},
		{"SAML-12 a foreign value", []string{`</saml:AttributeValue></saml:Attribute><saml:Attribute Name="groups">`, `</saml:AttributeValue><AttributeValue xmlns="urn:x">bob</AttributeValue></saml:Attribute><saml:Attribute Name="groups">`}, failure.SAMLStructure, "rule=foreign_child"},
		{"SAML-51 200 attributes", []string{email, many(199)}, "", ""},
		{"SAML-51 201 attributes", []string{email, many(200)}, failure.SAMLStructure, "rule=attribute_count"},
		{"SAML-51 1000 values", []string{email, values(998)}, "", ""},
		{"SAML-51 1001 values", []string{email, values(999)}, failure.SAMLStructure, "rule=attribute_count"},
		{"SAML-51 a nil value that is something", []string{`xsi:type="xs:string">alice`, `xsi:nil="true">alice`}, failure.SAMLStructure, "rule=attribute_value"},
	} {
		r.run(t, expected())
	}
	for _, r := range []struct {
		name, email string
		want        []Attribute
	}{
		{"SAML-51 one name twice comes twice", email + email, []Attribute{{Name: "email", Values: []string{"alice@corp.test"}}, {Name: "email", Values: []string{"alice@corp.test"}}}},
		{"SAML-51 a friendly name is no name", strings.Replace(email, `Name="email" FriendlyName="mail"`, `Name="urn:x" FriendlyName="email"`, 1), []Attribute{{Name: "urn:x", Values: []string{"alice@corp.test"}}}},
		{"SAML-51 a nil value is none", `<saml:Attribute Name="email"><saml:AttributeValue xsi:nil="true"/></saml:Attribute>`, []Attribute{{Name: "email", Values: nil}}},
		{"SAML-51 an empty value is one", `<saml:Attribute Name="email"><saml:AttributeValue xsi:nil="false"/></saml:Attribute>`, []Attribute{{Name: "email", Values: []string{""}}}},
		{"SAML-51 an element in the place of a text is told and not read", `<saml:Attribute Name="email"><saml:AttributeValue><saml:NameID>alice@corp.test</saml:NameID></saml:AttributeValue><saml:AttributeValue>b</saml:AttributeValue></saml:Attribute>`, []Attribute{{Name: "email", Values: []string{"b"}, Nested: true}}},
		{"SAML-51 white space stays", `<saml:Attribute Name="email"><saml:AttributeValue> a&#10;</saml:AttributeValue></saml:Attribute>`, []Attribute{{Name: "email", Values: []string{" a\n"}}}},
	} {
		t.Run(r.name, func(t *testing.T) {
			a, _ := accepted(t, signedAssertion(t, replaced(t, email, r.email)), expected())
			if got := a.Attributes[:len(a.Attributes)-1]; !reflect.DeepEqual(got, r.want) {
				t.Fatalf("%+v", got)
			}
		})
	}
}

// TestVerifiedComesOfVerification reads the package: only the verifier makes a verified
// element, only a verified one gives its children, and what reads an identity can name
// neither an unverified one nor a plain tree.
func TestVerifiedComesOfVerification(t *testing.T) {
	t.Run("SAML-24 nothing else makes a verified element", func(t *testing.T) {
		files := token.NewFileSet()
		names, err := filepath.Glob("*.go")
		if err != nil {
			t.Fatal(err)
		}
		makers := map[string]bool{}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(files, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			if name == "attributes.go" || name == "conditions.go" || name == "statements.go" {
				for _, i := range file.Imports {
					if strings.Contains(i.Path.Value, "etree") {
						t.Errorf("%s can name a tree", name)
					}
				}
				ast.Inspect(file, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok && (id.Name == "unverified" || id.Name == "seen") {
						t.Errorf("%s names %s", name, id.Name)
					}
					return true
				})
			}
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				ast.Inspect(f, func(n ast.Node) bool {
					if l, ok := n.(*ast.CompositeLit); ok && len(l.Elts) > 0 {
						if id, ok := l.Type.(*ast.Ident); ok && id.Name == "verified" {
							makers[f.Name.Name] = true
						}
					}
					return true
				})
			}
		}
		if !reflect.DeepEqual(makers, map[string]bool{"vouched": true, "children": true}) {
			t.Fatalf("verified elements are made in %v", makers)
		}
	})
}
