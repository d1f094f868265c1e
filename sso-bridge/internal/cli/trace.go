// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// What a person read of an attempt already, in its first lines.
var inHeading = map[string]bool{"reference": true, "state": true, "code": true, "public_code": true, "cause": true, "mend": true}

// traceText writes an attempt down, a line for each field that it has and two columns, in
// the order of the fields. The names are those of -o json.
func traceText(r operator.Report) (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil { // the brace
		return "", err
	}
	var b strings.Builder
	for dec.More() {
		var value json.RawMessage
		name, err := dec.Token()
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil {
			return "", err
		}
		if name := fmt.Sprint(name); !inHeading[name] {
			fmt.Fprintf(&b, "%-24s%s\n", name, printable(plain(name, value, r)))
		}
	}
	return b.String(), nil
}

// plain is a value as people read it.
func plain(name string, value json.RawMessage, r operator.Report) string {
	switch name {
	case "steps":
		steps := make([]string, len(r.Steps))
		for i, s := range r.Steps {
			steps[i] = fmt.Sprintf("%s %g ms", s.Name, s.Milliseconds)
			if !s.OK {
				steps[i] += ", failed"
			}
		}
		return strings.Join(steps, "; ")
	case "browser":
		return strings.TrimSpace(r.Browser.Family + " " + r.Browser.Major)
	case "last_good":
		if len(r.LastGood.Diff) == 0 {
			return r.LastGood.Reference + ", nothing is different"
		}
		return r.LastGood.Reference + ", since then: " + strings.Join(r.LastGood.Diff, "; ")
	}
	var one string
	if json.Unmarshal(value, &one) == nil {
		return one
	}
	var many []any
	if json.Unmarshal(value, &many) == nil {
		texts := make([]string, len(many))
		for i, v := range many {
			texts[i] = fmt.Sprint(v)
		}
		return strings.Join(texts, ", ")
	}
	return string(value)
}

// printable keeps what a provider has sent from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
