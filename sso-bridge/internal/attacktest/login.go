// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"fmt"
	"strings"
	"time"
)

// The facts of the genuine login, and the name that no attack may get through.
const (
	Issuer    = "https://idp.example/metadata"
	Audience  = "https://sso.example/sso/saml/metadata/corp"
	Consumer  = "https://sso.example/sso/saml/acs/corp"
	RequestID = "_0123456789abcdef0123456789abcdef"
	Person    = "alice@corp.example"
	Mallory   = "mallory@corp.example"

	ResponseID  = "_response1"
	AssertionID = "_assertion1"

	assertionNS = "urn:oasis:names:tc:SAML:2.0:assertion"
	protocolNS  = "urn:oasis:names:tc:SAML:2.0:protocol"
	dsigNS      = "http://www.w3.org/2000/09/xmldsig#"
	xencNS      = "http://www.w3.org/2001/04/xmlenc#"

	// Persistent and Transient are formats of a NameID.
	Persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	Transient  = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	// Password is the authentication context class of the genuine login.
	Password = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
)

// Names is how a message writes its namespaces.
type Names int

// The ways that providers have.
const (
	Prefixed    Names = iota // saml and samlp, declared on the root
	Everywhere               // the same, saml declared on the assertion again
	Unprefixed               // no prefix: each of the two has xmlns of its own
	Inherited                // the assertion's default namespace is declared on the response
	OtherNames               // saml2 and saml2p, as Shibboleth and Okta write
	WithSchemas              // xs and xsi besides, as typed attribute values want them
)

// Signed is which elements carry a signature.
type Signed int

// The shapes of a signed message.
const (
	Unsigned  Signed = 0
	Assertion Signed = 1
	Response  Signed = 2
	Both             = Assertion | Response
)

func (s Signed) String() string {
	return [...]string{"nothing signed", "the assertion signed", "the response signed", "both signed"}[s]
}

// Login is one genuine sign-in and how its message is written.
type Login struct {
	NameID  string
	Names   Names
	Signed  Signed
	Key     Key
	KeyInfo bool
	// Method and Digest are URIs; empty for RSA or ECDSA with SHA-256, and SHA-256.
	Method, Digest string
	// PrefixList of the exclusive canonicalization; nil for no InclusiveNamespaces.
	PrefixList *string
	// Edit changes the message before it is signed, After afterwards. Shape changes a
	// signature before SignedInfo is signed.
	Edit, After func(string) string
	Shape       func(signature string) string
	// DER writes an elliptic signature as X.509 does, and not as XML.
	DER bool
	// C14N is the algorithm of the transform and of SignedInfo; empty for the exclusive one.
	C14N string
}

// Genuine is the login that attacks begin with: the assertion signed, RSA-SHA256.
func Genuine() Login {
	return Login{NameID: Person, Signed: Assertion, Key: Provider(), KeyInfo: true}
}

// A message carries these where a signature will stand.
const (
	responseMark  = "{{signature of the response}}"
	assertionMark = "{{signature of the assertion}}"
)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// prefixes gives the prefixes of both namespaces, with their colons, and declarations of
// the response and of the assertion.
func (n Names) prefixes() (p, a, onResponse, onAssertion string) {
	decl := func(prefix, ns string) string {
		if prefix == "" {
			return ` xmlns="` + ns + `"`
		}
		return ` xmlns:` + prefix + `="` + ns + `"`
	}
	switch n {
	case Everywhere:
		return "samlp:", "saml:", decl("samlp", protocolNS) + decl("saml", assertionNS), decl("saml", assertionNS)
	case Unprefixed:
		return "", "", decl("", protocolNS), decl("", assertionNS)
	case Inherited:
		return "samlp:", "", decl("samlp", protocolNS) + decl("", assertionNS), ""
	case OtherNames:
		return "saml2p:", "saml2:", decl("saml2p", protocolNS), decl("saml2", assertionNS)
	case WithSchemas:
		return "samlp:", "saml:", decl("samlp", protocolNS) + decl("saml", assertionNS) + decl("xs", "http://www.w3.org/2001/XMLSchema"),
			decl("xs", "http://www.w3.org/2001/XMLSchema") + decl("xsi", "http://www.w3.org/2001/XMLSchema-instance")
	}
	return "samlp:", "saml:", decl("samlp", protocolNS) + decl("saml", assertionNS), ""
}

// unsigned is the message with marks where signatures go.
func (l Login) unsigned() string {
	p, a, onResponse, onAssertion := l.Names.prefixes()
	onIssuer, typed := "", ""
	if l.Names == Unprefixed { // the Issuer of the response is of the other namespace
		onIssuer = ` xmlns="` + assertionNS + `"`
	}
	if l.Names == OtherNames {
		onIssuer = onAssertion
	}
	if l.Names == WithSchemas {
		typed = ` xsi:type="xs:string"`
	}
	text := fmt.Sprintf(`<%[1]sResponse%[3]s ID="`+ResponseID+`" Version="2.0" IssueInstant="%[7]s" Destination="`+Consumer+`" InResponseTo="`+RequestID+`">`+
		`<%[2]sIssuer%[5]s>`+Issuer+`</%[2]sIssuer>`+responseMark+
		`<%[1]sStatus><%[1]sStatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></%[1]sStatus>`+
		`<%[2]sAssertion%[4]s ID="`+AssertionID+`" Version="2.0" IssueInstant="%[7]s">`+
		`<%[2]sIssuer>`+Issuer+`</%[2]sIssuer>`+assertionMark+
		`<%[2]sSubject><%[2]sNameID Format="`+Persistent+`">%[9]s</%[2]sNameID>`+
		`<%[2]sSubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">`+
		`<%[2]sSubjectConfirmationData NotOnOrAfter="%[8]s" Recipient="`+Consumer+`" InResponseTo="`+RequestID+`"/>`+
		`</%[2]sSubjectConfirmation></%[2]sSubject>`+
		`<%[2]sConditions NotBefore="%[7]s" NotOnOrAfter="%[8]s"><%[2]sAudienceRestriction><%[2]sAudience>`+Audience+`</%[2]sAudience></%[2]sAudienceRestriction></%[2]sConditions>`+
		`<%[2]sAuthnStatement AuthnInstant="%[7]s" SessionIndex="_session1"><%[2]sAuthnContext><%[2]sAuthnContextClassRef>`+Password+`</%[2]sAuthnContextClassRef></%[2]sAuthnContext></%[2]sAuthnStatement>`+
		`<%[2]sAttributeStatement><%[2]sAttribute Name="mail" FriendlyName="email"><%[2]sAttributeValue%[6]s>alice@mail.example</%[2]sAttributeValue></%[2]sAttribute>`+
		`<%[2]sAttribute Name="groups"><%[2]sAttributeValue%[6]s>staff</%[2]sAttributeValue><%[2]sAttributeValue%[6]s>ops</%[2]sAttributeValue></%[2]sAttribute></%[2]sAttributeStatement>`+
		`</%[2]sAssertion></%[1]sResponse>`,
		p, a, onResponse, onAssertion, onIssuer, typed, stamp(Now.Add(-10*time.Second)), stamp(Now.Add(5*time.Minute)), l.NameID)
	if l.Edit != nil {
		text = l.Edit(text)
	}
	return text
}

// Text is the message as XML, signed.
func (l Login) Text() string {
	text := l.unsigned()
	if l.Signed&Assertion != 0 {
		text = l.sign(text, assertionMark)
	}
	if l.Signed&Response != 0 {
		text = l.sign(text, responseMark)
	}
	text = strings.NewReplacer(responseMark, "", assertionMark, "").Replace(text)
	if l.After != nil {
		text = l.After(text)
	}
	return text
}

// Form is the message as a browser posts it: base64.
func (l Login) Form() string { return Encode(l.Text()) }
