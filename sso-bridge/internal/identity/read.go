// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"encoding/json"
	"strings"
)

// ReadText gives a claim that is a JSON text; false for one of any other type.
func ReadText(raw json.RawMessage) (string, bool) {
	var s *string
	if json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// ReadStated gives what a claim such as email_verified says. Only the boolean true says
// that an address is verified; the text does with asText, the option
// email_verified_strings. Whatever means false denies: nobody who writes it means that
// the address may be believed. Anything else says nothing.
func ReadStated(raw json.RawMessage, asText bool) Stated {
	word := string(bytes.TrimSpace(raw))
	switch strings.ToLower(strings.Trim(word, `"`)) {
	case "true":
		if word == "true" || asText && word == `"true"` {
			return StatedTrue
		}
	case "false", "0":
		return StatedFalse
	}
	return Unstated
}

// ReadEmails gives the values of an e-mail claim: a text is one, a list as many as it
// has. What is neither comes back as its JSON, which is no address, so that it is
// refused as malformed and not as absent. Null and an empty list are absent.
func ReadEmails(raw json.RawMessage) []string {
	if absent(raw) {
		return nil
	}
	if one, ok := ReadText(raw); ok {
		return []string{one}
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	return []string{string(raw)}
}

// ReadTexts gives the values of a claim that is one text or a list of texts, such as
// groups. It reports false for a claim that is absent or of any other form, a nested list
// included: nobody knows what that would grant.
func ReadTexts(raw json.RawMessage) ([]string, bool) {
	if absent(raw) {
		return nil, false
	}
	if one, ok := ReadText(raw); ok {
		return []string{one}, true
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	texts := make([]string, len(items))
	for i, item := range items {
		text, ok := ReadText(item)
		if !ok {
			return nil, false
		}
		texts[i] = text
	}
	return texts, true
}

func absent(raw json.RawMessage) bool {
	trimmed := bytes.TrimSpace(raw)
	return len(trimmed) == 0 || string(trimmed) == "null"
}
