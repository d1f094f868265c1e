// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// saysThat makes the response say something else.
func (p *party) saysThat(edit func(a *samlsp.Assertion)) {
	a := goodAssertion()
	edit(&a)
	p.says = []any{a}
}

func attribute(name string, values ...string) samlsp.Attribute {
	return samlsp.Attribute{Name: name, Values: values}
}

func TestClaimsOfAnAssertion(t *testing.T) {
	p := newParty(t)
	c, err := p.verify(t)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Same(t, "claims", c, identity.Claims{
		Issuer: theirs, Subject: "u-1", Emails: []string{"ada@corp.example"}, Name: "Ada", Groups: []string{"staff", "ops"}, GroupsPresent: true,
		AuthTime: partyStart.Add(-time.Minute).Unix(), ACR: "urn:oasis:names:tc:SAML:2.0:ac:classes:Password",
		Seen: []identity.Claim{
			{Name: "name_id", Value: "u-1", Source: "name_id"},
			{Name: "email", Value: "ada@corp.example", Source: "attribute"}, {Name: "name", Value: "Ada", Source: "attribute"}, {Name: "groups", Value: `["staff","ops"]`, Source: "attribute"},
		},
	})
}

func TestTheNameIDAsTheSubject(t *testing.T) {
	for _, tc := range []struct {
		name    string
		id      samlsp.NameID
		formats []string
		refused bool
	}{
		{"persistent", samlsp.NameID{Value: "u-1", Format: persistent}, nil, false},
		{"persistent, where others are configured", samlsp.NameID{Value: "u-1", Format: persistent}, []string{unspecified}, true},
		{"transient", samlsp.NameID{Value: "u-1", Format: transient}, nil, true},
		{"transient, though configured", samlsp.NameID{Value: "u-1", Format: transient}, []string{transient}, true},
		{"an e-mail address", samlsp.NameID{Value: "ada@corp.example", Format: mailFormat}, nil, true},
		{"an e-mail address, as configured", samlsp.NameID{Value: "ada@corp.example", Format: mailFormat}, []string{mailFormat}, false},
		{"unspecified", samlsp.NameID{Value: "u-1", Format: unspecified}, []string{mailFormat}, true},
		{"unspecified, as configured", samlsp.NameID{Value: "u-1", Format: unspecified}, []string{unspecified}, false},
		{"without a format", samlsp.NameID{Value: "u-1"}, nil, true},
		{"without a format, with unspecified configured", samlsp.NameID{Value: "u-1"}, []string{unspecified}, false},
		{"of an unknown format", samlsp.NameID{Value: "u-1", Format: "urn:x"}, nil, true},
		{"of a format in another case", samlsp.NameID{Value: "u-1", Format: strings.ToUpper(persistent)}, nil, true},
		{"qualified by the issuer and by us", samlsp.NameID{Value: "u-1", Format: persistent, NameQualifier: theirs, SPNameQualifier: ours}, nil, false},
		{"of another issuer's name space", samlsp.NameID{Value: "u-1", Format: persistent, NameQualifier: theirs + "/"}, nil, true},
		{"of another service's name space", samlsp.NameID{Value: "u-1", Format: persistent, SPNameQualifier: "https://other.example"}, nil, true},
		{"with the qualifiers exchanged", samlsp.NameID{Value: "u-1", Format: persistent, NameQualifier: ours, SPNameQualifier: theirs}, nil, true},
	} {
		t.Run("SSO-76 SAML-50 "+tc.name, func(t *testing.T) {
			p := newParty(t)
			if tc.formats != nil { // else the party's: persistent
				p.saml().SubjectFormats = tc.formats
			}
			p.saysThat(func(a *samlsp.Assertion) { a.NameID = tc.id })
			if tc.refused {
				f := p.refused(t, failure.SAMLNameID)
				want := tc.id.Format
				if want == "" {
					want = unspecified
				}
				if f.Facts["format"] != want || f.Facts["length"] != strconv.Itoa(len(tc.id.Value)) || strings.Contains(f.Expected+f.Got, tc.id.Value) {
					t.Error(f.Facts, f.Expected, f.Got)
				}
				return
			}
			if c, err := p.verify(t); err != nil || c.Subject != tc.id.Value {
				t.Error(c.Subject, err)
			}
		})
	}
	t.Run("SSO-76 beside a subject of an attribute its value and format decide nothing", func(t *testing.T) {
		p := newParty(t)
		p.config().Claims.Subject = "uid"
		p.saysThat(func(a *samlsp.Assertion) {
			a.NameID = samlsp.NameID{Value: "_t", Format: transient, NameQualifier: "urn:x"}
			a.Attributes = append(a.Attributes, attribute("uid", "42"))
		})
		if c, err := p.verify(t); err != nil || c.Subject != "42" {
			t.Error(c.Subject, err)
		}
	})
	t.Run("SAML-50 the e-mail of a NameID is judged as any other", func(t *testing.T) {
		p := newParty(t)
		p.config().Claims.Email, p.saml().SubjectFormats, p.config().Domains = connection.SubjectNameID, []string{mailFormat}, []string{"corp.example"}
		for value, want := range map[string]failure.Code{"Ada@corp.example": "", "ada@evil.example": failure.EmailDomainNotAllowed, "Ada <ada@corp.example>": failure.EmailMalformed} {
			p.config().RestrictToDomains, p.answer.Serving.Config.SAML.IdPEntityID = true, theirs
			p.saysThat(func(a *samlsp.Assertion) {
				a.NameID, a.Attributes = samlsp.NameID{Value: value, Format: mailFormat}, []samlsp.Attribute{attribute("email", "other@corp.example")}
			})
			clear(p.marks)
			p.expected = nil
			c, err := p.verify(t)
			if err != nil || !slices.Equal(c.Emails, []string{value}) {
				t.Fatal(c.Emails, err)
			}
			id, err := identity.Map(t.Context(), c, "corp", *p.config(), noOwner{})
			if got := failure.Of(err).Code; err != nil && got != want || err == nil && (want != "" || id.Email != "ada@corp.example") {
				t.Error(value, id.Email, err)
			}
		}
	})
}

// noOwner owns no domain.
type noOwner struct{ identity.Owners }

func (noOwner) Owner(context.Context, string) (string, error) { return "", nil }

func TestAttributes(t *testing.T) {
	for _, tc := range []struct {
		name       string
		attributes []samlsp.Attribute
		names      connection.ClaimNames
		want       identity.Claims // but what stays the same
		refused    string          // the attribute
	}{
		{"the subject of an attribute", []samlsp.Attribute{attribute("uid", "42")}, connection.ClaimNames{Subject: "uid"}, identity.Claims{Subject: "42"}, ""},
		{"SSO-76 the subject twice, equal", []samlsp.Attribute{attribute("uid", "42", "42"), attribute("uid", "42")}, connection.ClaimNames{Subject: "uid"}, identity.Claims{Subject: "42"}, ""},
		{"SSO-76 SAML-51 the subject with two values", []samlsp.Attribute{attribute("uid", "42", "43")}, connection.ClaimNames{Subject: "uid"}, identity.Claims{}, "uid"},
		{"SSO-76 SAML-51 the subject in two elements", []samlsp.Attribute{attribute("uid", "42"), attribute("x"), attribute("uid", "43")}, connection.ClaimNames{Subject: "uid"}, identity.Claims{}, "uid"},
		{"the subject that is not there", []samlsp.Attribute{attribute("UID", "42")}, connection.ClaimNames{Subject: "uid"}, identity.Claims{}, ""},
		{"the subject without a value", []samlsp.Attribute{attribute("uid")}, connection.ClaimNames{Subject: "uid"}, identity.Claims{}, ""},
		{"SAML-51 a Name in another case or with a space is another one", []samlsp.Attribute{attribute("uid", "42"), attribute("Uid", "1"), attribute("uid ", "2")}, connection.ClaimNames{Subject: "uid"}, identity.Claims{Subject: "42"}, ""},
		{"SAML-51 an e-mail with two values stays two", []samlsp.Attribute{attribute("uid", "42"), attribute("mail", "a@x.example", "b@x.example", "a@x.example")}, connection.ClaimNames{Subject: "uid", Email: "mail"}, identity.Claims{Subject: "42", Emails: []string{"a@x.example", "b@x.example"}}, ""},
		{"SAML-51 an e-mail that nobody asks for", []samlsp.Attribute{attribute("uid", "42"), attribute("mail", "a@x.example")}, connection.ClaimNames{Subject: "uid"}, identity.Claims{Subject: "42"}, ""},
		{"SAML-51 a name with two values", []samlsp.Attribute{attribute("uid", "42"), attribute("cn", "Ada", "Eve")}, connection.ClaimNames{Subject: "uid", Name: "cn"}, identity.Claims{}, "cn"},
		{"SAML-51 a given name with two values", []samlsp.Attribute{attribute("uid", "42"), attribute("gn", "Ada", "Eve")}, connection.ClaimNames{Subject: "uid", GivenName: "gn"}, identity.Claims{}, "gn"},
		{"SAML-51 a word for verified with two values", []samlsp.Attribute{attribute("uid", "42"), attribute("ok", "true", "false")}, connection.ClaimNames{Subject: "uid", EmailVerified: "ok"}, identity.Claims{}, "ok"},
		{"given and family name", []samlsp.Attribute{attribute("uid", "42"), attribute("gn", "Ada"), attribute("sn", "Lovelace")}, connection.ClaimNames{Subject: "uid", GivenName: "gn", FamilyName: "sn"}, identity.Claims{Subject: "42", GivenName: "Ada", FamilyName: "Lovelace"}, ""},
		{"groups in several elements of one Name", []samlsp.Attribute{attribute("Role", "a"), attribute("uid", "42"), attribute("Role", "b", "c")}, connection.ClaimNames{Subject: "uid", Groups: "Role"}, identity.Claims{Subject: "42", Groups: []string{"a", "b", "c"}, GroupsPresent: true}, ""},
		{"no groups", []samlsp.Attribute{attribute("uid", "42"), attribute("Role")}, connection.ClaimNames{Subject: "uid", Groups: "Role"}, identity.Claims{Subject: "42", GroupsPresent: true}, ""},
		{"groups that are absent", []samlsp.Attribute{attribute("uid", "42")}, connection.ClaimNames{Subject: "uid", Groups: "Role"}, identity.Claims{Subject: "42"}, ""},
		{"a link in place of the groups", []samlsp.Attribute{attribute("uid", "42"), attribute("http://schemas.microsoft.com/claims/groups.link", "https://graph.example/x")}, connection.ClaimNames{Subject: "uid", Groups: "Role"}, identity.Claims{Subject: "42", Overage: true}, ""},
		{"a link in place of groups that nobody asks for", []samlsp.Attribute{attribute("uid", "42"), attribute("http://schemas.microsoft.com/claims/groups.link", "https://graph.example/x")}, connection.ClaimNames{Subject: "uid"}, identity.Claims{Subject: "42"}, ""},
		{"an attribute named as the NameID is not it", []samlsp.Attribute{attribute("name_id", "42")}, connection.ClaimNames{Subject: connection.SubjectNameID}, identity.Claims{Subject: "u-1"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newParty(t)
			p.config().Claims = tc.names
			p.saysThat(func(a *samlsp.Assertion) { a.Attributes, a.AuthnInstant, a.Context = tc.attributes, time.Time{}, "" })
			if tc.refused != "" {
				f := p.refused(t, failure.SAMLAttribute)
				if f.Facts["attribute"] != tc.refused || f.Facts["values"] != "2" {
					t.Error(f.Facts)
				}
				return
			}
			c, err := p.verify(t)
			if err != nil {
				t.Fatal(err)
			}
			c.Seen, tc.want.Issuer = nil, theirs
			storetest.Same(t, "claims", c, tc.want)
		})
	}
}

func TestAnElementInThePlaceOfAText(t *testing.T) {
	nested := []samlsp.Attribute{attribute("uid", "42"), {Name: "targeted", Values: []string{"a"}, Nested: true}, attribute("targeted", "a")}
	for label, names := range map[string]connection.ClaimNames{
		"subject": {Subject: "targeted"}, "e-mail": {Subject: "uid", Email: "targeted"}, "name": {Subject: "uid", Name: "targeted"}, "groups": {Subject: "uid", Groups: "targeted"},
	} {
		t.Run("SAML-51 refuses an attribute that is asked for, as "+label, func(t *testing.T) {
			p := newParty(t)
			p.config().Claims = names
			p.saysThat(func(a *samlsp.Assertion) { a.Attributes = nested })
			if f := p.refused(t, failure.SAMLAttribute); f.Facts["attribute"] != "targeted" {
				t.Error(f.Facts)
			}
		})
	}
	t.Run("SAML-51 is nothing where nobody asks for it", func(t *testing.T) {
		p := newParty(t)
		p.config().Claims = connection.ClaimNames{Subject: "uid"}
		p.saysThat(func(a *samlsp.Assertion) { a.Attributes = nested })
		if c, err := p.verify(t); err != nil || c.Subject != "42" {
			t.Error(c, err)
		}
	})
}

// An attribute is a text always, so its word for verified counts as the text does.
func TestTheWordForVerified(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []string
		texts  bool
		want   identity.Stated
		raw    string
	}{
		{"SAML-50 absent", nil, true, identity.Unstated, ""},
		{"SAML-50 true", []string{"true"}, false, identity.Unstated, `"true"`},
		{"SAML-50 true, by option", []string{"true"}, true, identity.StatedTrue, `"true"`},
		{"SAML-50 True, by option", []string{"True"}, true, identity.Unstated, `"True"`},
		{"SAML-50 1, by option", []string{"1"}, true, identity.Unstated, `"1"`},
		{"SAML-50 false", []string{"false"}, false, identity.StatedFalse, `"false"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newParty(t)
			p.config().Claims.EmailVerified, p.config().EmailVerifiedStrings = "ok", tc.texts
			if tc.values != nil {
				p.saysThat(func(a *samlsp.Assertion) { a.Attributes = append(a.Attributes, attribute("ok", tc.values...)) })
			}
			if c, err := p.verify(t); err != nil || c.Verified != tc.want || c.VerifiedRaw != tc.raw {
				t.Error(c.Verified, c.VerifiedRaw, err)
			}
		})
	}
}
