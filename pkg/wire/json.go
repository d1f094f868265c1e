// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// ErrInvalidJSON is malformed JSON, a duplicate member, trailing data, invalid UTF-8
// or nesting deeper than MaxDepth.
var ErrInvalidJSON = fault.New(fault.Invalid, "invalid_json", "The request body is not the JSON that this address takes.")

// MaxDepth is the deepest nesting of a body that is read.
const MaxDepth = 32

// Unknown says what becomes of members that the target does not name.
type Unknown int

// The two styles of validation.
const (
	Refuse Unknown = iota
	Ignore
)

// JSON decodes one JSON object into dst, a pointer to a struct with json tags. Member
// names are compared exactly: encoding/json alone would take USER_CODE for user_code.
// It returns ErrInvalidJSON for what is no acceptable JSON, and *Problems for a wrong
// type or, under Refuse, an unknown member. A null leaves a pointer nil.
func JSON(body []byte, dst any, unknown Unknown) error {
	if !utf8.Valid(body) {
		return ErrInvalidJSON
	}
	dec := stdjson.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := walk(dec, 1); err != nil {
		return ErrInvalidJSON
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return ErrInvalidJSON
	}
	members := map[string]stdjson.RawMessage{}
	if err := stdjson.Unmarshal(body, &members); err != nil || members == nil {
		return ErrInvalidJSON // valid JSON, but no object
	}
	return fill(members, dst, unknown)
}

// walk reads one value and refuses duplicate members and depth at every level.
func walk(dec *stdjson.Decoder, depth int) error {
	if depth > MaxDepth+1 {
		return ErrInvalidJSON
	}
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

// fill decodes each member that the struct names, by its exact name.
func fill(members map[string]stdjson.RawMessage, dst any, unknown Unknown) error {
	v := reflect.ValueOf(dst).Elem()
	var problems Problems
	known := map[string]bool{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		raw, present := members[name]
		known[name] = true
		if !present {
			continue
		}
		dec := stdjson.NewDecoder(bytes.NewReader(raw))
		if err := dec.Decode(v.Field(i).Addr().Interface()); err != nil {
			problems.Add("type_error", "has the wrong type", name)
		}
	}
	if unknown == Refuse {
		for name := range members {
			if !known[name] {
				problems.Add("extra_forbidden", "is not a member that this address takes", printable(name))
			}
		}
	}
	if problems.Empty() {
		return nil
	}
	return &problems
}

// printable bounds a foreign member name before it is shown.
func printable(name string) string {
	if len(name) > 64 {
		return "…"
	}
	return name
}
