// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/beevik/etree"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/xmlscan"
)

// maxEncoded bounds the base64 of a message, in bytes; what it decodes to is bounded by
// xmlscan.Message.
const maxEncoded = 256 << 10

// maxLine is the longest line of wrapped base64, in characters: that of MIME (RFC 2045
// section 6.8).
const maxLine = 76

// unwrapped gives base64 in one line. The POST binding lets it be wrapped "at a reasonable
// length" (SAML bindings, section 3.5.4): into lines of one length, ended in one way, the
// last one alone shorter. Of any other white space, which the decoder would skip wherever
// it stood, it returns false.
func unwrapped(text string) (string, bool) {
	if !strings.ContainsAny(text, "\r\n") {
		return text, true
	}
	end := "\n"
	if strings.Contains(text, "\r") {
		end = "\r\n"
	}
	lines := strings.Split(strings.TrimSuffix(text, end), end)
	size := len(lines[0])
	if size > maxLine || size%4 != 0 {
		return "", false
	}
	for i, line := range lines {
		last := i == len(lines)-1
		if strings.ContainsAny(line, "\r\n") || !last && len(line) != size || last && (line == "" || len(line) > size) {
			return "", false
		}
	}
	return strings.Join(lines, ""), true
}

// message gives the tree of a response (S1, S2). The base64 is padded and of the standard
// alphabet.
func (r *reader) message(response string) (unverified, error) {
	if len(response) > maxEncoded {
		return unverified{}, malformed(xmlscan.Error{Rule: xmlscan.RuleBytes, Bytes: len(response)})
	}
	line, ok := unwrapped(response)
	if !ok {
		return unverified{}, malformed(xmlscan.Error{Rule: "base64", Bytes: len(response)})
	}
	text, err := base64.StdEncoding.Strict().DecodeString(line)
	if err != nil {
		return unverified{}, malformed(xmlscan.Error{Rule: "base64", Bytes: len(response)})
	}
	document, err := xmlscan.Scan(text, xmlscan.Message)
	if err != nil {
		if e, ok := errors.AsType[*xmlscan.Error](err); ok {
			r.trace.XMLElements = e.Elements
			return unverified{}, malformed(*e)
		}
		return unverified{}, failure.Of(err)
	}
	r.trace.XMLElements = document.Elements()
	tree := etree.NewDocument()
	tree.ReadSettings.MaxDepth = xmlscan.Message.Depth
	tree.ReadSettings.PreserveDuplicateAttrs = true // there are none
	if err := tree.ReadFromBytes(document.Bytes()); err != nil || tree.Root() == nil {
		return unverified{}, malformed(xmlscan.Error{Rule: xmlscan.RuleSyntax, Bytes: len(text)})
	}
	return unverified{raw: tree.Root()}, nil
}

func malformed(e xmlscan.Error) error {
	return failure.New(failure.SAMLMalformed).With("rule", e.Rule).With("bytes", strconv.Itoa(e.Bytes)).
		With("elements", strconv.Itoa(e.Elements)).With("depth", strconv.Itoa(e.Depth)).Because(&e)
}
