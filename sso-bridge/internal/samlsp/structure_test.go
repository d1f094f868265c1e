// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

func TestMessage(t *testing.T) {
	good := signedAssertion(t, sampleText)
	encode := base64.StdEncoding.EncodeToString
	for _, row := range []struct{ name, response, rule string }{
		{"SAML-27 no base64", "<samlp:Response/>", "base64"},
		{"SAML-27 base64 for addresses", strings.Map(func(c rune) rune {
			if c == '+' || c == '/' {
				return '_'
			}
			return c
		}, good) + "_", "base64"},
		{"SAML-27 without padding", strings.TrimRight(encode([]byte("<a/>")), "="), "base64"},
		{"SAML-27 with bits left over", "PGEvPj==", "base64"},
		{"SAML-27 with line breaks", good[:76] + "\r\n" + good[76:], "base64"},
		{"SAML-27 with a blank", good + " ", "base64"},
		{"SAML-48 longer than 256 KiB", strings.Repeat("A", 256<<10+4), "bytes"},
		{"SAML-48 nothing", "", "bytes"},
		{"SAML-48 deflated", encode([]byte("\x7b\x00\x89")), "encoding"},
		{"SAML-14 a comment", encode([]byte("<a><!-- --></a>")), "comment"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var trace login.Trace
			_, err := Read(row.response, expected(), testNow, &trace)
			if f := failure.Of(err); f.Code != failure.SAMLMalformed || f.Facts["rule"] != row.rule || f.Facts["bytes"] == "" {
				t.Fatalf("%v, facts %v", err, f.Facts)
			}
		})
	}
	t.Run("SAML-27 a declaration and white space around", func(t *testing.T) {
		text, err := base64.StdEncoding.DecodeString(good)
		if err != nil {
			t.Fatal(err)
		}
		accepted(t, encode([]byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"+string(text)+"\n")), expected())
	})
}

func TestStructure(t *testing.T) {
	const issuer = `<saml:Issuer>` + testIssuer + `</saml:Issuer>`
	const subject = `<saml:Subject>`
	const assertionEnd = `</saml:Assertion>`
	const responseEnd = `</samlp:Response>`
	forged := `<saml:Assertion ID="_forged" Version="2.0" IssueInstant="2026-03-04T10:00:00Z">` + issuer + assertionEnd
	for _, row := range []struct {
		name, text, rule string
	}{
		{"SAML-49 version 1.1", replaced(t, `ID="_resp" Version="2.0"`, `ID="_resp" Version="1.1"`), "version"},
		{"SAML-49 no version", replaced(t, `ID="_resp" Version="2.0"`, `ID="_resp"`), "version"},
		{"SAML-49 no ID", replaced(t, `ID="_resp" `, ``), "id"},
		{"SAML-49 an ID that is no name", replaced(t, `ID="_resp" `, `ID="1 resp" `), "id"},
		{"SAML-49 an assertion without ID", replaced(t, `ID="_assertion" `, ``), "assertion_id"},
		{"SAML-49 a LogoutResponse", replaced(t, `samlp:Response`, `samlp:LogoutResponse`), "root"},
		{"SAML-49 an ArtifactResponse", replaced(t, `samlp:Response`, `samlp:ArtifactResponse`), "root"},
		{"SAML-49 a SOAP envelope", `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>` + sampleText + `</s:Body></s:Envelope>`, "root"},
		{"SAML-49 SAML 1.1", `<Response xmlns="urn:oasis:names:tc:SAML:1.0:protocol" Version="2.0" ID="_r"/>`, "root"},
		{"SAML-49 a Response of no namespace", `<Response Version="2.0" ID="_r"/>`, "root"},
		{"SAML-01 a response around the response", replaced(t, responseEnd, `<samlp:Extensions><samlp:Response ID="_x"/></samlp:Extensions>`+responseEnd), "responses"},
		{"SAML-03 a second assertion before", replaced(t, `<saml:Assertion `, forged+`<saml:Assertion `), "assertions"},
		{"SAML-04 SAML-09 a second assertion after", replaced(t, responseEnd, forged+responseEnd), "assertions"},
		{"SAML-07 a second assertion in Extensions", replaced(t, responseEnd, `<samlp:Extensions>`+forged+`</samlp:Extensions>`+responseEnd), "assertions"},
		{"SAML-10 a second assertion in Advice", replaced(t, `</saml:Conditions>`, `</saml:Conditions><saml:Advice>`+forged+`</saml:Advice>`), "assertions"},
		{"SAML-12 a second assertion of a foreign namespace", replaced(t, responseEnd, `<Assertion xmlns="urn:x"/>`+responseEnd), "assertions"},
		{"SAML-12 a foreign assertion alone", strings.ReplaceAll(replaced(t, `<saml:Assertion `, `<x:Assertion xmlns:x="urn:x" `), assertionEnd, `</x:Assertion>`), "assertions"},
		{"SAML-10 the assertion in Extensions", strings.ReplaceAll(replaced(t, `<saml:Assertion `, `<samlp:Extensions><saml:Assertion `), assertionEnd, assertionEnd+`</samlp:Extensions>`), "assertions"},
		{"SAML-41 no assertion", `<samlp:Response xmlns:samlp="` + protocolSpace + `" ID="_r" Version="2.0"/>`, "assertions"},
		{"SAML-12 an issuer of a foreign namespace in the response", replaced(t, `<samlp:Status>`, `<x:Issuer xmlns:x="urn:x"/><samlp:Status>`), "foreign_child"},
		{"SAML-13 two issuers in the response", replaced(t, issuer+`<samlp:Status>`, issuer+issuer+`<samlp:Status>`), "child_twice"},
		{"SAML-13 two statuses", replaced(t, `</samlp:Status>`, `</samlp:Status><samlp:Status/>`), "child_twice"},
		{"SAML-28 text between the parts", replaced(t, `<samlp:Status>`, `x<samlp:Status>`), "text"},
		{"SAML-12 a subject of a foreign namespace beside", replaced(t, subject, `<x:Subject xmlns:x="urn:x"/>`+subject), "foreign_child"},
		{"SAML-13 two subjects", replaced(t, subject, subject+`</saml:Subject>`+subject), "child_twice"},
		{"SAML-13 two conditions", replaced(t, `<saml:Conditions `, `<saml:Conditions/><saml:Conditions `), "child_twice"},
		{"SAML-13 two issuers in the assertion", replaced(t, issuer+subject, issuer+issuer+subject), "child_twice"},
		{"SAML-41 a version of the assertion that is not ours", replaced(t, `ID="_assertion" Version="2.0"`, `ID="_assertion" Version="1.1"`), "assertion_version"},
		{"SAML-51 a statement of no known kind", replaced(t, assertionEnd, `<saml:Statement/>`+assertionEnd), "foreign_child"},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := element(t, row.text)
			if el := root.FindElement("//Assertion[@ID='_assertion']"); el != nil {
				sign(t, el, signing{})
			}
			if f := refusal(t, encoded(t, root), expected(), failure.SAMLStructure); f.Facts["rule"] != row.rule {
				t.Fatalf("facts %v, want rule %s", f.Facts, row.rule)
			}
		})
	}
}

func TestEncrypted(t *testing.T) {
	data := `<xenc:EncryptedData xmlns:xenc="` + cipherSpace + `"><xenc:CipherData><xenc:CipherReference URI="http://evil.example/"/></xenc:CipherData></xenc:EncryptedData>`
	for _, row := range []struct{ name, text, element string }{
		{"SAML-46 SSO-60 an encrypted assertion beside a plain one", replaced(t, `</samlp:Response>`, `<saml:EncryptedAssertion>`+data+`</saml:EncryptedAssertion></samlp:Response>`), "EncryptedAssertion"},
		{"SAML-46 SSO-60 an encrypted assertion alone", `<samlp:Response xmlns:samlp="` + protocolSpace + `" ID="_r" Version="2.0"><EncryptedAssertion xmlns="` + assertionSpace + `">` + data + `</EncryptedAssertion></samlp:Response>`, "EncryptedAssertion"},
		{"SAML-46 SSO-60 an encrypted id", replaced(t, `<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">alice-1</saml:NameID>`, `<saml:EncryptedID>`+data+`</saml:EncryptedID>`), "EncryptedID"},
		{"SAML-46 SSO-60 an encrypted attribute", replaced(t, `<saml:Attribute Name="email"`, `<saml:EncryptedAttribute/><saml:Attribute Name="email"`), "EncryptedAttribute"},
		{"SAML-46 encrypted data in an attribute value", replaced(t, `alice@corp.test`, data), "EncryptedData"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := refusal(t, encoded(t, element(t, row.text)), expected(), failure.SAMLEncryptionDisabled)
			if f.Facts["element"] != row.element {
				t.Fatalf("facts %v", f.Facts)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	code := func(v string, inner ...string) string {
		return `<samlp:StatusCode Value="` + statusSpace + v + `">` + strings.Join(inner, "") + `</samlp:StatusCode>`
	}
	const success = `<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>`
	for _, row := range []struct {
		name, status string
		public       ssocode.Code
		first, sub   string
	}{
		{"SAML-45 the provider refuses", code("Responder"), ssocode.ResponseRefused, "Responder", ""},
		{"SAML-45 authentication failed", code("Responder", code("AuthnFailed")), ssocode.Cancelled, "Responder", "AuthnFailed"},
		{"SAML-45 nobody could be asked", code("Responder", code("NoPassive")), ssocode.Cancelled, "Responder", "NoPassive"},
		{"SAML-45 the request was denied", code("Requester", code("RequestDenied")), ssocode.Cancelled, "Requester", "RequestDenied"},
		{"SAML-45 a failure within a success", code("Success", code("AuthnFailed")), ssocode.Cancelled, "Success", "AuthnFailed"},
		{"SAML-45 a success within a success", code("Success", code("Success")), ssocode.ResponseRefused, "Success", "Success"},
		{"SAML-45 a status of no known name", `<samlp:StatusCode Value="urn:x:alice"/>`, ssocode.ResponseRefused, "other", ""},
		{"SAML-45 two codes", success + success, ssocode.ResponseRefused, "", ""},
		{"SAML-45 no code", "", ssocode.ResponseRefused, "", ""},
		{"SAML-12 a foreign code beside", success + `<StatusCode xmlns="urn:x"/>`, ssocode.ResponseRefused, "", ""},
		{"SAML-12 a foreign code within", code("Success", `<StatusCode xmlns="urn:x"/>`), ssocode.ResponseRefused, "Success", "other"},
	} {
		check := func(t *testing.T, response string) {
			t.Helper()
			f := refusal(t, response, expected(), failure.SAMLStatus)
			if f.Public != row.public || f.Facts["status"] != row.first || f.Facts["sub_status"] != row.sub {
				t.Fatalf("public %s, facts %v", f.Public, f.Facts)
			}
		}
		text := replaced(t, success, row.status)
		t.Run("SAML-11 "+row.name+", signed response", func(t *testing.T) { check(t, signedResponse(t, text)) })
		t.Run(row.name+", signed assertion", func(t *testing.T) { check(t, signedAssertion(t, text)) })
		if row.first != "" && row.sub != "Success" && row.first != "Success" {
			t.Run(row.name+", no assertion and no signature", func(t *testing.T) {
				root := element(t, text)
				root.RemoveChild(assertionOf(t, root))
				check(t, encoded(t, root))
			})
		}
	}
	t.Run("SAML-45 no status", func(t *testing.T) {
		root := element(t, sampleText)
		el, _ := onlyOf(root, protocolSpace, "Status")
		root.RemoveChild(el)
		sign(t, root, signing{})
		refused(t, encoded(t, root), expected(), failure.SAMLStatus)
	})
	t.Run("SAML-41 success and no assertion", func(t *testing.T) {
		root := element(t, sampleText)
		root.RemoveChild(assertionOf(t, root))
		sign(t, root, signing{})
		refused(t, encoded(t, root), expected(), failure.SAMLStructure)
	})
}
