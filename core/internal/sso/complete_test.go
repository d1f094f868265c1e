// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/envelope"
)

func TestFit(t *testing.T) {
	type claims = envelope.ExternalSubjectClaims
	of := func(change func(*claims)) claims {
		c := claims{
			Connection: "corp", ConnectionName: "Corp", Attempt: "7K2QD-9XM4P", SubjectType: envelope.SubjectExternal,
			Issuer: "https://idp.example/", Subject: "00u1", Email: "ada@corp.example", Name: "Ada", AMR: []string{"pwd"}, ACR: "urn:a",
		}
		change(&c)
		return c
	}
	for name, change := range map[string]func(*claims){
		"as the bridge writes them":             func(*claims) {},
		"a subject with a space":                func(c *claims) { c.Subject = "Ada Lovelace" },
		"an issuer and a subject of 255 bytes":  func(c *claims) { c.Issuer, c.Subject = strings.Repeat("i", 255), strings.Repeat("s", 255) },
		"an issuer of an OAuth 2.0 connection":  func(c *claims) { c.Issuer = "oauth2:corp" },
		"neither a name nor how they signed in": func(c *claims) { c.Name, c.AMR, c.ACR = "", nil, "" },
	} {
		t.Run(name, func(t *testing.T) {
			if !fit(of(change)) {
				t.Error("refused")
			}
		})
	}
	for name, change := range map[string]func(*claims){
		"no subject":                 func(c *claims) { c.Subject = "" },
		"a subject of 256 bytes":     func(c *claims) { c.Subject = strings.Repeat("s", 256) },
		"a subject beyond ASCII":     func(c *claims) { c.Subject = "adà" },
		"a subject with a control":   func(c *claims) { c.Subject = "a\nb" },
		"an issuer with a space":     func(c *claims) { c.Issuer = "https://idp.example /" },
		"an issuer of our own":       func(c *claims) { c.Issuer = "dify:accounts" },
		"another kind of subject":    func(c *claims) { c.SubjectType = "account" },
		"an e-mail in capitals":      func(c *claims) { c.Email = "Ada@corp.example" },
		"no e-mail":                  func(c *claims) { c.Email = "" },
		"no name of the connection":  func(c *claims) { c.ConnectionName = "" },
		"a connection that is none":  func(c *claims) { c.Connection = "../x" },
		"a reference that is none":   func(c *claims) { c.Attempt = "7k2qd-9xm4p" },
		"a name that turns around":   func(c *claims) { c.Name = "a\u202eb" },
		"nine methods":               func(c *claims) { c.AMR = strings.Fields("1 2 3 4 5 6 7 8 9") },
		"a sign-in before there was": func(c *claims) { c.AuthTime = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			if fit(of(change)) {
				t.Error("accepted")
			}
		})
	}
}
