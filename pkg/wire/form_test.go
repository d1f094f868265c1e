// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/wire"
)

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&p%d=1", i)
	}
	return b.String()
}

func all(v wire.Values) map[string][]string {
	out := map[string][]string{}
	for _, n := range v.Names() {
		s, ok := v.Get(n)
		if ok {
			out[n] = []string{s}
		}
	}
	return out
}

func TestForm(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       map[string][]string
		problems   []string
	}{
		{name: "plain", body: "a=1&b=x+y%26", want: map[string][]string{"a": {"1"}, "b": {"x y&"}}},
		{name: "an empty value is there", body: "a=&b", want: map[string][]string{"a": {""}, "b": {""}}},
		{name: "nothing", body: "", want: map[string][]string{}},
		{name: "empty pairs", body: "&&a=1&", want: map[string][]string{"a": {"1"}}},
		{name: "another case is another parameter", body: "A=1&a=2", want: map[string][]string{"A": {"1"}, "a": {"2"}}},
		{name: "an equals sign belongs to the value", body: "a==1=", want: map[string][]string{"a": {"=1="}}},
		{name: "a raw semicolon may be a separator to others", body: "a=1;b=2", problems: []string{"malformed [a]"}},
		{name: "an escaped semicolon", body: "a=1%3Bb", want: map[string][]string{"a": {"1;b"}}},
		{name: "repeated", body: "a=1&a=1", problems: []string{"repeated [a]"}},
		{name: "repeated by escape", body: "a=1&%61=2", problems: []string{"repeated [a]"}},
		{name: "repeated often is one problem", body: "a=1&a=2&a=3&b&b", problems: []string{"repeated [a]", "repeated [b]"}},
		{name: "malformed escape", body: "a=%zz&b=%2", problems: []string{"malformed [a]", "malformed [b]"}},
		{name: "bad UTF-8", body: "a=%ff", problems: []string{"malformed [a]"}},
		{name: "bad name", body: "%ff=a", problems: []string{"malformed []"}},
		{name: "a hundred", body: many(100)[1:], want: func() map[string][]string { v, _ := url.ParseQuery(many(100)[1:]); return v }()},
		{name: "a hundred and one", body: many(101), problems: []string{"too_many []"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, parse := range []func() (wire.Values, error){
				func() (wire.Values, error) { return wire.Form([]byte(tc.body)) },
				func() (wire.Values, error) { return wire.Query(tc.body) },
			} {
				v, err := parse()
				if diff := cmp.Diff(tc.problems, details(t, err)); diff != "" {
					t.Fatal(diff)
				}
				if err != nil {
					if len(v.Names()) != 0 {
						t.Fatal("a refused form has values")
					}
					continue
				}
				if diff := cmp.Diff(tc.want, all(v)); diff != "" {
					t.Fatal(diff)
				}
				if !slices.IsSorted(v.Names()) {
					t.Fatal("names are not in order")
				}
			}
		})
	}
	if _, ok := (wire.Values{}).Get("a"); ok {
		t.Error("the zero value holds a parameter")
	}
}

func TestMediaType(t *testing.T) {
	for _, tc := range []struct {
		header, media string
		ok            bool
	}{
		{"application/json", "application/json", true},
		{"Application/JSON; charset=UTF-8", "application/json", true},
		{`application/json;charset="utf-8"`, "application/json", true},
		{"application/x-www-form-urlencoded; charset=utf-8", "application/x-www-form-urlencoded", true},
		{"application/json; charset=utf-16", "application/json", false},
		{"application/json; charset=utf-8; charset=utf-16", "", false},
		{"application/json; charset", "application/json", false},
		{"application/json; version=utf-8", "application/json", false},
		{"application/json; boundary=x", "application/json", false},
		{"application/json; charset=utf-8; x=y", "application/json", false},
		{"multipart/form-data; boundary=x", "multipart/form-data", false},
		{"application/json, text/plain", "", false},
		{"text/plain application/json", "", false},
		{"", "", false},
		{";", "", false},
	} {
		if media, ok := wire.MediaType(tc.header); media != tc.media || ok != tc.ok {
			t.Errorf("%q: %q, %v", tc.header, media, ok)
		}
	}
}

// FuzzForm: taken is exactly what the standard parser reads as UTF-8, each parameter
// once and no more than a hundred; it reads the same, and again after it was written
// out. What is refused is refused with a bounded list that repeats no value.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=1&b=2", "a=1&a=2", "%61=b", "a=%ff", "&&=", "a+b=c", "a=1;b=2", "a=%3B", "=", "a==b", many(101), "a=%zz", "%=%&a=1&a=1"} {
		f.Add([]byte(seed))
	}
	const canary = "dfoa_canary"
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := wire.Form(in)
		std, stdErr := url.ParseQuery(string(in))
		fit := stdErr == nil && len(std) <= wire.MaxParameters
		for name, values := range std {
			fit = fit && len(values) == 1 && utf8.ValidString(name) && utf8.ValidString(values[0])
		}
		if taken := err == nil; taken != fit {
			t.Fatalf("%q: taken %t, and the standard parser gives %v, %v", in, taken, std, stdErr)
		}
		if err == nil {
			if !reflect.DeepEqual(map[string][]string(std), all(v)) { // cmp draws lots, which the fuzzer takes for new paths
				t.Fatalf("%q: %v, and %v by the standard parser", in, all(v), std)
			}
			again, err := wire.Form([]byte(std.Encode()))
			if err != nil || !reflect.DeepEqual(all(v), all(again)) {
				t.Fatalf("%q written out reads otherwise: %v %v", in, err, all(again))
			}
		}
		if bytes.Contains(in, []byte("canary")) {
			return
		}
		_, err = wire.Form(append(bytes.Clone(in), "&token="+canary+"&token="+canary...))
		if said := fmt.Sprintf("%v %+v", err, details(t, err)); err == nil || len(details(t, err)) > wire.MaxProblems || strings.Contains(said, canary) {
			t.Fatalf("%q is refused with %s", in, said)
		}
	})
}
