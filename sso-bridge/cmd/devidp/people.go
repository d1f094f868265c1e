// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
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
		someone("unverified", "has an e-mail that is not verified", "Una Verified", func(p *person) { p.claims["email_verified"] = false }),
		someone("nomail", "has no e-mail", "Noel Mailer", func(p *person) { delete(p.claims, "email"); delete(p.claims, "email_verified") }),
		someone("foreign", "has the e-mail of a foreign domain", "Fay Reign", func(p *person) { p.claims["email"] = "fay@elsewhere.example" }),
		someone("wrongnonce", "brings the nonce of another login", "Nora Nonce", func(p *person) { p.spoil = func(c claims, _ time.Time) { c["nonce"] = random() } }),
		someone("expired", "brings a token that is over", "Xavier Pired", func(p *person) {
			p.spoil = func(c claims, now time.Time) {
				c["iat"], c["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
			}
		}),
		someone("wrongaudience", "brings a token for another client", "Audrey Ence", func(p *person) { p.spoil = func(c claims, _ time.Time) { c["aud"] = "another-client" } }),
		someone("refuses", "refuses consent", "Rhea Fuse", func(p *person) { p.refuses = true }),
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
			p.claims["_claim_sources"] = claims{"src1": claims{"endpoint": "https://graph.elsewhere.example/groups"}}
		}),
		someone("slow", "takes longer than anybody waits", "Sal Low", func(p *person) { p.slow = true }),
	}
}
