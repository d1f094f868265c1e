// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"regexp"
	"strconv"

	"github.com/beevik/etree"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// seen is the form of a message that was found to be in order: where its parts are, none
// of it believed.
type seen struct {
	response, assertion unverified
	signatures          []*etree.Element // in their order, wherever they stand
}

// name is what an ID may look like: an NCName, in ASCII (XML Schema, xs:ID).
var name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,255}$`)

// responseParts are the children of a Response (SAML core, section 3.2.2). Where
// signatures stand and how many is for S4.
var responseParts = []part{
	{assertionSpace, "Issuer", false}, {signatureSpace, "Signature", true}, {protocolSpace, "Extensions", false},
	{protocolSpace, "Status", false}, {assertionSpace, "Assertion", true},
}

// survey is what one walk through a message counts.
type survey struct {
	assertions []*etree.Element // whatever their namespace
	responses  int
	signatures []*etree.Element
	encrypted  string // the first name
}

func (s *survey) walk(el *etree.Element) {
	space := el.NamespaceURI()
	switch el.Tag {
	case "Assertion":
		s.assertions = append(s.assertions, el)
	case "Response":
		s.responses++
	case "Signature":
		if space == signatureSpace {
			s.signatures = append(s.signatures, el)
		}
	case "EncryptedAssertion", "EncryptedID", "NewEncryptedID", "EncryptedAttribute":
		s.finds(el.Tag, space == assertionSpace || space == protocolSpace)
	case "EncryptedData", "EncryptedKey":
		s.finds(el.Tag, space == cipherSpace)
	}
	for _, c := range el.Child {
		if child, ok := c.(*etree.Element); ok {
			s.walk(child)
		}
	}
}

func (s *survey) finds(name string, really bool) {
	if really && s.encrypted == "" {
		s.encrypted = name
	}
}

// structure finds the one assertion of a message (S3).
func (r *reader) structure(m unverified) (seen, error) {
	root := m.raw
	if !is(root, protocolSpace, "Response") {
		return seen{}, misbuilt(0, root, "root")
	}
	if v, _ := attribute(root, "Version"); v != "2.0" {
		return seen{}, misbuilt(0, root, "version")
	}
	if !named(root) {
		return seen{}, misbuilt(0, root, "id")
	}
	var s survey
	s.walk(root)
	if s.encrypted != "" {
		return seen{}, failure.New(failure.SAMLEncryptionDisabled).With("element", s.encrypted)
	}
	n := len(s.assertions)
	if n == 0 {
		// A provider that refuses sends no assertion, and often no signature. Such a
		// message can do no more than refuse.
		if status := statusOf(root); !status.odd && !status.success() {
			return seen{}, status.failure()
		}
	}
	if n != 1 || !is(s.assertions[0], assertionSpace, "Assertion") || s.assertions[0].Parent() != root {
		return seen{}, misbuilt(n, root, "assertions")
	}
	if s.responses != 1 {
		return seen{}, misbuilt(n, root, "responses")
	}
	if rule := inventory(root, responseParts); rule != "" {
		return seen{}, misbuilt(n, root, rule)
	}
	if !named(s.assertions[0]) {
		return seen{}, misbuilt(n, root, "assertion_id")
	}
	return seen{response: m, assertion: unverified{raw: s.assertions[0]}, signatures: s.signatures}, nil
}

// named reports an element with an ID that a reference can point to.
func named(el *etree.Element) bool {
	id, ok := attribute(el, "ID")
	return ok && name.MatchString(id)
}

// misbuilt is saml_structure. The root is named when it is one that is known.
func misbuilt(assertions int, root *etree.Element, rule string) error {
	return failure.New(failure.SAMLStructure).With("assertions", strconv.Itoa(assertions)).With("root", rootName(root)).With("rule", rule)
}

// rootName gives the name of a root if it is one that providers send by mistake; any other
// is foreign text.
func rootName(root *etree.Element) string {
	switch root.Tag {
	case "Response", "LogoutResponse", "LogoutRequest", "ArtifactResponse", "AuthnRequest", "Assertion", "Envelope", "EntityDescriptor":
		return root.Tag
	}
	return "other"
}
