// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// Where a claim stood.
const (
	fromIDToken  = "id_token"
	fromUserinfo = "userinfo"
)

// extract gives what the two documents say; info may be nil. A claim of the ID token
// wins. Nothing is judged here but the claim that identifies.
func (x *exchange) extract(id, info claims) (identity.Claims, error) {
	n := x.config.Claims
	subject := n.Subject
	if subject == "" {
		subject = "sub"
	}
	// Only the ID token identifies: its signature names who signed in.
	if err := checkSubject(id, subject); err != nil {
		return identity.Claims{}, err
	}
	text := func(name string) string {
		if id.has(name) {
			s, _ := id.text(name)
			return s
		}
		s, _ := info.text(name)
		return s
	}
	var out identity.Claims
	out.Issuer, _ = id.text("iss")
	out.Subject, _ = id.text(subject)
	out.Name, out.GivenName, out.FamilyName = text(n.Name), text(n.GivenName), text(n.FamilyName)
	out.ACR, _ = id.text("acr")
	out.AMR, _ = id.list("amr")
	out.AuthTime, _ = id.whole("auth_time")
	x.email(&out, id, info)
	if n.Groups != "" {
		from := id
		if !id.has(n.Groups) && !overage(id, n.Groups) {
			from = info
		}
		out.Overage = overage(id, n.Groups) || overage(info, n.Groups)
		out.Groups, out.GroupsPresent = from.list(n.Groups)
	}
	if x.oidc.Entra {
		out.Tenant, _ = id.text(tenantClaim)
		out.Guest = guest(id)
	}
	if x.oidc.Hosted != "" {
		out.Hosted, _ = id.text(x.oidc.Hosted)
	}
	out.Seen = append(seen(id, fromIDToken), seen(info, fromUserinfo)...)
	return out, nil
}

// email takes the address and the word that it is verified out of one document: beside
// the address of another one, that word would vouch for an address it never saw.
func (x *exchange) email(out *identity.Claims, id, info claims) {
	n := x.config.Claims
	if n.Email == "" {
		return
	}
	from := id
	if !id.has(n.Email) {
		from = info
	}
	if !from.has(n.Email) {
		return
	}
	out.Emails = identity.ReadEmails(from[n.Email])
	word := n.EmailVerified
	if x.oidc.Entra {
		word = entraVerified
	}
	if from.has(word) {
		out.Verified, out.VerifiedRaw = identity.ReadStated(from[word], x.config.EmailVerifiedStrings), string(from[word])
	}
}

// overage reports that a link stands in place of the groups (OpenID Connect Core section
// 5.6.2), or Entra ID's word for the same. The link is never followed.
func overage(c claims, groups string) bool {
	if c.has("_claim_names") {
		var names claims
		if json.Unmarshal(c["_claim_names"], &names) != nil || names.mentions(groups) {
			return true
		}
	}
	if !c.has("hasgroups") {
		return false
	}
	word := strings.ToLower(strings.Trim(string(c["hasgroups"]), `"`))
	return word != "false" && word != "0"
}

// seen lists the claims of a document in the order of their names.
func seen(c claims, source string) []identity.Claim {
	out := make([]identity.Claim, 0, len(c))
	for _, name := range slices.Sorted(maps.Keys(c)) {
		value, ok := c.text(name)
		if !ok {
			value = string(c[name])
		}
		out = append(out, identity.Claim{Name: name, Value: value, Source: source})
	}
	return out
}
