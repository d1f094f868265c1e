// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// The limits of S14 and S15.
const (
	maxNameID     = 255 // bytes
	maxAttributes = 200
	maxValues     = 1000
)

// nameID reads the one NameID of the subject (S14). Whether its format and qualifiers may
// be the subject's depends on the connection, and is not judged here.
func (r *reader) nameID(v verified) (NameID, error) {
	subject, ok := v.only(assertionSpace, "Subject")
	if !ok {
		return NameID{}, failure.New(failure.SAMLNameID)
	}
	el, ok := subject.only(assertionSpace, "NameID")
	if !ok || subject.holds(subjectParts...) != "" {
		return NameID{}, failure.New(failure.SAMLNameID)
	}
	n := NameID{Format: el.value("Format"), NameQualifier: el.value("NameQualifier"), SPNameQualifier: el.value("SPNameQualifier")}
	r.trace.NameIDFormat = shown(n.Format)
	n.Value, ok = el.text()
	if !ok || n.Value == "" || len(n.Value) > maxNameID || n.Value != strings.TrimSpace(n.Value) ||
		strings.ContainsFunc(n.Value, unicode.IsControl) {
		return NameID{}, failure.New(failure.SAMLNameID).With("format", n.Format).With("length", strconv.Itoa(len(n.Value)))
	}
	return n, nil
}

// attributes reads every attribute (S15). Which of them mean something is the connection's
// business.
func attributes(v verified) ([]Attribute, error) {
	var all []Attribute
	values := 0
	for _, s := range v.children(assertionSpace, "AttributeStatement") {
		if rule := s.holds(part{assertionSpace, "Attribute", true}); rule != "" {
			return nil, unlisted(rule)
		}
		for _, el := range s.children(assertionSpace, "Attribute") {
			a, err := readAttribute(el)
			if err != nil {
				return nil, err
			}
			values += len(el.children(assertionSpace, "AttributeValue"))
			if len(all) == maxAttributes || values > maxValues {
				return nil, unlisted("attribute_count")
			}
			all = append(all, a)
		}
	}
	return all, nil
}

// readAttribute reads one Attribute with its texts. A value that is an element refuses
// nothing by itself, for the connection may not ask for it; text around an element, of
// which readers make different things, does. A value that is nil by xsi:nil (XML
// Schema, section 2.6.2) is none.
func readAttribute(el verified) (Attribute, error) {
	a := Attribute{Name: el.value("Name")}
	if a.Name == "" {
		return Attribute{}, unlisted("attribute_name")
	}
	if rule := el.holds(part{assertionSpace, "AttributeValue", true}); rule != "" {
		return Attribute{}, unlisted(rule)
	}
	for _, v := range el.children(assertionSpace, "AttributeValue") {
		switch s, ok := v.text(); {
		case v.isNil() && (!ok || s != ""), !ok && v.says():
			return Attribute{}, unlisted("attribute_value")
		case v.isNil():
		case ok:
			a.Values = append(a.Values, s)
		default:
			a.Nested = true
		}
	}
	return a, nil
}

// isNil reports xsi:nil.
func (v verified) isNil() bool {
	for _, a := range v.signed.Attr {
		if a.Key == "nil" && a.Space != "" && a.NamespaceURI() == instanceSpace {
			return a.Value == "true" || a.Value == "1"
		}
	}
	return false
}

// unlisted is saml_structure of an attribute statement.
func unlisted(rule string) error {
	return failure.New(failure.SAMLStructure).With("assertions", "1").With("root", "Response").With("rule", rule)
}

// maxShown bounds what a trace keeps of a text that the provider wrote, in bytes.
const maxShown = 200

// shown cuts a foreign text for the trace to printable ASCII.
func shown(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
	return s[:min(len(s), maxShown)]
}
