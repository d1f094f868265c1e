// SPDX-License-Identifier: Apache-2.0

package xmlscan

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// Limits bound a document. They hold for its text as it is, before anything is parsed.
type Limits struct {
	Bytes      int
	Elements   int
	Depth      int
	Attributes int // of one element, its declarations of namespaces among them
	Namespaces int // declarations, in all
	// Scope bounds the declarations in scope, summed over the elements: canonicalization
	// has a table of them for each element. 0 is no bound of its own.
	Scope int
	// Comments lets comments stand between elements, as metadata that people have edited
	// has them; none may touch text. Values of attributes may then be broken over lines as
	// well, which parsers read differently. Messages have neither anywhere.
	Comments bool
}

// Message are the limits of a protocol message. In the mean half of the namespaces that it
// may declare are in scope; real ones have a handful.
var Message = Limits{Bytes: 192 << 10, Elements: 2000, Depth: 32, Attributes: 32, Namespaces: 64, Scope: 64000}

// The rules, as an Error names them.
const (
	RuleBytes       = "bytes"           // longer than the limit, or empty
	RuleEncoding    = "encoding"        // not UTF-8, a byte order mark, another declared encoding
	RuleCharacter   = "character"       // NUL and other characters that XML has not, by reference too
	RuleDeclaration = "declaration"     // an XML declaration that is not the plain one
	RuleInstruction = "instruction"     // a processing instruction
	RuleDirective   = "directive"       // a document type and its kin
	RuleCDATA       = "cdata"           // a CDATA section
	RuleComment     = "comment"         // a comment, or one that touches text
	RuleElements    = "elements"        // more than the limit
	RuleDepth       = "depth"           // more than the limit
	RuleAttributes  = "attributes"      // more of one element than the limit
	RuleNamespaces  = "namespaces"      // more declarations than the limit, or than may be in scope
	RuleRoot        = "root"            // none, a second one, or something around it
	RuleSyntax      = "syntax"          // not well formed
	RuleName        = "name"            // a name with an empty part or more than one colon
	RuleTwice       = "attribute_twice" // by its name or by its expanded name
	RuleUndeclared  = "prefix_undeclared"
	RuleReserved    = "prefix_reserved" // a known prefix bound to a namespace not its own
	RuleNamespace   = "namespace"       // a name of a namespace that is empty, relative or odd
	RuleLineBreak   = "attribute_line"  // a line break or tab as such in a value
	RuleOrder       = "attribute_order" // attributes of several namespaces that verifiers sort differently
	RuleID          = "id"              // an ID twice, or by another name on a SAML element
)

// Document is text that Scan has passed. Its zero value is empty and passed nothing.
type Document struct {
	text            []byte
	elements, depth int
}

// Bytes gives the text, which nobody may change.
func (d Document) Bytes() []byte { return d.text }

// Elements is how many there are.
func (d Document) Elements() int { return d.elements }

// Depth is that of the deepest element; the root has 1.
func (d Document) Depth() int { return d.depth }

// Error says which rule a text breaks. It holds nothing of the text.
type Error struct {
	Rule            string // a constant of this package
	Bytes           int
	Elements, Depth int // as far as was read
}

// Error implements error.
func (e *Error) Error() string { return "xmlscan: " + e.Rule }

// Scan judges a text (docs/specs/v1.0/server/sso.md, Strict reader, S1 and S2). Every
// error is an *Error.
func Scan(text []byte, l Limits) (Document, error) {
	s := &scanner{text: text, limits: l, ids: map[string]struct{}{}}
	rule := s.plain()
	if rule == "" {
		rule = s.tokens()
	}
	if rule != "" {
		return Document{}, &Error{Rule: rule, Bytes: len(text), Elements: s.elements, Depth: s.deepest}
	}
	return Document{text: text, elements: s.elements, depth: s.deepest}, nil
}

// scanner is one reading of a text. Its methods give the rule that is broken, or nothing.
type scanner struct {
	text              []byte
	limits            Limits
	elements, deepest int
	open              []element
	scope             []binding
	declared, scoped  int
	ids               map[string]struct{}
	seen              []xml.Name // of the attributes of one element, by namespace
	rooted            bool
	// What stands since the last tag: a comment, and text other than white space.
	comment, words bool
}

// element is one that is open: its name, and how much of scope was there before it.
type element struct {
	name  xml.Name
	scope int
}

// plain checks what can be seen in the bytes, before any work. A "<" stands in no text and
// no value, so what begins with "<!" is a comment, a CDATA section or a directive; the
// decoder hides the second of them.
func (s *scanner) plain() string {
	t := s.text
	switch {
	case len(t) == 0, len(t) > s.limits.Bytes:
		return RuleBytes
	case !utf8.Valid(t), bytes.HasPrefix(t, []byte("\xef\xbb\xbf")):
		return RuleEncoding
	case bytes.Contains(t, []byte("<![CDATA[")):
		return RuleCDATA
	case !s.limits.Comments && bytes.Contains(t, []byte("<!--")):
		return RuleComment
	case !s.limits.Comments && bytes.Contains(t, []byte("<!")):
		return RuleDirective
	}
	for _, c := range t {
		if c < ' ' && !space(c) || c == 0x7f {
			return RuleCharacter
		}
	}
	if !references(t) {
		return RuleCharacter
	}
	return declaration(t)
}

// references reports whether every reference to a character names one of XML 1.0, section
// 2.2. The decoder takes half a surrogate pair for U+FFFD, where others find no document.
func references(text []byte) bool {
	for {
		_, rest, there := bytes.Cut(text, []byte("&#"))
		if !there {
			return true
		}
		digits, _, closed := bytes.Cut(rest[:min(len(rest), maxReference)], []byte(";"))
		base := 10
		if hex, ok := bytes.CutPrefix(digits, []byte("x")); ok {
			digits, base = hex, 16
		}
		n, err := strconv.ParseUint(string(digits), base, 32)
		if !closed || err != nil || !character(n) {
			return false
		}
		text = rest
	}
}

// maxReference bounds the digits of a reference, leading zeros among them.
const maxReference = 16

func character(n uint64) bool {
	return n == '\t' || n == '\n' || n == '\r' || n >= 0x20 && n < 0xD800 || n >= 0xE000 && n <= 0xFFFD || n >= 0x10000 && n <= 0x10FFFF
}

// tokens reads the text to its end. RawToken neither pairs the tags nor knows namespaces,
// so nothing of the decoder's ideas of either gets in.
func (s *scanner) tokens() string {
	d := xml.NewDecoder(bytes.NewReader(s.text))
	for from := int64(0); ; from = d.InputOffset() {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return RuleSyntax
		}
		if rule := s.token(t, s.text[from:d.InputOffset()], from); rule != "" {
			return rule
		}
	}
	if len(s.open) > 0 {
		return RuleSyntax
	}
	if !s.rooted {
		return RuleRoot
	}
	return ""
}

// token judges one token, which raw spells and which begins at from.
func (s *scanner) token(t xml.Token, raw []byte, from int64) string {
	switch t := t.(type) {
	case xml.StartElement:
		s.comment, s.words = false, false
		return s.start(t, raw)
	case xml.EndElement:
		s.comment, s.words = false, false
		return s.end(t)
	case xml.CharData:
		return s.chars(t, raw)
	case xml.ProcInst:
		if t.Target != "xml" || from != 0 { // plain has judged that one
			return RuleInstruction
		}
		return ""
	case xml.Comment:
		s.comment = true
		if !s.limits.Comments || s.words {
			return RuleComment
		}
		return ""
	default:
		return RuleDirective
	}
}

// chars judges text. Around the root there is white space alone, as such: not even a
// reference to one.
func (s *scanner) chars(t xml.CharData, raw []byte) string {
	if len(s.open) == 0 && !blank(raw) {
		return RuleRoot
	}
	if !blank(t) || !blank(raw) {
		s.words = true
		if s.comment {
			return RuleComment
		}
	}
	return ""
}

// start judges a start tag.
func (s *scanner) start(t xml.StartElement, raw []byte) string {
	s.elements++
	s.deepest = max(s.deepest, len(s.open)+1)
	switch {
	case len(s.open) == 0 && s.rooted:
		return RuleRoot
	case s.elements > s.limits.Elements:
		return RuleElements
	case len(s.open) >= s.limits.Depth:
		return RuleDepth
	case len(t.Attr) > s.limits.Attributes:
		return RuleAttributes
	}
	s.rooted = true
	if rule := s.spelling(raw); rule != "" {
		return rule
	}
	s.open = append(s.open, element{t.Name, len(s.scope)})
	if rule := s.declare(t.Attr); rule != "" {
		return rule
	}
	s.scoped += len(s.scope)
	if s.limits.Scope > 0 && s.scoped > s.limits.Scope {
		return RuleNamespaces
	}
	space, rule := s.names(t)
	if rule != "" {
		return rule
	}
	return s.identifiers(space, t.Attr)
}

// end judges an end tag.
func (s *scanner) end(t xml.EndElement) string {
	if len(s.open) == 0 {
		return RuleSyntax
	}
	last := s.open[len(s.open)-1]
	if last.name != t.Name {
		return RuleSyntax
	}
	s.open, s.scope = s.open[:len(s.open)-1], s.scope[:last.scope]
	return ""
}

// spelling looks at a start tag as it is written. The decoder takes attributes with
// nothing between them; and a line break or a tab in a value is a blank to parsers that
// normalise values (XML 1.0, section 3.3.3) and itself to those that do not.
func (s *scanner) spelling(raw []byte) string {
	var quote byte
	closed := false // the byte before ended a value
	for _, c := range raw {
		switch {
		case quote != 0 && c == quote:
			quote, closed = 0, true
			continue
		case quote != 0:
			if c < ' ' && !s.limits.Comments {
				return RuleLineBreak
			}
		case closed && !space(c) && c != '/' && c != '>':
			return RuleSyntax
		case c == '"' || c == '\'':
			quote = c
		}
		closed = false
	}
	return ""
}

// space reports the white space of XML 1.0, section 2.3.
func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func blank(b []byte) bool {
	for _, c := range b {
		if !space(c) {
			return false
		}
	}
	return true
}
