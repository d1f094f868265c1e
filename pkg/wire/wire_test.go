// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	stdjson "encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type target struct {
	UserCode *string  `json:"user_code"`
	Remember bool     `json:"remember_me"`
	N        int      `json:"n"`
	List     []string `json:"list"`
}

func text(s string) *string { return &s }

func TestJSON(t *testing.T) {
	deep := func(n int) string { return `{"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}" }
	for _, tc := range []struct {
		name, body string
		unknown    wire.Unknown
		want       target
		invalid    bool   // ErrInvalidJSON
		problem    string // type of the one problem
	}{
		{name: "every member", body: ` {"user_code":"A","remember_me":true,"n":3,"list":["x"]} `, want: target{text("A"), true, 3, []string{"x"}}},
		{name: "an absent member stays nil", body: `{}`},
		{name: "null leaves a pointer nil", body: `{"user_code":null}`},
		{name: "unknown member ignored", body: `{"x":1}`, unknown: wire.Ignore},
		{name: "API-1 unknown member refused", body: `{"x":1}`, unknown: wire.Refuse, problem: "extra_forbidden"},
		{name: "M-20 HTTP-09 duplicate member", body: `{"user_code":"A","user_code":"B"}`, invalid: true},
		{name: "M-20 HTTP-09 duplicate member by escape", body: `{"user_code":"A","user_c\u006fde":"B"}`, invalid: true},
		{name: "M-20 HTTP-09 duplicate member further down", body: `{"x":[{"a":1,"a":2}]}`, unknown: wire.Ignore, invalid: true},
		{name: "M-20 HTTP-09 trailing data", body: `{} {}`, invalid: true},
		{name: "M-20 HTTP-09 depth 32", body: deep(32), unknown: wire.Ignore},
		{name: "M-20 HTTP-09 depth 33", body: deep(33), unknown: wire.Ignore, invalid: true},
		{name: "M-20 HTTP-09 invalid UTF-8", body: "{\"user_code\":\"\xff\"}", invalid: true},
		{name: "M-20 HTTP-09 another case is another member", body: `{"USER_CODE":"A"}`, unknown: wire.Ignore},
		{name: "M-20 HTTP-09 a long s is no s", body: `{"uſer_code":"A"}`, unknown: wire.Ignore},
		{name: "no object", body: `[]`, invalid: true},
		{name: "null", body: `null`, invalid: true},
		{name: "empty", body: ``, invalid: true},
		{name: "cut off", body: `{"user_code":`, invalid: true},
		{name: "wrong type", body: `{"user_code":1}`, problem: "type_error"},
		{name: "a fraction is no int", body: `{"n":1.5}`, problem: "type_error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got target
			err := wire.JSON([]byte(tc.body), &got, tc.unknown)
			if errors.Is(err, wire.ErrInvalidJSON) != tc.invalid {
				t.Fatalf("got %v", err)
			}
			if p, ok := errors.AsType[*wire.Problems](err); ok != (tc.problem != "") {
				t.Fatalf("got %v", err)
			} else if ok {
				details := fault.Of(p.Fault(fault.ErrInternal)).Details()
				if len(details) != 1 || details[0].Type != tc.problem || strings.Contains(p.Error(), `"A"`) {
					t.Fatalf("got %+v", details)
				}
				return
			}
			if err == nil {
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}

func TestForm(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       map[string]string
		problem    string
	}{
		{"plain", "a=1&b=x+y%26", map[string]string{"a": "1", "b": "x y&"}, ""},
		{"empty value is there", "a=&b", map[string]string{"a": "", "b": ""}, ""},
		{"repeated", "a=1&a=1", nil, "repeated"},
		{"repeated by escape", "a=1&%61=2", nil, "repeated"},
		{"bad escape", "a=%zz", nil, "malformed"},
		{"bad UTF-8", "a=%ff", nil, "malformed"},
		{"bad name", "%ff=a", nil, "malformed"},
		{"too many", strings.Repeat("x", 1) + many(101), nil, "too_many"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := wire.Form([]byte(tc.body))
			if p, ok := errors.AsType[*wire.Problems](err); ok != (tc.problem != "") {
				t.Fatalf("got %v", err)
			} else if ok {
				if d := fault.Of(p.Fault(fault.ErrInternal)).Details(); d[0].Type != tc.problem {
					t.Fatalf("got %+v", d)
				}
				return
			}
			got := map[string]string{}
			for _, n := range v.Names() {
				got[n], _ = v.Get(n)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&p" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + "=1")
	}
	return b.String()
}

func TestMediaType(t *testing.T) {
	for in, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=UTF-8": true, `application/json;charset="utf-8"`: true,
		"application/json; charset=utf-16": false, "application/json; boundary=x": false, "": false, "application/json; charset=utf-8; x=y": false,
	} {
		if media, ok := wire.MediaType(in); ok != want || ok && media != "application/json" {
			t.Errorf("%q: %q, %v", in, media, ok)
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"user_code":"A"}`, `{"n":1,"list":[]}`, `{"a":{"a":1}}`, `{"a":1,"a":2}`, "{}x", "\xff", `{"USER_CODE":"x","user_code":"y"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var ours target
		if wire.JSON(in, &ours, wire.Refuse) != nil {
			return
		}
		var std target
		if err := stdjson.Unmarshal(in, &std); err != nil {
			t.Fatalf("accepted what the standard decoder refuses: %v", err)
		}
		if diff := cmp.Diff(std, ours); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=1&b=2", "a=1&a=2", "%61=b", "a=%ff", "&&=", "a+b=c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := wire.Form(in)
		if err != nil {
			return
		}
		std, stdErr := url.ParseQuery(string(in))
		for _, n := range v.Names() {
			got, _ := v.Get(n)
			if stdErr == nil && (len(std[n]) != 1 || std[n][0] != got) {
				t.Fatalf("%q: ours %q, standard %q", n, got, std[n])
			}
		}
	})
}
