// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/url"
	"sort"
	"strings"
	"unicode/utf8"
)

// maxParameters bounds a form or query.
const maxParameters = 100

// Values are the parameters of a form or query, each of which may occur once
// (RFC 6749 section 3.1).
type Values struct{ byName map[string]string }

// Form decodes application/x-www-form-urlencoded. A malformed escape, invalid UTF-8
// or a repeated parameter is a *Problems.
func Form(body []byte) (Values, error) { return parse(string(body)) }

// Query decodes the raw query of an address, as Form does.
func Query(raw string) (Values, error) { return parse(raw) }

// Get gives a parameter and whether it was there.
func (v Values) Get(name string) (string, bool) {
	s, ok := v.byName[name]
	return s, ok
}

// Names lists the parameters in order.
func (v Values) Names() []string {
	names := make([]string, 0, len(v.byName))
	for n := range v.byName {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func parse(raw string) (Values, error) {
	v := Values{byName: map[string]string{}}
	var problems Problems
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(key)
		text, err2 := url.QueryUnescape(value)
		switch {
		case err1 != nil || !utf8.ValidString(name):
			problems.Add("malformed", "a parameter's name is not properly encoded")
			continue
		case err2 != nil || !utf8.ValidString(text):
			problems.Add("malformed", "is not properly encoded", printable(name))
			continue
		}
		if _, twice := v.byName[name]; twice {
			problems.Add("repeated", "may occur once", printable(name))
			continue
		}
		if len(v.byName) == maxParameters {
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

// MediaType gives the lower-cased media type of a Content-Type. A charset other than
// UTF-8, or any other parameter, makes it unacceptable.
func MediaType(header string) (string, bool) {
	media, params, has := strings.Cut(header, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if !has {
		return media, media != ""
	}
	name, value, _ := strings.Cut(strings.TrimSpace(params), "=")
	ok := strings.EqualFold(strings.TrimSpace(name), "charset") && strings.EqualFold(strings.Trim(strings.TrimSpace(value), `"`), "utf-8")
	return media, ok && media != ""
}
