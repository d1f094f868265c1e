// SPDX-License-Identifier: Apache-2.0

package canon

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Text gives a person's or device's name as it is stored: trimmed, NFC, valid UTF-8, 1 to
// max characters, and people see at least one of them. Control and format characters,
// line separators and fillers are refused: they let a name dress up as something else, or
// as nothing. Joiners are taken where a script needs them.
func Text(s string, max int) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	s = norm.NFC.String(strings.TrimSpace(s))
	if utf8.RuneCountInString(s) > max || !plain(s) {
		return "", false
	}
	return s, true
}

// Kept reports whether s may be what Text has once given. Its rules have become narrower
// and will again, and what is on record is not judged anew: only what could do harm is
// refused.
func Kept(s string, max int) bool {
	if !utf8.ValidString(s) || strings.TrimSpace(s) != s || !norm.NFC.IsNormalString(s) {
		return false
	}
	n := utf8.RuneCountInString(s)
	return n > 0 && n <= max && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || turns(r) })
}

// Label gives what somebody else's directory calls a person, as it is kept: Text's form,
// without what is no UTF-8 and without what Text refuses, at most so many characters.
// Nothing is refused; what is left may be empty.
func Label(s string, most int) string {
	for _, goes := range []func(rune) bool{hides, func(r rune) bool { return hides(r) || joiner(r) }} {
		left := strings.Map(func(r rune) rune {
			if r == utf8.RuneError || goes(r) {
				return -1
			}
			return r
		}, s)
		runes := []rune(norm.NFC.String(left))
		if kept, ok := Text(string(runes[:min(len(runes), most)]), most); ok {
			return kept
		}
	}
	return ""
}

// plain reports a text with something to see in it and nothing that hides.
func plain(s string) (seen bool) {
	var base, last rune
	for _, r := range s {
		switch {
		case hides(r), joiner(r) && (joiner(last) || !joined(base)):
			return false
		case !unicode.Is(unicode.Inherited, r): // a mark belongs to the letter before it
			base = r
		}
		last = r
		seen = seen || !unicode.IsSpace(r) && !unicode.IsMark(r) && !joiner(r) && r != brailleBlank
	}
	return seen
}

// brailleBlank is a pattern without a dot, and the only symbol that shows nothing.
const brailleBlank = '\u2800'

// joiner reports the two that join or part their neighbours: Persian and the scripts of
// India are misspelt without them, and families of emoji fall apart.
func joiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// joined reports characters behind which a joiner changes anything.
func joined(r rune) bool {
	return r > unicode.MaxLatin1 && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsSymbol(r)) &&
		!unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}

// hides reports characters that nobody sees, or that change how others are read. Signs
// that stand around a number in Arabic are of the same category, and seen.
func hides(r rune) bool {
	switch {
	case joiner(r), unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false
	}
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// turns reports the characters that change how their neighbours are read: bidirectional
// controls, line and paragraph separators, the byte order mark.
func turns(r rune) bool {
	switch {
	case r == 0x061C, r == 0x200E, r == 0x200F, r == 0xFEFF:
		return true
	case r >= 0x2028 && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return false
}
