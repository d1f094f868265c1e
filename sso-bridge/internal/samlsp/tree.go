// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"slices"
	"strings"

	"github.com/beevik/etree"
)

// The namespaces that are read.
const (
	assertionSpace = "urn:oasis:names:tc:SAML:2.0:assertion"
	protocolSpace  = "urn:oasis:names:tc:SAML:2.0:protocol"
	signatureSpace = "http://www.w3.org/2000/09/xmldsig#"
	exclusiveSpace = "http://www.w3.org/2001/10/xml-exc-c14n#"
	cipherSpace    = "http://www.w3.org/2001/04/xmlenc#"
	instanceSpace  = "http://www.w3.org/2001/XMLSchema-instance"
)

// unverified is an element of a message as it came. It can be looked at to refuse it, and
// no more: what reads an identity takes verified.
type unverified struct{ raw *etree.Element }

// verified is an element of what a signature covered, rebuilt from the bytes that were
// digested. Only verified.go makes one of what is not one yet.
type verified struct{ signed *etree.Element }

// children gives the children of a name, in their order.
func (v verified) children(space, local string) []verified {
	var found []verified
	for _, c := range v.signed.Child {
		if el, ok := c.(*etree.Element); ok && is(el, space, local) {
			found = append(found, verified{signed: el})
		}
	}
	return found
}

// only gives the child of a name, if there is exactly one.
func (v verified) only(space, local string) (verified, bool) {
	found := v.children(space, local)
	if len(found) != 1 {
		return verified{}, false
	}
	return found[0], true
}

// attribute gives the value of an attribute without a prefix, and whether it is there.
func (v verified) attribute(name string) (string, bool) { return attribute(v.signed, name) }

// value is that of an attribute, empty for none.
func (v verified) value(name string) string { s, _ := attribute(v.signed, name); return s }

// text gives what stands in an element that holds text alone; false for another.
func (v verified) text() (string, bool) { return text(v.signed) }

// says reports an element with text of its own that is not white space.
func (v verified) says() bool {
	return slices.ContainsFunc(v.signed.Child, func(c etree.Token) bool {
		data, ok := c.(*etree.CharData)
		return ok && strings.Trim(data.Data, " \t\r\n") != ""
	})
}

// holds says what an element holds that it may not: see inventory.
func (v verified) holds(allowed ...part) string { return inventory(v.signed, allowed) }

// is reports an element by its namespace and local name.
func is(el *etree.Element, space, local string) bool {
	return el.Tag == local && el.NamespaceURI() == space
}

func attribute(el *etree.Element, name string) (string, bool) {
	for _, a := range el.Attr {
		if a.Space == "" && a.Key == name {
			return a.Value, true
		}
	}
	return "", false
}

func text(el *etree.Element) (string, bool) {
	var all strings.Builder
	for _, c := range el.Child {
		data, ok := c.(*etree.CharData)
		if !ok {
			return "", false
		}
		all.WriteString(data.Data)
	}
	return all.String(), true
}

// part is a child that an element may have.
type part struct {
	space, local string
	many         bool
}

// What inventory finds.
const (
	holdsText    = "text"
	holdsForeign = "foreign_child"
	holdsTwice   = "child_twice"
)

// inventory says what an element holds beside the children it may have: text, an element
// of another name or of a namesake's namespace, or one more often than once. A reader that
// goes by local names then sees what this one sees.
func inventory(el *etree.Element, allowed []part) string {
	var seen [16]bool
	for _, c := range el.Child {
		child, ok := c.(*etree.Element)
		if !ok {
			if data, isText := c.(*etree.CharData); !isText || strings.Trim(data.Data, " \t\r\n") != "" {
				return holdsText
			}
			continue
		}
		i := match(child, allowed)
		switch {
		case i < 0:
			return holdsForeign
		case seen[i] && !allowed[i].many:
			return holdsTwice
		}
		seen[i] = true
	}
	return ""
}

// match gives the place of an element in a list, -1 for none.
func match(el *etree.Element, allowed []part) int {
	for i, p := range allowed {
		if is(el, p.space, p.local) {
			return i
		}
	}
	return -1
}
