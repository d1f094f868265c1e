// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// This file reads answers as the released difyctl 0.1.0-rc.1 does, and is stricter where
// it merely gets away with something. What crashes it is a failure here.

// dcVerdict is how the client ends after one answer.
type dcVerdict struct {
	exit int
	code string // its own word for the failure; empty for success
	// said is the server's code, which heads the printed line. It is empty when the client
	// has discarded the body, and shows "request failed (HTTP 400)" in its place.
	said string
	// crash is what makes the client stop with a stack trace; no answer of ours may.
	crash string
	body  any // of a success; nil for an empty one
}

// dcRead is the client's way with an answer outside the two device endpoints.
func dcRead(method string, a apitest.Answer) dcVerdict {
	switch {
	case a.Status/100 == 3:
		return dcVerdict{exit: 1, crash: "a redirect is followed and its body taken for the answer"}
	case a.Status/100 != 2:
		return dcRefusal(a)
	}
	kind := a.Header.Get("Content-Type")
	switch {
	case a.Header.Get("Content-Disposition") != "":
		return dcVerdict{exit: 1, crash: "a Content-Disposition"}
	case kind != "" && !strings.HasPrefix(kind, "application/json"):
		return dcVerdict{exit: 1, crash: "content type " + kind}
	case a.Body == "" && method == http.MethodDelete:
		return dcVerdict{}
	case a.Body == "":
		return dcVerdict{exit: 1, crash: "an empty body"}
	}
	var body any
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		return dcVerdict{exit: 1, code: "invalid_json"}
	}
	if path := dcNull(body, ""); path != "" {
		return dcVerdict{exit: 1, crash: path + " is null where a list stands"}
	}
	return dcVerdict{body: body}
}

// dcLists are the members that the client loops over.
var dcLists = []string{"data", "workspaces", "leaked_dependencies", "user_actions"}

func dcNull(v any, at string) string {
	object, _ := v.(map[string]any)
	for _, name := range dcLists {
		if value, there := object[name]; there && value == nil {
			return at + name
		}
	}
	return ""
}

// dcRefusal sorts by status alone, and takes the text from a body that fits to the letter.
func dcRefusal(a apitest.Answer) dcVerdict {
	v := dcVerdict{exit: 1, code: "server_4xx_other"}
	switch {
	case a.Status == http.StatusUnauthorized:
		v.exit, v.code = 4, "auth_expired"
	case a.Status == http.StatusTooManyRequests:
		v.exit, v.code = 7, "rate_limited"
	case a.Status >= 500:
		v.code = "server_5xx"
	}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(a.Body), &members) != nil {
		return v
	}
	code, ok1 := dcText(members["code"])
	_, ok2 := dcText(members["message"])
	_, hint := dcText(members["hint"])
	if ok1 && ok2 && dcInteger.Match(members["status"]) && (hint || dcAbsent(members["hint"])) && (dcAbsent(members["details"]) || dcDetails(members["details"])) {
		v.said = code
	}
	return v
}

var dcInteger = regexp.MustCompile(`^-?[0-9]+$`)

func dcAbsent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func dcText(raw json.RawMessage) (s string, ok bool) {
	return s, len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
}

func dcDetails(raw json.RawMessage) bool {
	var items []map[string]json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return false
	}
	for _, item := range items {
		_, kind := dcText(item["type"])
		_, msg := dcText(item["msg"])
		if !kind || !msg {
			return false
		}
		var loc []json.RawMessage
		if len(item["loc"]) > 0 && json.Unmarshal(item["loc"], &loc) != nil {
			return false
		}
		for _, l := range loc {
			if _, text := dcText(l); !text && !dcInteger.Match(l) {
				return false
			}
		}
	}
	return true
}

// dcShape is what the client reads of an object, by member; others pass through unread.
type dcShape map[string]dcKind

// dcKind says what is wrong with a member, nothing for one that fits.
type dcKind func(v any, there bool) string

func dcSays(ok bool, want string, v any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf("is %v and not %s", v, want)
}

// text, integer, flag and anything are members that must be there.
func dcString(v any, _ bool) string {
	_, ok := v.(string)
	return dcSays(ok, "a string", v)
}

func dcFilled(v any, _ bool) string {
	s, _ := v.(string)
	return dcSays(s != "", "a string with something in it", v)
}

func dcInt(v any, _ bool) string {
	n, ok := v.(float64)
	return dcSays(ok && n == math.Trunc(n), "an integer", v)
}

func dcBool(v any, _ bool) string {
	_, ok := v.(bool)
	return dcSays(ok, "true or false", v)
}

// matching is a string of one form.
func dcMatching(re *regexp.Regexp) dcKind {
	return func(v any, _ bool) string {
		s, _ := v.(string)
		return dcSays(re.MatchString(s), "of the form "+re.String(), v)
	}
}

// one is a string out of few.
func dcOneOf(of ...string) dcKind {
	return func(v any, _ bool) string {
		s, _ := v.(string)
		return dcSays(slices.Contains(of, s), "one of "+strings.Join(of, ", "), v)
	}
}

// maybe may be null or absent; never is not null, but may be absent.
func dcMaybe(k dcKind) dcKind {
	return func(v any, there bool) string {
		if !there || v == nil {
			return ""
		}
		return k(v, true)
	}
}

func dcNeverNull(k dcKind) dcKind {
	return func(v any, there bool) string {
		if !there {
			return ""
		}
		return k(v, true)
	}
}

func dcList(of dcShape) dcKind {
	return func(v any, _ bool) string {
		items, ok := v.([]any)
		if !ok {
			return dcSays(false, "a list", v)
		}
		for i, item := range items {
			if wrong := of.wrong(item); wrong != "" {
				return fmt.Sprintf("[%d]%s", i, wrong)
			}
		}
		return ""
	}
}

func dcObject(of dcShape) dcKind {
	return func(v any, _ bool) string { return of.wrong(v) }
}

// wrong names the first member that does not fit.
func (s dcShape) wrong(v any) string {
	o, ok := v.(map[string]any)
	if !ok {
		return dcSays(false, "an object", v)
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		value, there := o[name]
		if wrong := s[name](value, there); wrong != "" {
			return "." + name + " " + wrong
		}
	}
	return ""
}

// page is a page of rows.
func dcPage(of dcShape) dcShape {
	return dcShape{"page": dcInt, "limit": dcInt, "total": dcInt, "has_more": dcBool, "data": dcList(of)}
}

// dcWant reads an answer that must be a success of this shape, and gives it.
func dcWant(t testing.TB, method string, a apitest.Answer, shape dcShape) map[string]any {
	t.Helper()
	v := dcRead(method, a)
	if v.crash != "" || v.exit != 0 {
		t.Fatalf("%d %s: %+v", a.Status, a.Body, v)
	}
	if wrong := shape.wrong(v.body); wrong != "" {
		t.Fatalf("%s: %s", wrong, a.Body)
	}
	return v.body.(map[string]any)
}

// dcRefused reads an answer on which the client must exit so, with our code on its line.
func dcRefused(t testing.TB, method string, a apitest.Answer, exit int, own, said string) {
	t.Helper()
	v := dcRead(method, a)
	if v.crash != "" || v.exit != exit || v.code != own || v.said != said {
		t.Fatalf("%d %s ends as %+v and not with %d %s %s", a.Status, a.Body, v, exit, own, said)
	}
}
