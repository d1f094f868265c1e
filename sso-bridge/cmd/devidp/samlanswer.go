// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// samlAnswer is all that differs between two answers.
type samlAnswer struct {
	issuer, audience, consumer, inResponseTo string
	nameID, format                           string
	name                                     string
	emails, groups                           []string
	groupsLink                               string // stands in place of groups
	issued                                   time.Time
	life                                     time.Duration
	signed, refused                          bool
}

// samlDomain is the domain of the people's addresses in SAML.
const samlDomain = "saml.corp.example"

func (p *provider) samlAnswerOf(q samlRequest, who person, now time.Time) samlAnswer {
	a := samlAnswer{
		issuer: p.entityID(), audience: q.Issuer, consumer: q.Consumer, inResponseTo: q.ID, format: persistentFormat,
		name: who.Name(), issued: now, life: tokenLife, signed: true, refused: who.refuses,
	}
	a.nameID, _ = who.claims["sub"].(string)
	a.groups, _ = who.claims["groups"].([]string)
	if email, ok := who.claims["email"].(string); ok {
		// An owned domain vouches for addresses here, and one domain belongs to one connection.
		a.emails = []string{strings.Replace(email, "@corp.example", "@"+samlDomain, 1)}
	}
	return a
}

const instant = "2006-01-02T15:04:05.000Z"

// samlResponse writes an answer. The assertion is signed, the response around it is not.
func (p *provider) samlResponse(a samlAnswer) ([]byte, error) {
	at := a.issued.UTC().Format(instant)
	doc := etree.NewDocument()
	response := doc.CreateElement("samlp:Response")
	response.CreateAttr("xmlns:samlp", protocolNS)
	response.CreateAttr("xmlns:saml", assertionNS)
	for _, attr := range [][2]string{{"ID", "_" + random()}, {"Version", "2.0"}, {"IssueInstant", at}, {"Destination", a.consumer}, {"InResponseTo", a.inResponseTo}} {
		response.CreateAttr(attr[0], attr[1])
	}
	response.CreateElement("saml:Issuer").SetText(a.issuer)
	status := response.CreateElement("samlp:Status").CreateElement("samlp:StatusCode")
	if a.refused {
		status.CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder")
		status.CreateElement("samlp:StatusCode").CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed")
		return doc.WriteToBytes()
	}
	status.CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:Success")
	assertion := a.assertion(at)
	if a.signed {
		if err := p.sign(assertion); err != nil {
			return nil, err
		}
	}
	response.AddChild(assertion)
	return doc.WriteToBytes()
}

// assertion declares every namespace that it uses, for it is signed before it has a parent.
func (a samlAnswer) assertion(at string) *etree.Element {
	until := a.issued.Add(a.life).UTC().Format(instant)
	el := etree.NewElement("saml:Assertion")
	for _, attr := range [][2]string{{"xmlns:saml", assertionNS}, {"ID", "_" + random()}, {"Version", "2.0"}, {"IssueInstant", at}} {
		el.CreateAttr(attr[0], attr[1])
	}
	el.CreateElement("saml:Issuer").SetText(a.issuer)
	subject := el.CreateElement("saml:Subject")
	name := subject.CreateElement("saml:NameID")
	name.CreateAttr("Format", a.format)
	name.SetText(a.nameID)
	confirmation := subject.CreateElement("saml:SubjectConfirmation")
	confirmation.CreateAttr("Method", "urn:oasis:names:tc:SAML:2.0:cm:bearer")
	data := confirmation.CreateElement("saml:SubjectConfirmationData")
	for _, attr := range [][2]string{{"NotOnOrAfter", until}, {"Recipient", a.consumer}, {"InResponseTo", a.inResponseTo}} {
		data.CreateAttr(attr[0], attr[1])
	}
	conditions := el.CreateElement("saml:Conditions")
	conditions.CreateAttr("NotBefore", at)
	conditions.CreateAttr("NotOnOrAfter", until)
	conditions.CreateElement("saml:AudienceRestriction").CreateElement("saml:Audience").SetText(a.audience)
	statement := el.CreateElement("saml:AuthnStatement")
	statement.CreateAttr("AuthnInstant", at)
	statement.CreateElement("saml:AuthnContext").CreateElement("saml:AuthnContextClassRef").SetText("urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified")
	attributes := el.CreateElement("saml:AttributeStatement")
	for _, of := range []struct {
		name, friendly string
		values         []string
	}{
		{"urn:oid:0.9.2342.19200300.100.1.3", "mail", a.emails},
		{"urn:oid:2.16.840.1.113730.3.1.241", "displayName", []string{a.name}},
		{"groups", "", a.groups},
		{"http://schemas.microsoft.com/claims/groups.link", "", oneOf(a.groupsLink)},
	} {
		if len(of.values) == 0 {
			continue
		}
		attribute := attributes.CreateElement("saml:Attribute")
		attribute.CreateAttr("Name", of.name)
		if of.friendly != "" {
			attribute.CreateAttr("FriendlyName", of.friendly)
		}
		for _, value := range of.values {
			attribute.CreateElement("saml:AttributeValue").SetText(value)
		}
	}
	return el
}

// oneOf is a list of a value that is there.
func oneOf(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// sign puts an enveloped signature behind the issuer, where the schema has it.
func (p *provider) sign(el *etree.Element) error {
	by, err := dsig.NewSigningContext(crypto.Signer(p.key), [][]byte{p.certificate})
	if err != nil {
		return err
	}
	by.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	signature, err := by.ConstructSignature(el, true)
	if err != nil {
		return err
	}
	el.InsertChildAt(1, signature)
	return nil
}
