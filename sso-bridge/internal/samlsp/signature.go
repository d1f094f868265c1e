// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/beevik/etree"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// maxPrefixes bounds the PrefixList of a transform.
const maxPrefixes = 8

// The transforms of SAML core, section 5.4.4.
const (
	enveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
)

// signature is one whose form is in order; nothing of it is verified.
type signature struct {
	el     *etree.Element // the ds:Signature
	parent *etree.Element // what it stands in and points to
	method method
	value  []byte // SignatureValue
}

// shapeError is the rule of S4 that is broken, or the weak algorithm.
type shapeError struct{ rule, weak string }

// signatures judges the form of every signature of a message (S4).
func (r *reader) signatures(s seen) ([]signature, error) {
	if len(s.signatures) == 0 {
		return nil, r.unsigned()
	}
	var all []signature
	for _, el := range s.signatures {
		if err := s.place(el, all); err != nil {
			return nil, s.misshapen(err)
		}
		sig, digest, err := form(el)
		if err != nil {
			return nil, s.misshapen(err)
		}
		r.trace.SignedParts = append(r.trace.SignedParts, s.partName(sig))
		r.trace.Algorithms = append(r.trace.Algorithms, sig.method.name, digest)
		all = append(all, sig)
	}
	return all, nil
}

// partName is "response" or "assertion".
func (s seen) partName(sig signature) string {
	if sig.parent == s.response.raw {
		return "response"
	}
	return "assertion"
}

// misshapen is the failure of a form.
func (s seen) misshapen(e *shapeError) error {
	if e.weak != "" {
		return failure.New(failure.SAMLWeakAlgorithm).With("algorithm", e.weak)
	}
	return failure.New(failure.SAMLSignatureShape).With("assertions", "1").
		With("root", rootName(s.response.raw)).With("rule", e.rule)
}

// place checks that a signature stands right after the Issuer of the response or of the
// assertion, one in each at most.
func (s seen) place(el *etree.Element, before []signature) *shapeError {
	parent := el.Parent()
	if parent != s.response.raw && parent != s.assertion.raw {
		return &shapeError{rule: "place"}
	}
	for _, other := range before {
		if other.parent == parent {
			return &shapeError{rule: "signatures"}
		}
	}
	children := parent.ChildElements()
	if len(children) < 2 || children[1] != el || !is(children[0], assertionSpace, "Issuer") {
		return &shapeError{rule: "place"}
	}
	return nil
}

// form checks all of a signature that is not arithmetic, and names its digest.
func form(el *etree.Element) (signature, string, *shapeError) {
	children, ok := sequence(el, "SignedInfo", "SignatureValue", "?KeyInfo")
	if !ok || !attributesOf(el, "Id") {
		return signature{}, "", &shapeError{rule: "signature_children"}
	}
	info, ok := sequence(children[0], "CanonicalizationMethod", "SignatureMethod", "Reference")
	if !ok || !attributesOf(children[0], "Id") {
		return signature{}, "", &shapeError{rule: "signed_info_children"}
	}
	if algorithm, ok := bare(info[0]); !ok || algorithm != exclusive {
		return signature{}, "", &shapeError{rule: "canonicalization"}
	}
	algorithm, ok := bare(info[1])
	if weak, is := weakAlgorithms[algorithm]; is {
		return signature{}, "", &shapeError{weak: weak}
	}
	m, known := signatureMethods[algorithm]
	if !ok || !known {
		return signature{}, "", &shapeError{rule: "signature_method"}
	}
	digest, err := reference(info[2], el.Parent())
	if err != nil {
		return signature{}, "", err
	}
	value, ok := signatureValue(children[1])
	if !ok {
		return signature{}, "", &shapeError{rule: "signature_value"}
	}
	return signature{el: el, parent: el.Parent(), method: m, value: value}, digest, nil
}

// reference checks the one Reference, which points to what the signature stands in.
func reference(el, parent *etree.Element) (string, *shapeError) {
	children, ok := sequence(el, "Transforms", "DigestMethod", "DigestValue")
	if !ok || !attributesOf(el, "URI", "Id") {
		return "", &shapeError{rule: "reference_children"}
	}
	id, _ := attribute(parent, "ID")
	if uri, there := attribute(el, "URI"); !there || id == "" || uri != "#"+id {
		return "", &shapeError{rule: "reference_uri"}
	}
	if err := transforms(children[0]); err != nil {
		return "", err
	}
	algorithm, ok := bare(children[1])
	if weak, is := weakAlgorithms[algorithm]; is {
		return "", &shapeError{weak: weak}
	}
	d, known := digests[algorithm]
	if !ok || !known {
		return "", &shapeError{rule: "digest_method"}
	}
	// The verifier decodes it likewise, and skips line breaks.
	value, ok := text(children[2])
	if sum, err := base64.StdEncoding.DecodeString(value); !ok || err != nil || len(sum) != d.size || !attributesOf(children[2]) {
		return "", &shapeError{rule: "digest_value"}
	}
	return d.name, nil
}

// transforms checks that there are two: enveloped, then exclusive canonicalization without
// comments.
func transforms(el *etree.Element) *shapeError {
	children, ok := sequence(el, "Transform", "Transform")
	if !ok || !attributesOf(el) {
		return &shapeError{rule: "transforms"}
	}
	if algorithm, ok := bare(children[0]); !ok || algorithm != enveloped {
		return &shapeError{rule: "transforms"}
	}
	if algorithm, _ := attribute(children[1], "Algorithm"); algorithm != exclusive || !attributesOf(children[1], "Algorithm") {
		return &shapeError{rule: "transforms"}
	}
	if rule := inventory(children[1], []part{{exclusiveSpace, "InclusiveNamespaces", false}}); rule != "" {
		return &shapeError{rule: "transforms"}
	}
	for _, list := range children[1].ChildElements() {
		if !prefixList(list) {
			return &shapeError{rule: "prefix_list"}
		}
	}
	return nil
}

// tokens are prefixes with blanks between them.
var tokens = regexp.MustCompile(`^[A-Za-z0-9_. -]*$`)

// prefixList reports an InclusiveNamespaces of few prefixes, all of them in scope where it
// stands and so where it points, with blanks between them: the verifier takes for one what
// Unicode does, others what XML does. The token #default is for no prefix, and the verifier
// does not know it.
func prefixList(el *etree.Element) bool {
	list, there := attribute(el, "PrefixList")
	if !there || !attributesOf(el, "PrefixList") || len(el.Child) > 0 || !tokens.MatchString(list) {
		return false
	}
	prefixes := strings.Fields(list)
	if len(prefixes) > maxPrefixes {
		return false
	}
	scope := declarations(el)
	for _, p := range prefixes {
		if _, ok := scope[p]; !ok || p == "" {
			return false
		}
	}
	return true
}

// declarations gives the namespaces in scope at an element by their prefixes, the default
// one by the empty prefix.
func declarations(el *etree.Element) map[string]string {
	scope := map[string]string{}
	for at := el; at != nil; at = at.Parent() {
		for _, a := range at.Attr {
			prefix := a.Key
			switch {
			case a.Space == "" && a.Key == "xmlns":
				prefix = ""
			case a.Space != "xmlns":
				continue
			}
			if _, nearer := scope[prefix]; !nearer {
				scope[prefix] = a.Value
			}
		}
	}
	return scope
}

// sequence gives the children of an element if they are the ones named, in ds, in that
// order, with white space alone between them. A name with ? may be absent.
func sequence(el *etree.Element, names ...string) ([]*etree.Element, bool) {
	allowed := make([]part, len(names))
	for i, n := range names {
		allowed[i] = part{signatureSpace, strings.TrimPrefix(n, "?"), true}
	}
	if inventory(el, allowed) != "" {
		return nil, false
	}
	children := el.ChildElements()
	for i, n := range names {
		local, optional := strings.CutPrefix(n, "?")
		if i >= len(children) {
			return children, optional && i == len(names)-1
		}
		if children[i].Tag != local {
			return nil, false
		}
	}
	return children, len(children) == len(names)
}

// bare gives the Algorithm of an element that has nothing but it.
func bare(el *etree.Element) (string, bool) {
	algorithm, there := attribute(el, "Algorithm")
	return algorithm, there && attributesOf(el, "Algorithm") && inventory(el, nil) == ""
}

// attributesOf reports an element that has no attributes but those named; declarations of
// namespaces may stand anywhere.
func attributesOf(el *etree.Element, names ...string) bool {
next:
	for _, a := range el.Attr {
		if a.Space == "xmlns" || a.Space == "" && a.Key == "xmlns" {
			continue
		}
		for _, n := range names {
			if a.Space == "" && a.Key == n {
				continue next
			}
		}
		return false
	}
	return true
}

// unbroken takes the white space of XML out of base64.
var unbroken = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "")

// signatureValue decodes the value, which providers break into lines and indent.
func signatureValue(el *etree.Element) ([]byte, bool) {
	s, ok := text(el)
	if !ok || !attributesOf(el, "Id") {
		return nil, false
	}
	value, err := base64.StdEncoding.Strict().DecodeString(unbroken.Replace(s))
	return value, err == nil && len(value) > 0
}
