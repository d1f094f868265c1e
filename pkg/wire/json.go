// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// ErrInvalidJSON is malformed JSON, a body that is no object, a duplicate member,
// trailing data, invalid UTF-8 or nesting deeper than MaxDepth.
var ErrInvalidJSON = fault.New(fault.Invalid, "invalid_json", "The request body is not the JSON that this address takes.")

// MaxDepth is the deepest nesting of a body that is read; the object itself is the
// first level.
const MaxDepth = 32

// Unknown says what becomes of members that the target does not name.
type Unknown int

// The two styles of validation.
const (
	Refuse Unknown = iota
	Ignore
)

// JSON decodes one JSON object into dst, a pointer to a struct. Every member that is
// read has a json tag with its name; fields without one stay as they are, and options
// after the name are not looked at. Maps have string keys. Names are compared exactly
// at every level: encoding/json alone would take USER_CODE, or a long s, for user_code.
//
// A null leaves a pointer, slice, map or interface nil, as if the member were absent;
// for any other field it is a wrong type. So a required member is a pointer in the
// struct and its absence is the caller's to refuse.
//
// It returns ErrInvalidJSON for what is no acceptable JSON, and *Problems with one
// entry per field for a wrong type (type_error) and, under Refuse, an unknown member
// (extra_forbidden). After an error dst holds an unspecified part of the body.
func JSON(body []byte, dst any, unknown Unknown) error {
	members, err := Members(body)
	if err != nil {
		return err
	}
	return fill(members, dst, unknown)
}

// Members splits one JSON object into its members, each as it came, for readers whose
// names are configuration. It returns ErrInvalidJSON as JSON does.
func Members(body []byte) (map[string]stdjson.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, ErrInvalidJSON
	}
	dec := stdjson.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := walk(dec, 1); err != nil {
		return nil, ErrInvalidJSON
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrInvalidJSON
	}
	// The walk reads tokens and leaves some of the grammar to this second reading.
	members := map[string]stdjson.RawMessage{}
	if err := stdjson.Unmarshal(body, &members); err != nil || members == nil || loneSurrogate(body) {
		return nil, ErrInvalidJSON
	}
	return members, nil
}

// walk reads one value and refuses duplicate members and depth at every level.
func walk(dec *stdjson.Decoder, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	delim, nested := tok.(stdjson.Delim)
	if !nested {
		return nil
	}
	if depth > MaxDepth {
		return ErrInvalidJSON
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			text, ok := name.(string)
			if !ok || seen[text] {
				return ErrInvalidJSON
			}
			seen[text] = true
		}
		if err := walk(dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token() // the closing one
	return err
}

// loneSurrogate reports a \u escape that is half of a pair (RFC 8259 section 8.2).
// One reader replaces it, another keeps it or fails, so it is no Unicode text. The
// body is known to be valid JSON, hence a backslash occurs in strings alone and a
// \u has its four digits.
func loneSurrogate(body []byte) bool {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		i++ // the escaped character, be it a backslash
		switch half(body[i:]) {
		case high:
			if i+5 >= len(body) || body[i+5] != '\\' || half(body[i+6:]) != low {
				return true
			}
			i += 10
		case low:
			return true
		}
	}
	return false
}

type surrogate int

const (
	none surrogate = iota
	high           // D800 to DBFF, the first of a pair
	low            // DC00 to DFFF, the second
)

// half classifies an escape without its backslash.
func half(escape []byte) surrogate {
	if len(escape) < 5 || escape[0] != 'u' || escape[1]|0x20 != 'd' {
		return none
	}
	switch c := escape[2] | 0x20; {
	case c == '8' || c == '9' || c == 'a' || c == 'b':
		return high
	case c >= 'c' && c <= 'f':
		return low
	}
	return none
}
