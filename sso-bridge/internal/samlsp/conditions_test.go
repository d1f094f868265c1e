// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// at writes an instant so many seconds from testNow.
func at(seconds int) string {
	return testNow.Add(time.Duration(seconds) * time.Second).Format(time.RFC3339)
}

// Parts of the sample.
const (
	confirmationData  = `<saml:SubjectConfirmationData NotOnOrAfter="2026-03-04T10:05:00Z" Recipient="` + testConsumer + `" InResponseTo="` + testRequest + `"/>`
	confirmationStart = `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">`
	confirmation      = confirmationStart + confirmationData + `</saml:SubjectConfirmation>`
	restriction       = `<saml:AudienceRestriction><saml:Audience>` + testAudience + `</saml:Audience></saml:AudienceRestriction>`
	conditionsStart   = `<saml:Conditions NotBefore="2026-03-04T09:59:30Z" NotOnOrAfter="2026-03-04T10:05:00Z">`
	statementStart    = `<saml:AuthnStatement AuthnInstant="2026-03-04T09:30:00Z" SessionNotOnOrAfter="2026-03-04T18:00:00Z" SessionIndex="_s">`
	authnContext      = `<saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext>`
)

// row is one change of the sample: pairs of texts, and what becomes of it. Without a code
// it is accepted.
type row struct {
	name  string
	pairs []string
	code  failure.Code
	fact  string // name=value
}

func (r row) run(t *testing.T, e Expected) {
	t.Run(r.name, func(t *testing.T) {
		response := signedAssertion(t, replaced(t, r.pairs...))
		if r.code == "" {
			accepted(t, response, e)
			return
		}
		f := refusal(t, response, e, r.code)
		if name, value, ok := strings.Cut(r.fact, "="); ok && f.Facts[name] != value {
			t.Fatalf("facts %v, want %s", f.Facts, r.fact)
		}
	})
}

func TestOutside(t *testing.T) {
	const responseIssuer = `<saml:Issuer>` + testIssuer + `</saml:Issuer><samlp:Status>`
	const assertionIssuer = `<saml:Issuer>` + testIssuer + `</saml:Issuer><saml:Subject>`
	other := func(s string) string { return strings.ReplaceAll(s, testIssuer, testIssuer+"/") }
	for _, r := range []row{
		{"SAML-39 the assertion is another's", []string{assertionIssuer, other(assertionIssuer)}, failure.SAMLIssuer, ""},
		{"SAML-39 the response is another's", []string{responseIssuer, other(responseIssuer)}, failure.SAMLIssuer, ""},
		{"SAML-39 a blank before the issuer", []string{assertionIssuer, strings.Replace(assertionIssuer, ">", "> ", 1)}, failure.SAMLIssuer, ""},
		{"SAML-39 no issuer in the response", []string{responseIssuer, `<samlp:Status>`}, "", ""},
		{"SAML-36 no destination", []string{`Destination="` + testConsumer + `" `, ``}, "", ""},
		{"SAML-36 an empty destination", []string{`Destination="` + testConsumer + `" `, `Destination="" `}, failure.SAMLDestination, ""},
		{"SAML-36 a destination with a slash", []string{`Destination="` + testConsumer, `Destination="` + testConsumer + "/"}, failure.SAMLDestination, ""},
		{"SAML-36 a destination in capitals", []string{`Destination="https`, `Destination="HTTPS`}, failure.SAMLDestination, ""},
		{"SAML-36 a destination that only begins so", []string{`Destination="` + testConsumer, `Destination="` + testConsumer + "?x"}, failure.SAMLDestination, ""},
		{"SAML-31 another request", []string{`InResponseTo="` + testRequest + `">`, `InResponseTo="_other">`}, failure.SAMLInResponseTo, "present=true"},
		{"SAML-31 an empty request", []string{`InResponseTo="` + testRequest + `">`, `InResponseTo="">`}, failure.SAMLInResponseTo, "present=true"},
		{"SAML-32 no request", []string{` InResponseTo="` + testRequest + `">`, `>`}, failure.SAMLInResponseTo, "present=false"},
	} {
		r.run(t, expected())
	}
	t.Run("SAML-36 a signed response without destination", func(t *testing.T) {
		f := refusal(t, signedResponse(t, replaced(t, `Destination="`+testConsumer+`" `, ``)), expected(), failure.SAMLDestination)
		if f.Expected != testConsumer || f.Got != "" {
			t.Fatalf("%+v", f)
		}
	})
	t.Run("SAML-31 what is expected is never empty", func(t *testing.T) {
		for _, empty := range []func(*Expected){
			func(e *Expected) { e.Issuer = "" }, func(e *Expected) { e.Audience = "" },
			func(e *Expected) { e.Consumer = "" }, func(e *Expected) { e.RequestID = "" },
		} {
			e := expected()
			empty(&e)
			refused(t, signedAssertion(t, sampleText), e, failure.Internal)
		}
	})
}

func TestConfirmation(t *testing.T) {
	swap := func(old, now string) []string {
		return []string{confirmationData, strings.Replace(confirmationData, old, now, 1)}
	}
	for _, r := range []row{
		{"SAML-40 no confirmation", []string{confirmation, ``}, failure.SAMLConfirmation, "rule=bearer"},
		{"SAML-40 no data", []string{confirmationData, ``}, failure.SAMLConfirmation, "rule=data"},
		{"SAML-40 holder of key", []string{`cm:bearer`, `cm:holder-of-key`}, failure.SAMLConfirmation, "rule=bearer"},
		{"SAML-40 sender vouches", []string{`cm:bearer`, `cm:sender-vouches`}, failure.SAMLConfirmation, "rule=bearer"},
		{"SAML-40 not before", swap(` Recipient`, ` NotBefore="2026-03-04T09:59:00Z" Recipient`), failure.SAMLConfirmation, "rule=not_before"},
		{"SAML-40 no end", swap(` NotOnOrAfter="2026-03-04T10:05:00Z"`, ``), failure.SAMLConfirmation, "rule=not_on_or_after"},
		{"SAML-40 a key in the data", []string{confirmationData, strings.Replace(confirmationData, `/>`, `><x xmlns="urn:x"/></saml:SubjectConfirmationData>`, 1)}, failure.SAMLConfirmation, "rule=children"},
		{"SAML-40 a NameID in the confirmation", []string{confirmationData, `<saml:NameID>bob</saml:NameID>` + confirmationData}, failure.SAMLConfirmation, "rule=children"},
		{"SAML-40 data twice", []string{confirmationData, confirmationData + confirmationData}, failure.SAMLConfirmation, "rule=data"},
		{"SAML-40 another method beside", []string{confirmation, strings.Replace(confirmation, "bearer", "sender-vouches", 1) + confirmation}, "", ""},
		{"SAML-40 one without data and one with", []string{confirmation, confirmationStart + `</saml:SubjectConfirmation>` + confirmation}, "", ""},
		{"SAML-40 two that are complete", []string{confirmation, confirmation + confirmation}, "", ""},
		{"SAML-40 one for another address and one for ours", []string{confirmation, strings.Replace(confirmation, testConsumer, "https://other.example/", 1) + confirmation}, "", ""},
		{"SAML-31 one that answers another request beside ours", []string{confirmation, confirmation + strings.Replace(confirmation, testRequest, "_other", 1)}, failure.SAMLInResponseTo, "present=true"},
		{"SAML-31 no request in the confirmation", swap(` InResponseTo="`+testRequest+`"`, ``), failure.SAMLInResponseTo, "present=false"},
		{"SAML-31 another request in the confirmation", swap(testRequest, `_other`), failure.SAMLInResponseTo, "present=true"},
		{"SAML-35 no recipient", swap(` Recipient="`+testConsumer+`"`, ``), failure.SAMLRecipient, ""},
		{"SAML-35 an empty recipient", swap(testConsumer, ``), failure.SAMLRecipient, ""},
		{"SAML-35 a recipient with a slash", swap(testConsumer, testConsumer+"/"), failure.SAMLRecipient, ""},
		{"SAML-35 a recipient of another scheme", swap(`https`, `http`), failure.SAMLRecipient, ""},
		{"SAML-35 a recipient with a port", swap(`dify.test`, `dify.test:443`), failure.SAMLRecipient, ""},
		{"SAML-41 no subject", []string{`<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">alice-1</saml:NameID>` + confirmation + `</saml:Subject>`, ``}, failure.SAMLConfirmation, "rule=subject"},
	} {
		r.run(t, expected())
	}
	t.Run("SAML-29 of two the later end is kept, for a mark must last as long", func(t *testing.T) {
		later := strings.Replace(confirmation, "10:05:00Z", "10:30:00Z", 1)
		a, _ := accepted(t, signedAssertion(t, replaced(t, confirmation, later+confirmation)), expected())
		if !a.Until.Equal(testNow.Add(30 * time.Minute)) {
			t.Fatalf("until %s", a.Until)
		}
	})
}

func TestConditions(t *testing.T) {
	audience := func(s ...string) string {
		return `<saml:AudienceRestriction><saml:Audience>` + strings.Join(s, `</saml:Audience><saml:Audience>`) + `</saml:Audience></saml:AudienceRestriction>`
	}
	const whole = conditionsStart + restriction + `</saml:Conditions>`
	for _, r := range []row{
		{"SAML-41 no conditions", []string{whole, ``}, failure.SAMLConditions, "rule=missing"},
		{"SAML-37 no audience", []string{restriction, ``}, failure.SAMLConditions, "rule=audience_restriction"},
		{"SAML-37 an empty restriction", []string{restriction, `<saml:AudienceRestriction/>`}, failure.SAMLAudience, ""},
		{"SAML-38 another audience", []string{restriction, audience("https://other.example/")}, failure.SAMLAudience, ""},
		{"SAML-37 an audience that begins with ours", []string{restriction, audience(testAudience + "/")}, failure.SAMLAudience, ""},
		{"SAML-37 an audience that ours begins with", []string{restriction, audience(testAudience[:len(testAudience)-1])}, failure.SAMLAudience, ""},
		{"SAML-37 two audiences, ours second", []string{restriction, audience("urn:other", testAudience)}, "", ""},
		{"SAML-37 two audiences, ours first", []string{restriction, audience(testAudience, "urn:other")}, "", ""},
		{"SAML-37 two restrictions, both ours", []string{restriction, restriction + restriction}, "", ""},
		{"SAML-37 two restrictions, ours first", []string{restriction, restriction + audience("urn:other")}, failure.SAMLAudience, ""},
		{"SAML-37 two restrictions, ours second", []string{restriction, audience("urn:other") + restriction}, failure.SAMLAudience, ""},
		{"SAML-12 a foreign audience", []string{restriction, `<saml:AudienceRestriction><Audience xmlns="urn:x">` + testAudience + `</Audience></saml:AudienceRestriction>`}, failure.SAMLConditions, "rule=foreign_child"},
		{"SAML-37 an element in an audience", []string{restriction, audience(testAudience + `<x xmlns="urn:x"/>`)}, failure.SAMLConditions, "rule=audience"},
		{"SAML-44 used once", []string{restriction, restriction + `<saml:OneTimeUse/>`}, "", ""},
		{"SAML-44 a restriction of proxies", []string{restriction, restriction + `<saml:ProxyRestriction Count="0"/>`}, failure.SAMLConditions, "rule=foreign_child"},
		{"SAML-44 an unknown condition", []string{restriction, restriction + `<saml:Condition/>`}, failure.SAMLConditions, "rule=foreign_child"},
		{"SAML-44 a foreign condition", []string{restriction, restriction + `<x xmlns="urn:x"/>`}, failure.SAMLConditions, "rule=foreign_child"},
		{"SAML-42 no times in the conditions", []string{conditionsStart, `<saml:Conditions>`}, "", ""},
		{"SAML-42 an end before the beginning", []string{conditionsStart, `<saml:Conditions NotBefore="` + at(30) + `" NotOnOrAfter="` + at(30) + `">`}, failure.SAMLConditions, "rule=window"},
	} {
		r.run(t, expected())
	}
}

func TestTimes(t *testing.T) {
	ends := func(s string) []string {
		return []string{conditionsStart, `<saml:Conditions NotOnOrAfter="` + s + `">`}
	}
	begins := func(s string) []string { return []string{conditionsStart, `<saml:Conditions NotBefore="` + s + `">`} }
	confirms := func(s string) []string {
		return []string{confirmationData, strings.Replace(confirmationData, "2026-03-04T10:05:00Z", s, 1)}
	}
	issues := func(s string) []string {
		return []string{`ID="_assertion" Version="2.0" IssueInstant="2026-03-04T10:00:00Z"`, `ID="_assertion" Version="2.0" IssueInstant="` + s + `"`, conditionsStart, `<saml:Conditions>`}
	}
	for _, r := range []row{
		{"SAML-42 the end 59 s ago", ends(at(-59)), "", ""},
		{"SAML-42 the end 60 s ago", ends(at(-60)), failure.SAMLTime, "skew_s=60"},
		{"SAML-42 the end 61 s ago", ends(at(-61)), failure.SAMLTime, "condition=not_on_or_after"},
		{"SAML-42 the beginning in 60 s", begins(at(60)), "", ""},
		{"SAML-42 the beginning in 61 s", begins(at(61)), failure.SAMLTime, "skew_s=61"},
		{"SAML-42 the beginning in 180 s", begins(at(180)), failure.SAMLTime, "condition=not_before"},
		{"SAML-42 the confirmation's end 59 s ago", confirms(at(-59)), "", ""},
		{"SAML-42 the confirmation's end 61 s ago", confirms(at(-61)), failure.SAMLTime, "skew_s=61"},
		{"SAML-42 issued in 59 s", issues(at(59)), "", ""},
		{"SAML-42 issued in 61 s", issues(at(61)), failure.SAMLTime, "condition=issue_instant"},
		{"SAML-42 issued 180 s ago", issues(at(-180)), "", ""},
		{"SAML-42 issued 600 s ago", issues(at(-600)), "", ""},
		{"SAML-42 issued 601 s ago", issues(at(-601)), failure.SAMLLifetime, "age_s=601"},
		{"SAML-42 issued ten years ago", issues("2016-03-04T10:00:00Z"), failure.SAMLLifetime, ""},
		{"SAML-42 an hour to live", ends(at(3600)), "", ""},
		{"SAML-42 an hour and a second to live", ends(at(3601)), failure.SAMLLifetime, "lifetime_s=3601"},
		{"SAML-42 an end in ten years", ends("2036-03-04T10:00:00Z"), failure.SAMLLifetime, "condition=not_on_or_after"},
		{"SAML-42 a confirmation of more than an hour", confirms(at(3601)), failure.SAMLLifetime, "condition=confirmation_not_on_or_after"},
		{"SAML-42 fractions of a second", issues("2026-03-04T09:59:59.123456789Z"), "", ""},
		{"SAML-42 a zone", issues("2026-03-04T10:00:00+00:00"), failure.SAMLTime, "condition=issue_instant"},
		{"SAML-42 an odd zone", ends("2026-03-04T15:45:00+05:45"), failure.SAMLTime, "condition=not_on_or_after"},
		{"SAML-42 no Z", confirms("2026-03-04T10:05:00"), failure.SAMLTime, "condition=confirmation_not_on_or_after"},
		{"SAML-42 a small z", begins("2026-03-04t10:00:00z"), failure.SAMLTime, "condition=not_before"},
		{"SAML-42 a leap second", begins("2016-12-31T23:59:60Z"), failure.SAMLTime, "condition=not_before"},
		{"SAML-42 the hour 24", begins("2026-03-03T24:00:00Z"), failure.SAMLTime, "condition=not_before"},
		{"SAML-42 the year 0", begins("0000-01-01T00:00:00Z"), failure.SAMLTime, "condition=not_before"},
		{"SAML-42 a year before it", begins("-0001-01-01T00:00:00Z"), failure.SAMLTime, "condition=not_before"},
		{"SAML-42 a year of five digits", ends("12026-03-04T10:00:00Z"), failure.SAMLTime, "condition=not_on_or_after"},
		{"SAML-42 the 30th of February", begins("2026-02-30T10:00:00Z"), failure.SAMLTime, "condition=not_before"},
		{"SAML-42 a comma", begins("2026-03-04T10:00:00,5Z"), failure.SAMLTime, "condition=not_before"},
		{"SAML-42 blanks", begins(" 2026-03-04T10:00:00Z"), failure.SAMLTime, "condition=not_before"},
		{"SAML-42 nothing", begins(""), failure.SAMLTime, "condition=not_before"},
		{"SAML-41 no time of issue", []string{`ID="_assertion" Version="2.0" IssueInstant="2026-03-04T10:00:00Z"`, `ID="_assertion" Version="2.0"`}, failure.SAMLTime, "condition=issue_instant"},
	} {
		r.run(t, expected())
	}
	wide := expected()
	wide.Skew = 5 * time.Minute
	row{"SAML-42 the skew of the connection", begins(at(299)), "", ""}.run(t, wide)
}

func TestStatement(t *testing.T) {
	const whole = statementStart + authnContext + `</saml:AuthnStatement>`
	statement := func(when, class string) string {
		return `<saml:AuthnStatement AuthnInstant="` + when + `"><saml:AuthnContext><saml:AuthnContextClassRef>` + class + `</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>`
	}
	for _, r := range []row{
		{"SAML-43 none", []string{whole, ``}, failure.SAMLAuthnStatement, "rule=missing"},
		{"SAML-43 no instant", []string{` AuthnInstant="2026-03-04T09:30:00Z"`, ``}, failure.SAMLTime, "condition=authn_instant"},
		{"SAML-43 an instant in the future", []string{`AuthnInstant="2026-03-04T09:30:00Z"`, `AuthnInstant="` + at(61) + `"`}, failure.SAMLTime, "condition=authn_instant"},
		{"SAML-43 a session that ended 59 s ago", []string{`"2026-03-04T18:00:00Z"`, `"` + at(-59) + `"`}, "", ""},
		{"SAML-43 a session that ended 61 s ago", []string{`"2026-03-04T18:00:00Z"`, `"` + at(-61) + `"`}, failure.SAMLAuthnStatement, "rule=session_over"},
		{"SAML-43 no session's end", []string{` SessionNotOnOrAfter="2026-03-04T18:00:00Z"`, ``}, "", ""},
		{"SAML-43 no context", []string{authnContext, ``}, failure.SAMLAuthnStatement, "rule=context"},
		{"SAML-43 a context without a class", []string{authnContext, `<saml:AuthnContext><saml:AuthnContextDeclRef>urn:x</saml:AuthnContextDeclRef></saml:AuthnContext>`}, "", ""},
		{"SAML-12 a foreign class", []string{authnContext, `<saml:AuthnContext><AuthnContextClassRef xmlns="urn:x">x</AuthnContextClassRef></saml:AuthnContext>`}, failure.SAMLAuthnStatement, "rule=context"},
		{"SAML-43 a second session that is over", []string{whole, whole + strings.Replace(whole, "18:00", "08:00", 1)}, failure.SAMLAuthnStatement, "rule=session_over"},
	} {
		r.run(t, expected())
	}
	forced := expected()
	forced.ForceAuthn = true
	asked := int(forced.RequestedAt.Sub(testNow).Seconds())
	for _, r := range []row{
		{"SAML-43 SSO-62 an old sign-in where a fresh one was asked for", nil, failure.SAMLStale, "authn_age_s=1800"},
		{"SAML-43 SSO-62 one at the request", []string{whole, statement(at(asked), "c")}, "", ""},
		{"SAML-43 SSO-62 one a skew before the request", []string{whole, statement(at(asked-60), "c")}, "", ""},
		{"SAML-43 SSO-62 one a second more before it", []string{whole, statement(at(asked-61), "c")}, failure.SAMLStale, ""},
		{"SAML-43 SSO-62 an old one and a fresh one", []string{whole, whole + statement(at(-5), "c")}, "", ""},
	} {
		r.run(t, forced)
	}
	exact := expected()
	exact.Contexts = []string{"urn:mfa", "urn:card"}
	for _, r := range []row{
		{"SSO-62 a weaker class", nil, failure.SAMLContext, ""},
		{"SSO-62 no class", []string{authnContext, `<saml:AuthnContext/>`}, failure.SAMLContext, ""},
		{"SSO-62 a class of the list", []string{whole, statement(at(-5), "urn:card")}, "", ""},
		{"SSO-62 a class of the list in the second statement", []string{whole, whole + statement(at(-5), "urn:mfa")}, "", ""},
	} {
		r.run(t, exact)
	}
}

func TestTrace(t *testing.T) {
	t.Run("SSO-90 what is noted of an accepted message", func(t *testing.T) {
		_, trace := accepted(t, signedAssertion(t, replaced(t, `ID="_assertion" Version="2.0" IssueInstant="2026-03-04T10:00:00Z"`, `ID="_assertion" Version="2.0" IssueInstant="`+at(-3)+`"`)), expected())
		if trace.XMLElements < 20 || strings.Join(trace.SignedParts, " ") != "assertion" || strings.Join(trace.Algorithms, " ") != "rsa-sha256 sha256" ||
			trace.Issuer != testIssuer || *trace.ClockSkew != -3 || *trace.AuthAge != 1800 || trace.ACR == "" || trace.CertificateExpired ||
			trace.NameIDFormat != "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent" || trace.CertificateNotAfter == nil {
			t.Fatalf("trace %+v", trace)
		}
	})
	t.Run("SSO-95 the skew is noted of a refused message too", func(t *testing.T) {
		var trace login.Trace
		if _, err := Read(signedAssertion(t, sampleText), expected(), testNow.Add(-10*time.Minute), &trace); err == nil || *trace.ClockSkew != 600 {
			t.Fatalf("%v, trace %+v", err, trace)
		}
	})
}
