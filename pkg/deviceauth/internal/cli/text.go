// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// prose makes a text of several lines harmless in a terminal and leaves it readable:
// lines, tabs and what joins letters and emoji stay, controls and what turns the
// direction of writing go.
func prose(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\u200c', r == '\u200d', unicode.IsPrint(r), unicode.Is(unicode.Zs, r):
			return r
		}
		return '\uFFFD'
	}, strings.TrimSuffix(strings.ReplaceAll(s, "\r\n", "\n"), "\r"))
}

// brief is a text from elsewhere on one line, cut where a line grows too long to read.
func brief(s string, most int) string {
	s = plain(strings.Join(strings.Fields(s), " "))
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// oneLine is JSON from elsewhere on one line, with everything a terminal might obey
// escaped. Its meaning is what it was.
func oneLine(raw []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	if !bytes.ContainsFunc(b.Bytes(), suspicious) {
		return append(b.Bytes(), '\n'), nil
	}
	var out bytes.Buffer
	out.Grow(b.Len() + 64)
	for _, r := range b.String() {
		switch {
		case !suspicious(r):
			out.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func suspicious(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

var bareWord = regexp.MustCompile(`^[A-Za-z0-9_.:/@%+=-]+$`)

// word is a text from elsewhere as one word for a shell, should the person paste it.
func word(s string) string {
	if s = plain(s); bareWord.MatchString(s) && !strings.HasPrefix(s, "-") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// member is one member of a JSON object.
type member struct {
	Key   string
	Value json.RawMessage
}

// members gives those of an object in their order, which a map would lose.
func members(object json.RawMessage) (list []member) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return list
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return list
		}
		name, _ := key.(string)
		list = append(list, member{name, value})
	}
	return list
}

// orElse is the text of a pointer, or another one.
func orElse(s *string, other string) string {
	if s == nil || *s == "" {
		return other
	}
	return *s
}
