// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// claims are those of an ID token or of userinfo.
type claims map[string]any

// person is somebody who can sign in, and how their login goes.
type person struct {
	Key    string // what the form sends
	About  string // what the page says
	claims claims
	// refuses consent.
	refuses bool
	// slow lets the token endpoint wait.
	slow bool
	// spoil changes the ID token at the last moment.
	spoil func(c claims, now time.Time)
	// bend does the same to a SAML answer; aboutSAML is what the page says of it there.
	bend      func(a *samlAnswer, now time.Time)
	aboutSAML string
	// only is the protocol in which this person is of use; empty for both.
	only protocol
}

// protocol is what a person signs in by.
type protocol string

const (
	byOIDC protocol = "oidc"
	bySAML protocol = "saml"
)

// peopleOf lists those of one protocol in the order of its page.
func peopleOf(by protocol) []person {
	return slices.DeleteFunc(people(), func(p person) bool { return p.only != "" && p.only != by })
}

// find gives the person whom a form names.
func find(by protocol, key string) (person, bool) {
	list := peopleOf(by)
	i := slices.IndexFunc(list, func(p person) bool { return p.Key == key })
	if i < 0 {
		return person{}, false
	}
	return list[i], true
}

func someone(key, about, name string, edit func(*person)) person {
	p := person{Key: key, About: about, claims: claims{
		"sub": "dev|" + key, "name": name, "email": key + "@corp.example", "email_verified": true, "groups": []string{"everyone"},
	}}
	if edit != nil {
		edit(&p)
	}
	return p
}

// people lists everybody in the order of the page.
func people() []person {
	const crowd = 1001
	return []person{
		someone("alice", "behaves", "Alice Liddell", func(p *person) { p.claims["groups"] = []string{"everyone", "admins"} }),
		someone("bob", "behaves", "Bob Cratchit", nil),
		someone("zhangwei", "behaves", "张伟", nil),
		someone("unverified", "has an e-mail that is not verified", "Una Verified", func(p *person) { p.claims["email_verified"] = false; p.only = byOIDC }),
		someone("nomail", "has no e-mail", "Noel Mailer", func(p *person) { delete(p.claims, "email"); delete(p.claims, "email_verified") }),
		someone("foreign", "has the e-mail of a foreign domain", "Fay Reign", func(p *person) { p.claims["email"] = "fay@elsewhere.example" }),
		someone("wrongnonce", "brings the nonce of another login", "Nora Nonce", func(p *person) {
			p.spoil = func(c claims, _ time.Time) { c["nonce"] = random() }
			p.aboutSAML, p.bend = "answers the request of another login", func(a *samlAnswer, _ time.Time) { a.inResponseTo = "_" + random() }
		}),
		someone("expired", "brings a token that is over", "Xavier Pired", func(p *person) {
			p.spoil = func(c claims, now time.Time) {
				c["iat"], c["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
			}
			p.aboutSAML, p.bend = "brings an assertion that is over", func(a *samlAnswer, now time.Time) { a.issued = now.Add(-time.Hour) }
		}),
		someone("wrongaudience", "brings a token for another client", "Audrey Ence", func(p *person) {
			p.spoil = func(c claims, _ time.Time) { c["aud"] = "another-client" }
			p.aboutSAML, p.bend = "brings an assertion for another service", func(a *samlAnswer, _ time.Time) { a.audience = "https://another.example/saml" }
		}),
		someone("refuses", "refuses consent", "Rhea Fuse", func(p *person) { p.refuses = true; p.aboutSAML = "does not sign in in the end" }),
		someone("manygroups", "has 1001 groups", "Manny Groups", func(p *person) {
			groups := make([]string, crowd)
			for i := range groups {
				groups[i] = fmt.Sprintf("group-%04d", i)
			}
			p.claims["groups"] = groups
		}),
		someone("overage", "has a link in place of the groups", "Olga Verage", func(p *person) {
			delete(p.claims, "groups")
			p.claims["_claim_names"] = claims{"groups": "src1"}
			p.bend = func(a *samlAnswer, _ time.Time) { a.groupsLink = "https://graph.elsewhere.example/groups" }
			p.claims["_claim_sources"] = claims{"src1": claims{"endpoint": "https://graph.elsewhere.example/groups"}}
		}),
		someone("slow", "takes longer than anybody waits", "Sal Low", func(p *person) { p.slow = true; p.only = byOIDC }),
		someone("unsigned", "brings an assertion without a signature", "Una Signed", func(p *person) { p.only, p.bend = bySAML, func(a *samlAnswer, _ time.Time) { a.signed = false } }),
		someone("transient", "has another NameID each time", "Tara Ansient", func(p *person) {
			p.only, p.bend = bySAML, func(a *samlAnswer, _ time.Time) { a.nameID, a.format = "_"+random(), transientFormat }
		}),
		someone("twoaddresses", "has two e-mails", "Theo Twain", func(p *person) {
			p.only, p.bend = bySAML, func(a *samlAnswer, _ time.Time) { a.emails = append(a.emails, "theo@"+samlDomain) }
		}),
		someone("longlife", "brings an assertion that is good for a day", "Lonny Glife", func(p *person) {
			p.only, p.bend = bySAML, func(a *samlAnswer, _ time.Time) { a.life = 24 * time.Hour }
		}),
	}
}
