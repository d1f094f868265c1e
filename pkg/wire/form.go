// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"maps"
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxParameters is the most that a form or query may hold.
const MaxParameters = 100

// Values are the parameters of a form or query, each of which may occur once
// (RFC 6749 section 3.1). The zero value holds none.
type Values struct{ byName map[string]string }

// Form decodes application/x-www-form-urlencoded. It returns *Problems for a repeated
// parameter (repeated), a malformed escape, invalid UTF-8 or a semicolon that is not
// escaped, which some readers take for a separator (malformed), and for more than
// MaxParameters (too_many).
func Form(body []byte) (Values, error) { return parse(string(body)) }

// Query decodes the raw query of an address, as Form does.
func Query(raw string) (Values, error) { return parse(raw) }

// Get gives a parameter and whether it was there.
func (v Values) Get(name string) (string, bool) {
	s, ok := v.byName[name]
	return s, ok
}

// Names lists the parameters in alphabetical order.
func (v Values) Names() []string {
	return slices.Sorted(maps.Keys(v.byName))
}

func parse(raw string) (Values, error) {
	v := Values{byName: map[string]string{}}
	var problems Problems
	repeated := map[string]bool{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		name, ok := unescape(key)
		if !ok {
			problems.Add("malformed", "a parameter's name is not properly encoded")
			continue
		}
		text, ok := unescape(value)
		if !ok {
			problems.Add("malformed", "is not properly encoded", printable(name))
			continue
		}
		if _, twice := v.byName[name]; twice {
			if !repeated[name] {
				problems.Add("repeated", "may occur once", printable(name))
			}
			repeated[name] = true
			continue
		}
		if len(v.byName) == MaxParameters {
			problems.Add("too_many", "too many parameters")
			break
		}
		v.byName[name] = text
	}
	if !problems.Empty() {
		return Values{}, &problems
	}
	return v, nil
}

func unescape(s string) (string, bool) {
	text, err := url.QueryUnescape(s)
	return text, err == nil && utf8.ValidString(text) && !strings.Contains(s, ";")
}

// MediaType gives the lower-cased media type of a Content-Type without parameters, and
// whether it may be read: the one parameter that is taken is charset=utf-8, for bytes
// of another charset would be read as something else.
func MediaType(header string) (string, bool) {
	media, params, err := mime.ParseMediaType(header)
	if err != nil || media == "" {
		return media, false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return media, false
		}
	}
	return media, true
}
