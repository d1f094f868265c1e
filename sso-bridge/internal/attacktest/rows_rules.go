// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"fmt"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

const (
	confirmation = "saml:SubjectConfirmation"
	data         = "saml:SubjectConfirmationData"
	methods      = "urn:oasis:names:tc:SAML:2.0:cm:"
)

// answers are to another question than ours, or to none.
func answers() (table []row) {
	const other = failure.SAMLInResponseTo
	for _, v := range []struct{ name, value string }{
		{"unknown", "_ffffffffffffffffffffffffffffffff"}, {"empty", ""}, {"a part of ours", RequestID[:20]}, {"ours and more", RequestID + "0"},
		{"ours in capitals", strings.ToUpper(RequestID)}, {"ours with a blank", RequestID + " "}, {"of another attempt", "_fedcba9876543210fedcba9876543210"},
	} {
		table = append(table, []row{
			{"SAML-31 InResponseTo of the response " + v.name, edited(set("samlp:Response", 0, "InResponseTo", v.value)), other, ""},
			{"SAML-31 InResponseTo of the confirmation " + v.name, edited(set(data, 0, "InResponseTo", v.value)), other, ""},
			{"SAML-31 both " + v.name, edited(set("samlp:Response", 0, "InResponseTo", v.value), set(data, 0, "InResponseTo", v.value)), other, ""},
		}...)
	}
	return append(table, []row{
		{"SAML-31 no InResponseTo of the response", edited(unset("samlp:Response", 0, "InResponseTo")), other, ""},
		{"SAML-31 no InResponseTo of the confirmation", edited(unset(data, 0, "InResponseTo")), other, ""},
		{"SAML-31 ours on the way to an assertion for another", also(edited(set(data, 0, "InResponseTo", "_other")), altered(set("samlp:Response", 0, "InResponseTo", RequestID))), other, ""},
		{"SAML-32 a sign-in that the provider began", edited(unset("samlp:Response", 0, "InResponseTo"), unset(data, 0, "InResponseTo")), other, ""},
		{"SAML-32 a sign-in that the provider began, signed as a whole", also(signing(Both), edited(unset("samlp:Response", 0, "InResponseTo"), unset(data, 0, "InResponseTo"))), other, ""},
	}...)
}

// addresses are nearly ours.
func addresses() (table []row) {
	const recipient, destination, issuer = failure.SAMLRecipient, failure.SAMLDestination, failure.SAMLIssuer
	for _, v := range []struct{ name, value string }{
		{"of another host", "https://other.example/sso/saml/acs/corp"}, {"empty", ""}, {"a prefix", Consumer[:len(Consumer)-1]}, {"with a slash", Consumer + "/"},
		{"in capitals", strings.ToUpper(Consumer)}, {"with the port", strings.Replace(Consumer, ".example/", ".example:443/", 1)}, {"with a query", Consumer + "?x=y"},
		{"with a fragment", Consumer + "#x"}, {"by http", strings.Replace(Consumer, "https:", "http:", 1)}, {"with a user", strings.Replace(Consumer, "//", "//x@", 1)},
		{"with a blank", Consumer + " "}, {"of another connection", strings.Replace(Consumer, "/corp", "/other", 1)}, {"escaped", strings.Replace(Consumer, "/corp", "/%63orp", 1)},
		{"with dots", strings.Replace(Consumer, "/corp", "/x/../corp", 1)},
	} {
		table = append(table, []row{
			{"SAML-35 a Recipient " + v.name, edited(set(data, 0, "Recipient", v.value)), recipient, ""},
			{"SAML-36 a Destination " + v.name, edited(set("samlp:Response", 0, "Destination", v.value)), destination, map[bool]Library{true: Accepts}[v.value == ""]},
			{"SAML-36 a Destination " + v.name + " of a signed response", also(signing(Response), edited(set("samlp:Response", 0, "Destination", v.value))), destination, ""},
		}...)
	}
	for _, v := range []struct{ name, value string }{
		{"of another connection", "https://other.example/metadata"}, {"with a slash", Issuer + "/"}, {"in capitals", strings.ToUpper(Issuer)}, {"with a blank", " " + Issuer}, {"empty", ""}, {"a prefix", Issuer[:12]},
	} {
		table = append(table, []row{
			{"SAML-39 the assertion's Issuer " + v.name, edited(swapLast(">"+Issuer+"<", ">"+v.value+"<")), issuer, ""},
			{"SAML-39 the response's Issuer " + v.name, edited(swap(">"+Issuer+"<", ">"+v.value+"<")), issuer, ""},
			{"SAML-39 both Issuers " + v.name, also(signing(Both), edited(swapAll(">"+Issuer+"<", ">"+v.value+"<"))), issuer, ""},
		}...)
	}
	return append(table, []row{
		{"SAML-35 no Recipient", edited(unset(data, 0, "Recipient")), recipient, ""},
		{"SAML-36 no Destination of a signed response", also(signing(Response), edited(unset("samlp:Response", 0, "Destination"))), destination, ""},
		{"SAML-36 no Destination of a response where both are signed", also(signing(Both), edited(unset("samlp:Response", 0, "Destination"))), destination, ""},
		{"SAML-39 a key that two connections have", terms(func(t *Terms) { t.Issuer = "https://other.example/metadata" }), issuer, ""},
		{"SAML-39 an Issuer of the entity's format", edited(swapLast("<saml:Issuer>", `<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">`)), accepted, ""},
	}...)
}

// conditions are whom an assertion is for, and how it may be presented.
func conditions() []row {
	const audience, incomplete, confirm = failure.SAMLAudience, failure.SAMLConditions, failure.SAMLConfirmation
	restriction := func(audiences ...string) (s string) {
		for _, a := range audiences {
			s += "<saml:Audience>" + a + "</saml:Audience>"
		}
		return "<saml:AudienceRestriction>" + s + "</saml:AudienceRestriction>"
	}
	restricted := func(restrictions ...string) func(*attempt) {
		return edited(instead("saml:AudienceRestriction", 0, func(string) string { return strings.Join(restrictions, "") }))
	}
	condition := func(c string) func(*attempt) { return edited(before("</saml:Conditions>", c)) }
	method := func(m string) edit { return set(confirmation, 0, "Method", m) }
	second := func(change ...edit) func(*attempt) { // the other one stands before the genuine one
		return edited(instead(confirmation, 0, func(c string) string { return all(change...)(c) + c }))
	}
	const theirs = "https://other.example/metadata"
	return []row{
		{"SAML-37 no AudienceRestriction", restricted(), incomplete, Accepts},
		{"SAML-37 an AudienceRestriction without an Audience", restricted(restriction()), audience, ""},
		{"SAML-37 another Audience", restricted(restriction(theirs)), audience, ""},
		{"SAML-37 a prefix of ours", restricted(restriction(Audience[:len(Audience)-1])), audience, ""},
		{"SAML-37 ours and more", restricted(restriction(Audience + "/")), audience, ""},
		{"SAML-37 ours in capitals", restricted(restriction(strings.ToUpper(Audience))), audience, ""},
		{"SAML-37 an empty Audience", restricted(restriction("")), audience, ""},
		{"SAML-37 two restrictions, ours first", restricted(restriction(Audience), restriction(theirs)), audience, Accepts},
		{"SAML-37 two restrictions, ours second", restricted(restriction(theirs), restriction(Audience)), audience, Accepts},
		{"SAML-37 two restrictions, ours in both", restricted(restriction(Audience), restriction(theirs, Audience)), accepted, ""},
		{"SAML-37 two audiences, ours first", restricted(restriction(Audience, theirs)), accepted, ""},
		{"SAML-37 two audiences, ours second", restricted(restriction(theirs, Audience)), accepted, ""},
		{"SAML-37 two audiences, neither ours", restricted(restriction(theirs, theirs+"/2")), audience, ""},
		{"SAML-38 an assertion for another service", edited(swapAll(Audience, theirs), swapAll(Consumer, "https://other.example/acs")), failure.SAMLDestination, ""},
		{"SAML-38 an assertion for another service with our Recipient", restricted(restriction(theirs)), audience, ""},
		{"SAML-31 SAML-40 no confirmation", edited(without(confirmation, 0)), confirm, Accepts},
		{"SAML-40 no data of the confirmation", edited(without(data, 0)), confirm, Panics},
		{"SAML-40 holder of key", edited(method(methods + "holder-of-key")), confirm, Accepts},
		{"SAML-40 sender vouches", edited(method(methods + "sender-vouches")), confirm, Accepts},
		{"SAML-40 no method", edited(unset(confirmation, 0, "Method")), confirm, Accepts},
		{"SAML-40 an empty method", edited(method("")), confirm, Accepts},
		{"SAML-40 a method that nobody knows", edited(method("urn:example:other")), confirm, Accepts},
		{"SAML-40 bearer in capitals", edited(method(strings.ToUpper(methods + "bearer"))), confirm, Accepts},
		{"SAML-40 the method of SAML 1.1", edited(method("urn:oasis:names:tc:SAML:1.0:cm:bearer")), confirm, Accepts},
		{"SAML-40 a NotBefore", edited(set(data, 0, "NotBefore", stamp(Now.Add(-time.Minute)))), confirm, Accepts},
		{"SAML-40 no NotOnOrAfter", edited(unset(data, 0, "NotOnOrAfter")), confirm, ""},
		{"SAML-40 two data", edited(twice(data, 0)), confirm, Accepts},
		{"SAML-40 foreign data", edited(swap("<"+data, `<x:SubjectConfirmationData xmlns:x="urn:example:other"`)), confirm, Accepts},
		{"SAML-40 a foreign confirmation", edited(swap("<"+confirmation+" ", `<x:SubjectConfirmation xmlns:x="urn:example:other" `), swap("</"+confirmation+">", "</x:SubjectConfirmation>")), confirm, Accepts},
		{"SAML-40 two confirmations, both good", second(), accepted, ""},
		{"SAML-40 two confirmations, one for another method", second(method(methods+"holder-of-key"), without(data, 0)), accepted, ""},
		{"SAML-40 two confirmations, one for another address", second(set(data, 0, "Recipient", theirs)), accepted, ""},
		{"SAML-40 two confirmations, one that is over", second(set(data, 0, "NotOnOrAfter", stamp(Now.Add(-time.Hour)))), accepted, ""},
		{"SAML-40 two confirmations, one without data", second(without(data, 0)), accepted, ""},
		{"SAML-40 two confirmations, each half good", edited(instead(confirmation, 0, func(c string) string {
			return set(data, 0, "Recipient", theirs)(c) + set(data, 0, "InResponseTo", "_other")(c)
		})), failure.SAMLInResponseTo, ""},
		{"SAML-41 no Conditions", edited(without("saml:Conditions", 0)), incomplete, Panics},
		{"SAML-41 no Subject", edited(without("saml:Subject", 0)), confirm, Panics},
		{"SAML-41 no NameID", edited(without("saml:NameID", 0)), failure.SAMLNameID, Accepts},
		{"SAML-41 no Issuer of the assertion", edited(func(x string) string { return without("saml:Issuer", ofAssertion)(x) }), failure.SAMLSignatureShape, ""},
		{"SAML-41 no Issuer of an assertion that is not signed itself", also(signing(Response), edited(func(x string) string { return without("saml:Issuer", ofAssertion)(x) })), failure.SAMLIssuer, ""},
		{"SAML-41 no Status", edited(without("samlp:Status", 0)), failure.SAMLStatus, ""},
		{"SAML-41 nothing in the assertion but its Issuer", edited(without("saml:Subject", 0), without("saml:Conditions", 0), without("saml:AuthnStatement", 0), without("saml:AttributeStatement", 0)), confirm, Panics},
		{"SAML-44 an unknown condition", condition(`<x:Only xmlns:x="urn:example:other"/>`), incomplete, Accepts},
		{"SAML-44 a condition of another type", condition(`<saml:Condition xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="x:Only" xmlns:x="urn:example:other"/>`), incomplete, Accepts},
		{"SAML-44 an unknown SAML condition", condition(`<saml:DelegationRestriction/>`), incomplete, Accepts},
		{"SAML-44 OneTimeUse", condition(`<saml:OneTimeUse/>`), accepted, ""},
		{"SAML-44 ProxyRestriction", condition(`<saml:ProxyRestriction Count="0"/>`), incomplete, Accepts},
		{"SAML-44 a foreign AudienceRestriction beside ours", condition(strings.NewReplacer("<saml:AudienceRestriction>", `<x:AudienceRestriction xmlns:x="urn:example:other">`, "</saml:AudienceRestriction>", "</x:AudienceRestriction>").Replace(restriction(theirs))), incomplete, Accepts},
	}
}

// times are at the edges of a minute's skew, and written in ways that no provider should.
func times() (table []row) {
	const clock, life = failure.SAMLTime, failure.SAMLLifetime
	at := func(d time.Duration) string { return stamp(Now.Add(d)) }
	from := func(s string) edit { return set("saml:Conditions", 0, "NotBefore", s) }
	to := func(s string) edit { return set("saml:Conditions", 0, "NotOnOrAfter", s) }
	until := func(s string) edit { return set(data, 0, "NotOnOrAfter", s) }
	issued := func(s string) edit { return set("saml:Assertion", 0, "IssueInstant", s) }
	early := func(s string) edit { return all(issued(s), from(s), set("saml:AuthnStatement", 0, "AuthnInstant", s)) }
	patient := terms(func(t *Terms) { t.Skew = 5 * time.Minute })
	table = []row{
		{"SAML-42 valid from 59 s ahead", edited(from(at(59 * time.Second))), accepted, ""},
		{"SAML-42 valid from 61 s ahead", edited(from(at(61 * time.Second))), clock, Accepts},
		{"SAML-42 valid from 180 s ahead", edited(from(at(180 * time.Second))), clock, Accepts},
		{"SAML-42 over for 59 s", edited(early(at(-5*time.Minute)), to(at(-59*time.Second))), accepted, ""},
		{"SAML-42 over for 61 s", edited(to(at(-61 * time.Second))), clock, Accepts},
		{"SAML-42 over for 180 s", edited(to(at(-180 * time.Second))), clock, Accepts},
		{"SAML-42 the confirmation over for 59 s", edited(until(at(-59 * time.Second))), accepted, ""},
		{"SAML-42 the confirmation over for 61 s", edited(until(at(-61 * time.Second))), clock, Accepts},
		{"SAML-42 the confirmation over for 180 s", edited(until(at(-180 * time.Second))), clock, Accepts},
		{"SAML-42 issued 59 s ahead", edited(issued(at(59 * time.Second))), accepted, ""},
		{"SAML-42 issued 61 s ahead", edited(issued(at(61 * time.Second))), clock, Accepts},
		{"SAML-42 issued 180 s ahead", edited(issued(at(180 * time.Second))), clock, Accepts},
		{"SAML-42 issued ten minutes ago", edited(issued(at(-10*time.Minute + time.Second))), accepted, ""},
		{"SAML-42 issued longer ago", edited(issued(at(-10*time.Minute - time.Second))), life, ""},
		{"SAML-42 issued ten years ago", edited(early("2016-03-10T09:30:00Z")), life, ""},
		{"SAML-42 issued in ten years", edited(issued("2036-03-10T09:30:00Z")), clock, Accepts},
		{"SAML-42 a skew of 300 s, valid from 299 s ahead", also(patient, edited(from(at(299*time.Second)))), accepted, ""},
		{"SAML-42 a skew of 300 s, valid from 301 s ahead", also(patient, edited(from(at(301*time.Second)), to(at(20*time.Minute)))), clock, ""},
		{"SAML-42 a skew of 300 s, over for 299 s", also(patient, edited(until(at(-299*time.Second)))), accepted, ""},
		{"SAML-42 a skew of 300 s, over for 301 s", also(patient, edited(until(at(-301*time.Second)))), clock, ""},
		{"SAML-42 a life of 59 minutes", edited(to(at(59 * time.Minute))), accepted, ""},
		{"SAML-42 a life of 62 minutes", edited(to(at(62 * time.Minute))), life, Accepts},
		{"SAML-42 a life of ten years", edited(to("2036-03-10T09:30:00Z")), life, Accepts},
		{"SAML-42 a confirmation of ten years", edited(until("2036-03-10T09:30:00Z")), life, Accepts},
		{"SAML-42 an end before the beginning", edited(from(at(30*time.Second)), to(at(-30*time.Second))), failure.SAMLConditions, Accepts},
		{"SAML-42 no end of the conditions", edited(unset("saml:Conditions", 0, "NotOnOrAfter")), accepted, ""},
		{"SAML-42 no beginning of the conditions", edited(unset("saml:Conditions", 0, "NotBefore")), accepted, ""},
		{"SAML-42 no IssueInstant of the assertion", edited(unset("saml:Assertion", 0, "IssueInstant")), clock, ""},
	}
	for _, spelled := range []struct {
		name, value string
		want        failure.Code
		library     Library
	}{
		{"of a zone", Now.Add(5*time.Minute).Format("2006-01-02T15:04:05") + "+00:00", clock, Accepts},
		{"of another zone", Now.Add(time.Hour+5*time.Minute).Format("2006-01-02T15:04:05") + "+01:00", clock, Accepts},
		{"of an odd zone", Now.Add(5*time.Minute+14*time.Hour).Format("2006-01-02T15:04:05") + "+14:00", clock, Accepts},
		{"without a Z", Now.Add(5 * time.Minute).Format("2006-01-02T15:04:05"), clock, ""},
		{"with a small z", Now.Add(5 * time.Minute).Format("2006-01-02t15:04:05z"), clock, ""},
		{"with a leap second", "2026-06-30T23:59:60Z", clock, ""},
		{"of hour 24", "2026-03-10T24:00:00Z", clock, ""},
		{"of the year 0", "0000-01-01T00:00:00Z", clock, ""},
		{"of the year 1", "0001-01-01T00:00:00Z", clock, ""},
		{"of the year 10000", "10000-01-01T00:00:00Z", clock, ""},
		{"of a year before our era", "-2026-03-10T09:35:00Z", clock, ""},
		{"of a day that is none", "2026-02-30T09:35:00Z", clock, ""},
		{"with a blank", " " + at(5*time.Minute), clock, ""},
		{"with a comma", Now.Add(5 * time.Minute).Format("2006-01-02T15:04:05,000Z"), clock, ""},
		{"of one digit", "2026-03-10T9:35:00Z", clock, ""},
		{"in seconds", fmt.Sprint(Now.Unix()), clock, ""},
		{"that is empty", "", clock, ""},
		{"with milliseconds", Now.Add(5 * time.Minute).Format("2006-01-02T15:04:05.000Z"), accepted, ""},
		{"with nanoseconds", Now.Add(5 * time.Minute).Format("2006-01-02T15:04:05.000000000Z"), accepted, ""},
	} {
		table = append(table, []row{
			{"SAML-42 an end of the conditions " + spelled.name, edited(to(spelled.value)), spelled.want, ""},
			{"SAML-42 an end of the confirmation " + spelled.name, edited(until(spelled.value)), spelled.want, spelled.library},
		}...)
	}
	return table
}

// statements are how and when the person signed in, and whether the provider let them.
func statements() []row {
	const statement, status = failure.SAMLAuthnStatement, failure.SAMLStatus
	session := func(d time.Duration) func(*attempt) {
		return edited(set("saml:AuthnStatement", 0, "SessionNotOnOrAfter", stamp(Now.Add(d))))
	}
	instant := func(d time.Duration) edit { return set("saml:AuthnStatement", 0, "AuthnInstant", stamp(Now.Add(d))) }
	forced := terms(func(t *Terms) { t.ForceAuthn = true })
	contexts := func(c ...string) func(*attempt) { return terms(func(t *Terms) { t.Contexts = c }) }
	const urn = "urn:oasis:names:tc:SAML:2.0:status:"
	code := func(value, inside string) string {
		return `<samlp:StatusCode Value="` + value + `">` + inside + `</samlp:StatusCode>`
	}
	said := func(s string) func(*attempt) {
		return edited(instead("samlp:StatusCode", 0, func(string) string { return s }))
	}
	failed := func(s string) func(*attempt) {
		return also(signing(Response), edited(instead("samlp:StatusCode", 0, func(string) string { return s }), without("saml:Assertion", 0)))
	}
	return []row{
		{"SAML-43 no AuthnStatement", edited(without("saml:AuthnStatement", 0)), statement, Accepts},
		{"SAML-43 a foreign AuthnStatement", edited(swap("<saml:AuthnStatement ", `<x:AuthnStatement xmlns:x="urn:example:other" `), swap("</saml:AuthnStatement>", "</x:AuthnStatement>")), failure.SAMLStructure, Accepts},
		{"SAML-43 a session that is over for 59 s", session(-59 * time.Second), accepted, ""},
		{"SAML-43 a session that is over for 61 s", session(-61 * time.Second), statement, Accepts},
		{"SAML-43 a session that goes on", session(8 * time.Hour), accepted, ""},
		{"SAML-43 a session of no time", edited(set("saml:AuthnStatement", 0, "SessionNotOnOrAfter", "never")), failure.SAMLTime, ""},
		{"SAML-43 an AuthnInstant of yesterday", edited(instant(-24 * time.Hour)), accepted, ""},
		{"SAML-43 an AuthnInstant of yesterday where a fresh one is asked", also(forced, edited(instant(-24*time.Hour))), failure.SAMLStale, Accepts},
		{"SAML-43 an AuthnInstant 59 s before the request", also(forced, edited(instant(-time.Minute-59*time.Second))), accepted, ""},
		{"SAML-43 an AuthnInstant 61 s before the request", also(forced, edited(instant(-time.Minute-61*time.Second))), failure.SAMLStale, Accepts},
		{"SAML-43 no AuthnInstant", edited(unset("saml:AuthnStatement", 0, "AuthnInstant")), failure.SAMLTime, Accepts},
		{"SAML-43 two statements, one of a session that is over", edited(instead("saml:AuthnStatement", 0, func(s string) string {
			return s + set("saml:AuthnStatement", 0, "SessionNotOnOrAfter", stamp(Now.Add(-time.Hour)))(s)
		})), statement, Accepts},
		{"SAML-43 two statements, one of no time", edited(instead("saml:AuthnStatement", 0, func(s string) string {
			return s + set("saml:AuthnStatement", 0, "AuthnInstant", "never")(s)
		})), failure.SAMLTime, ""},
		{"SAML-43 a foreign child of the statement", edited(before("</saml:AuthnStatement>", `<x:more xmlns:x="urn:example:other"/>`)), statement, Accepts},
		{"SAML-43 two statements, the older one where a fresh one is asked", also(forced, edited(instead("saml:AuthnStatement", 0, func(s string) string { return instant(-time.Hour)(s) + s }))), "", ""},
		{"SAML-43 the context that is asked for", contexts("urn:example:other", Password), accepted, ""},
		{"SAML-43 a context that is not asked for", contexts("urn:example:other"), failure.SAMLContext, Accepts},
		{"SAML-43 no context where one is asked for", also(contexts(Password), edited(without("saml:AuthnContextClassRef", 0))), failure.SAMLContext, ""},
		{"SAML-45 a status of the requester", said(code(urn+"Requester", "")), status, ""},
		{"SAML-45 a status of the responder", said(code(urn+"Responder", "")), status, ""},
		{"SAML-45 a failure without an assertion", failed(code(urn+"Responder", code(urn+"AuthnFailed", ""))), status, ""},
		{"SAML-45 a failure without an assertion that nobody signed", also(edited(instead("samlp:StatusCode", 0, func(string) string { return code(urn+"Responder", "") }), without("saml:Assertion", 0)), signing(Unsigned)), status, ""},
		{"SAML-45 a failure within a success", said(code(urn+"Success", code(urn+"AuthnFailed", ""))), status, Accepts},
		{"SAML-45 a success within a failure", said(code(urn+"Responder", code(urn+"Success", ""))), status, ""},
		{"SAML-45 two status codes, a success first", said(code(urn+"Success", "") + code(urn+"Responder", "")), status, ""},
		{"SAML-45 two status codes, a failure first", said(code(urn+"Responder", "") + code(urn+"Success", "")), status, Accepts},
		{"SAML-45 no status code", edited(without("samlp:StatusCode", 0)), status, ""},
		{"SAML-45 a status code without a value", said(`<samlp:StatusCode/>`), status, ""},
		{"SAML-45 an empty status code", said(code("", "")), status, ""},
		{"SAML-45 a success in capitals", said(code(strings.ToUpper(urn+"Success"), "")), status, ""},
		{"SAML-45 a success with a blank", said(code(urn+"Success ", "")), status, ""},
		{"SAML-45 a success with text in its code", said(code(urn+"Success", "text")), status, Accepts},
		{"SAML-45 two Status", edited(twice("samlp:Status", 0)), failure.SAMLStructure, Accepts},
		{"SAML-45 a foreign Status", edited(swap("<samlp:Status>", `<x:Status xmlns:x="urn:example:other">`), swap("</samlp:Status>", "</x:Status>")), failure.SAMLStructure, ""},
		{"SAML-45 a success with a message", edited(before("</samlp:Status>", "<samlp:StatusMessage>fine</samlp:StatusMessage>")), accepted, ""},
	}
}

// identities are names and attributes that a person may have chosen, or that a mapping
// may take for others.
func identities() []row {
	const name, structure = failure.SAMLNameID, failure.SAMLStructure
	values := func(n int, text func(int) string) (s string) {
		var b strings.Builder
		for i := range n {
			b.WriteString(text(i))
		}
		return b.String()
	}
	value := func(int) string { return "<saml:AttributeValue>x</saml:AttributeValue>" }
	plus := func(s string) func(*attempt) { return edited(before("</saml:AttributeStatement>", s)) }
	one := func(name, value string) string {
		return `<saml:Attribute Name="` + name + `"><saml:AttributeValue>` + value + `</saml:AttributeValue></saml:Attribute>`
	}
	return []row{
		{"SAML-50 a blank before the name", called(" alice"), name, Accepts},
		{"SAML-50 a blank behind the name", called("alice "), name, Accepts},
		{"SAML-50 a line feed behind the name", called("alice\n"), name, Accepts},
		{"SAML-50 a no-break space behind the name", called("alice\u00a0"), name, Accepts},
		{"SAML-50 an ideographic space before the name", called("\u3000alice"), name, Accepts},
		{"SAML-50 a tab in the name", called("ali\tce"), name, Accepts},
		{"SAML-50 a reference to a line feed in the name", called("ali&#10;ce"), name, Accepts},
		{"SAML-50 a control character of the second block", called("ali\u0085ce"), name, Accepts},
		{"SAML-50 an empty name", called(""), name, Accepts},
		{"SAML-50 a name of blanks", called("   "), name, Accepts},
		{"SAML-50 a name of 255 octets", called(strings.Repeat("a", 255)), accepted, ""},
		{"SAML-50 a name of 256 octets", called(strings.Repeat("a", 256)), name, Accepts},
		{"SAML-50 a name of 64 KiB", called(strings.Repeat("a", 64<<10)), name, Accepts},
		{"SAML-50 a name of 128 letters of two octets", called(strings.Repeat("ä", 128)), name, Accepts},
		{"SAML-50 a name of a NUL", altered(swap(Person, "alice&#0;")), failure.SAMLMalformed, ""},
		{"SAML-50 a blank within the name", called("alice smith"), accepted, ""},
		{"SAML-50 a name of look-alikes is its own", called("аlice@corp.example"), accepted, ""},
		{"SAML-50 a name of a letter and its accent is its own", called("alice\u0301@corp.example"), accepted, ""},
		{"SAML-50 a name in capitals is its own", called("ALICE@CORP.EXAMPLE"), accepted, ""},
		{"SAML-50 a name of another mail domain is told as it came", called("alice@other.example"), accepted, ""},
		{"SAML-50 a transient name is told with its format", edited(set("saml:NameID", 0, "Format", Transient)), accepted, ""},
		{"SAML-50 qualifiers are told as they came", edited(set("saml:NameID", 0, "NameQualifier", "urn:example:other"), set("saml:NameID", 0, "SPNameQualifier", "urn:example:sp")), accepted, ""},
		{"SAML-51 an attribute twice is told twice", plus(one("mail", Mallory)), accepted, ""},
		{"SAML-51 a FriendlyName is no Name", plus(`<saml:Attribute Name="other" FriendlyName="mail"><saml:AttributeValue>` + Mallory + `</saml:AttributeValue></saml:Attribute>`), accepted, ""},
		{"SAML-51 a Name in capitals is another", plus(one("MAIL", Mallory)), accepted, ""},
		{"SAML-51 a foreign attribute is none", plus(strings.NewReplacer("<saml:Attribute ", `<x:Attribute xmlns:x="urn:example:other" `, "</saml:Attribute>", "</x:Attribute>").Replace(one("mail", Mallory))), structure, Accepts},
		{"SAML-51 a foreign value is none", edited(swap("<saml:AttributeValue>alice", `<x:AttributeValue xmlns:x="urn:example:other">`+Mallory+`</x:AttributeValue><saml:AttributeValue>alice`)), structure, Accepts},
		{"SAML-51 an element within a text", edited(swap("alice@mail.example", "alice<x>"+Mallory+"</x>@mail.example")), structure, Accepts},
		{"SAML-51 an element in the place of a text is told and not read", plus(`<saml:Attribute Name="targeted"><saml:AttributeValue> <saml:NameID>` + Mallory + `</saml:NameID></saml:AttributeValue></saml:Attribute>`), accepted, ""},
		{"SAML-51 an attribute without a Name", plus(`<saml:Attribute FriendlyName="mail"><saml:AttributeValue>` + Mallory + `</saml:AttributeValue></saml:Attribute>`), structure, Accepts},
		{"SAML-51 an attribute with an empty Name", plus(one("", Mallory)), structure, ""},
		{"SAML-51 an attribute without values", plus(`<saml:Attribute Name="nothing"/>`), accepted, ""},
		{"SAML-51 200 attributes", plus(values(198, func(i int) string { return one(fmt.Sprintf("a%d", i), "x") })), accepted, ""},
		{"SAML-51 201 attributes", plus(values(199, func(i int) string { return one(fmt.Sprintf("a%d", i), "x") })), structure, Accepts},
		{"SAML-51 1000 values", plus(`<saml:Attribute Name="many">` + values(997, value) + `</saml:Attribute>`), accepted, ""},
		{"SAML-51 1001 values", plus(`<saml:Attribute Name="many">` + values(998, value) + `</saml:Attribute>`), structure, ""},
		{"SAML-51 a second AttributeStatement", edited(instead("saml:AttributeStatement", 0, func(s string) string { return s + strings.ReplaceAll(s, "alice@mail.example", Mallory) })), accepted, ""},
	}
}
