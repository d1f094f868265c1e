// SPDX-License-Identifier: Apache-2.0

package xmlscan

import (
	"bytes"
	"encoding/xml"
	"regexp"
	"strings"
)

// The namespaces whose usual prefixes mean nothing else.
const (
	xmlSpace   = "http://www.w3.org/XML/1998/namespace"
	xmlnsSpace = "http://www.w3.org/2000/xmlns/"
	samlSpace  = "urn:oasis:names:tc:SAML:2.0:assertion"
	samlpSpace = "urn:oasis:names:tc:SAML:2.0:protocol"
)

// reserved are prefixes that are bound to one namespace, if to any. A reader that goes by
// prefixes then sees what one sees that goes by namespaces.
var reserved = map[string]string{
	"xml":   xmlSpace,
	"saml":  samlSpace,
	"samlp": samlpSpace,
	"ds":    "http://www.w3.org/2000/09/xmldsig#",
	"xenc":  "http://www.w3.org/2001/04/xmlenc#",
}

// binding is a prefix in scope; the empty one is the default namespace.
type binding struct{ prefix, space string }

// absolute is a namespace name with a scheme, of the characters of RFC 3986: a relative one
// has no meaning that parsers share (Namespaces in XML 1.0, section 9, and Canonical XML
// 1.0, section 1.3), and some refuse what is no URI. An ampersand is none of its characters
// here, for libxml2 keeps the reference to it.
var absolute = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?@!$'()*+,;=-]|%[0-9A-Fa-f]{2})+` +
	`(?:#(?:[A-Za-z0-9._~:/?@!$'()*+,;=-]|%[0-9A-Fa-f]{2})*)?$`)

// plainDeclaration is one of version 1.0, with no encoding or UTF-8.
var plainDeclaration = regexp.MustCompile(`^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.0"|'1\.0')` +
	`(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"(?i:utf-8)"|'(?i:utf-8)'))?` +
	`(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>`)

// encodingDeclared finds what a declaration says of the encoding, to name the rule well.
var encodingDeclared = regexp.MustCompile(`encoding[ \t\r\n]*=[ \t\r\n]*(?:"([^"]*)"|'([^']*)')`)

// declaration judges the XML declaration, if a text begins with one. The decoder reads it
// only loosely.
func declaration(text []byte) string {
	rest, there := bytes.CutPrefix(text, []byte("<?xml"))
	if !there {
		return ""
	}
	if len(rest) == 0 || !space(rest[0]) {
		return RuleInstruction
	}
	if plainDeclaration.Match(text) {
		return ""
	}
	inst, _, _ := bytes.Cut(text, []byte("?>"))
	if m := encodingDeclared.FindSubmatch(inst); m != nil && !strings.EqualFold(string(m[1])+string(m[2]), "utf-8") {
		return RuleEncoding
	}
	return RuleDeclaration
}

// isDeclaration reports an attribute that binds a prefix or the default namespace.
func isDeclaration(n xml.Name) bool {
	return n.Space == "xmlns" || n.Space == "" && n.Local == "xmlns"
}

// declare takes the namespaces that one element declares into scope.
func (s *scanner) declare(attrs []xml.Attr) string {
	for _, a := range attrs {
		if !isDeclaration(a.Name) {
			continue
		}
		s.declared++
		if s.declared > s.limits.Namespaces {
			return RuleNamespaces
		}
		prefix := a.Name.Local
		if a.Name.Space == "" {
			prefix = ""
		}
		if rule := bindable(prefix, a.Value); rule != "" {
			return rule
		}
		s.scope = append(s.scope, binding{prefix, a.Value})
	}
	return ""
}

// bindable judges one declaration (Namespaces in XML 1.0, section 3). The default
// namespace alone may be unset.
func bindable(prefix, space string) string {
	if prefix == "xmlns" || space == xmlnsSpace || space == xmlSpace && prefix != "xml" {
		return RuleReserved
	}
	if own, ok := reserved[prefix]; ok && own != space {
		return RuleReserved
	}
	if space == "" && prefix == "" || absolute.MatchString(space) {
		return ""
	}
	return RuleNamespace
}

// lookup gives the namespace of a prefix.
func (s *scanner) lookup(prefix string) (string, bool) {
	for i := len(s.scope) - 1; i >= 0; i-- {
		if s.scope[i].prefix == prefix {
			return s.scope[i].space, true
		}
	}
	if prefix == "xml" {
		return xmlSpace, true
	}
	return "", prefix == ""
}

// names judges the names of a start tag and gives the namespace of the element.
func (s *scanner) names(t xml.StartElement) (string, string) {
	space, rule := s.expand(t.Name)
	if rule != "" {
		return "", rule
	}
	s.seen = s.seen[:0]
	for _, a := range t.Attr {
		e := xml.Name{Local: a.Name.Local}
		switch {
		case isDeclaration(a.Name):
			if strings.Contains(a.Name.Local, ":") {
				return "", RuleName
			}
			e.Space = a.Name.Space + " " // no namespace is named so
		case a.Name.Space == "":
			if strings.Contains(a.Name.Local, ":") || a.Name.Local == "" {
				return "", RuleName
			}
		default:
			if e.Space, rule = s.expand(a.Name); rule != "" {
				return "", rule
			}
		}
		for _, other := range s.seen {
			if other == e {
				return "", RuleTwice
			}
		}
		s.seen = append(s.seen, e)
	}
	if !s.limits.Comments && !s.ordered() {
		return "", RuleOrder
	}
	return space, ""
}

// ordered reports attributes that canonicalizers put in one order. Canonical XML sorts them
// by their namespaces and then by their local names (Canonical XML 1.0, section 2.3);
// goxmldsig sorts those of several namespaces by their local names alone.
func (s *scanner) ordered() bool {
	qualified := func(n xml.Name) bool { return n.Space != "" && !strings.HasSuffix(n.Space, " ") }
	for i, a := range s.seen {
		for _, b := range s.seen[i+1:] {
			if qualified(a) && qualified(b) && a.Space != b.Space && (a.Local == b.Local || (a.Space < b.Space) != (a.Local < b.Local)) {
				return false
			}
		}
	}
	return true
}

// expand gives the namespace of a name. The decoder leaves a colon in the local part of a
// name that has nothing on one side of it.
func (s *scanner) expand(n xml.Name) (string, string) {
	if n.Local == "" || strings.Contains(n.Local, ":") || strings.Contains(n.Space, ":") || n.Space == "xmlns" {
		return "", RuleName
	}
	space, ok := s.lookup(n.Space)
	if !ok {
		return "", RuleUndeclared
	}
	return space, ""
}

// identifiers judges what names an element. Signatures point by ID, so one value names one
// element, whatever kin of the attribute's name a verifier goes by; and an element of SAML
// has no second one.
func (s *scanner) identifiers(space string, attrs []xml.Attr) string {
	for _, a := range attrs {
		if isDeclaration(a.Name) || !strings.EqualFold(a.Name.Local, "id") {
			continue
		}
		own := a.Name.Space == "" && a.Name.Local == "ID"
		if !own && (space == samlSpace || space == samlpSpace) {
			return RuleID
		}
		if a.Name.Space == "" && a.Name.Local == "id" {
			continue // of a foreign vocabulary; no verifier of SAML goes by it
		}
		if _, twice := s.ids[a.Value]; twice {
			return RuleID
		}
		s.ids[a.Value] = struct{}{}
	}
	return ""
}
