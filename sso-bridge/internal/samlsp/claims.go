// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/crewjam/saml"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// Where a claim stood.
const (
	fromAttribute = "attribute"
	fromNameID    = "name_id"
)

// groupsLink is what Entra ID sends in place of the groups of a person who has many.
const groupsLink = "http://schemas.microsoft.com/claims/groups.link"

// attributeValues are the values of an assertion's attributes by Name. Several elements of one
// Name are one attribute: Keycloak sends each role so.
type attributeValues struct {
	names  []string // in the order of the message
	values map[string][]string
	nested map[string]bool // has a value that is no text
}

func valuesOf(all []Attribute) attributeValues {
	a := attributeValues{values: map[string][]string{}, nested: map[string]bool{}}
	for _, one := range all {
		if _, there := a.values[one.Name]; !there {
			a.names = append(a.names, one.Name)
		}
		a.values[one.Name] = append(a.values[one.Name], one.Values...)
		a.nested[one.Name] = a.nested[one.Name] || one.Nested
	}
	return a
}

func (a attributeValues) has(name string) bool { _, there := a.values[name]; return there }

// texts refuses an attribute of which a part would have to be left out.
func (a attributeValues) texts(name string) error {
	if !a.nested[name] {
		return nil
	}
	return failure.New(failure.SAMLAttribute).With("attribute", name).With("values", "an element in the place of a text")
}

// distinct gives the values of an attribute, each once.
func (a attributeValues) distinct(name string) (out []string) {
	for _, v := range a.values[name] {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// one gives the value of an attribute that has one; empty for an absent one.
func (a attributeValues) one(name string) (string, error) {
	switch values := a.distinct(name); len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	default:
		return "", failure.New(failure.SAMLAttribute).With("attribute", name).With("values", strconv.Itoa(len(values)))
	}
}

// extract gives what an assertion says of the person. Nothing is judged here but what
// identifies.
func (x *exchange) extract(said Assertion) (identity.Claims, error) {
	n, a := x.config.Claims, valuesOf(said.Attributes)
	for _, name := range []string{n.Subject, n.Email, n.EmailVerified, n.Name, n.GivenName, n.FamilyName, n.Groups} {
		if err := a.texts(name); err != nil {
			return identity.Claims{}, err
		}
	}
	out := identity.Claims{Issuer: said.Issuer, ACR: said.Context, Seen: listed(said.NameID, a)}
	if !said.AuthnInstant.IsZero() {
		out.AuthTime = said.AuthnInstant.Unix()
	}
	if n.Subject == connection.SubjectNameID {
		if err := x.identifies(said.NameID); err != nil {
			return identity.Claims{}, err
		}
		out.Subject = said.NameID.Value
	}
	var word string
	for _, label := range []struct {
		name string
		to   *string
	}{{n.Subject, &out.Subject}, {n.EmailVerified, &word}, {n.Name, &out.Name}, {n.GivenName, &out.GivenName}, {n.FamilyName, &out.FamilyName}} {
		if label.name == connection.SubjectNameID {
			continue
		}
		var err error
		if *label.to, err = a.one(label.name); err != nil {
			return identity.Claims{}, err
		}
	}
	switch n.Email {
	case "":
	case connection.SubjectNameID:
		out.Emails = []string{said.NameID.Value}
	default:
		out.Emails = a.distinct(n.Email)
	}
	if n.EmailVerified != "" && a.has(n.EmailVerified) {
		raw, _ := json.Marshal(word) // a text always encodes
		out.Verified, out.VerifiedRaw = identity.ReadStated(raw, x.config.EmailVerifiedStrings), string(raw)
	}
	if n.Groups != "" {
		out.Groups, out.GroupsPresent, out.Overage = a.values[n.Groups], a.has(n.Groups), a.has(groupsLink)
	}
	return out, nil
}

// identifies judges a NameID that is to be the subject: of a format that stays the same,
// and of no other name space than the provider's and ours (SAML core section 8.3.7).
func (x *exchange) identifies(id NameID) error {
	format := id.Format
	if format == "" {
		format = connection.FormatUnspecified // SAML core section 2.2.2
	}
	refused := failure.New(failure.SAMLNameID).With("format", format).With("length", strconv.Itoa(len(id.Value)))
	allowed := x.saml.SubjectFormats
	switch {
	case format == string(saml.TransientNameIDFormat), !slices.Contains(allowed, format):
		return refused.Showing(strings.Join(allowed, " "), format)
	case id.NameQualifier != "" && id.NameQualifier != x.idp.EntityID:
		return refused.Showing(x.idp.EntityID, id.NameQualifier)
	case id.SPNameQualifier != "" && id.SPNameQualifier != x.entity:
		return refused.Showing(x.entity, id.SPNameQualifier)
	}
	return nil
}

// listed gives the NameID, then the attributes in the order of the message.
func listed(id NameID, a attributeValues) []identity.Claim {
	out := []identity.Claim{{Name: connection.SubjectNameID, Value: id.Value, Source: fromNameID}}
	for _, name := range a.names {
		values := a.values[name]
		var value string
		if len(values) == 1 {
			value = values[0]
		} else {
			text, _ := json.Marshal(append([]string{}, values...)) // texts always encode
			value = string(text)
		}
		out = append(out, identity.Claim{Name: name, Value: value, Source: fromAttribute})
	}
	return out
}
