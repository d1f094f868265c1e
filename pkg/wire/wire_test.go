// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type target struct {
	UserCode *string         `json:"user_code"`
	Remember bool            `json:"remember_me"`
	N        int             `json:"n"`
	List     []string        `json:"list"`
	Inputs   map[string]any  `json:"inputs"`
	At       *time.Time      `json:"at"`
	Raw      json.RawMessage `json:"raw"`
	Bytes    []byte          `json:"bytes"`
	Member   struct {
		Role string `json:"role"`
	} `json:"member"`
	Members []*named         `json:"members"`
	ByName  map[string]named `json:"by_name"`

	Untagged string
	Dashed   string `json:"-"`
}

type named struct {
	Name string `json:"name"`
}

func text(s string) *string { return &s }

// details gives what a refusal lists, as "type path".
func details(t *testing.T, err error) []string {
	t.Helper()
	p, ok := errors.AsType[*wire.Problems](err)
	if !ok {
		return nil
	}
	var out []string
	for _, d := range fault.Of(p.Fault(fault.ErrInternal)).Details() {
		if d.Msg == "" || d.Loc == nil {
			t.Errorf("a detail without sentence or path: %+v", d)
		}
		out = append(out, fmt.Sprintf("%s %v", d.Type, d.Loc))
	}
	return out
}

func TestJSON(t *testing.T) {
	deep := func(n int) string { return `{"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}" }
	deepObjects := func(n int) string { return strings.Repeat(`{"x":`, n) + "1" + strings.Repeat("}", n) }
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		name, body string
		unknown    wire.Unknown
		want       target
		invalid    bool     // ErrInvalidJSON
		problems   []string // what is refused, in order
	}{
		{name: "every member", body: ` {"user_code":"A","remember_me":true,"n":3,"list":["x"],"inputs":{"a":[1]},"at":"2026-01-02T03:04:05Z","raw":{"b":1},"bytes":"AQ==",` +
			`"member":{"role":"owner"},"members":[{"name":"b"},null],"by_name":{"k":{"name":"c"}}} `,
			want: target{UserCode: text("A"), Remember: true, N: 3, List: []string{"x"}, Inputs: map[string]any{"a": []any{1.0}}, At: &at, Raw: json.RawMessage(`{"b":1}`), Bytes: []byte{1},
				Member: struct {
					Role string `json:"role"`
				}{"owner"}, Members: []*named{{"b"}, nil}, ByName: map[string]named{"k": {"c"}}}},
		{name: "an absent member stays nil", body: `{}`},
		{name: "null leaves what can be nil nil", body: `{"user_code":null,"list":null,"inputs":null,"at":null,"raw":null,"members":null}`},
		{name: "null is the wrong type of what cannot be nil", body: `{"n":null,"remember_me":null,"member":{"role":null},"list":["a",null]}`,
			problems: []string{"type_error [remember_me]", "type_error [n]", "type_error [list 1]", "type_error [member role]"}},
		{name: "unknown member ignored", body: `{"x":1,"member":{"x":1}}`, unknown: wire.Ignore},
		{name: "unknown members refused at every level, in order", body: `{"y":1,"x":1,"member":{"z":1},"members":[{"q":1}],"by_name":{"k":{"r":2}}}`,
			problems: []string{"extra_forbidden [member z]", "extra_forbidden [members 0 q]", "extra_forbidden [by_name k r]", "extra_forbidden [x]", "extra_forbidden [y]"}},
		{name: "a field without a tag is no member", body: `{"":"a","-":"b","Untagged":"c","Dashed":"d"}`,
			problems: []string{"extra_forbidden []", "extra_forbidden [-]", "extra_forbidden [Dashed]", "extra_forbidden [Untagged]"}},
		{name: "a name that cannot be shown is not shown", body: `{"a\nb":1,"` + strings.Repeat("l", 65) + `":1}`, problems: []string{"extra_forbidden […]", "extra_forbidden […]"}},

		{name: "M-20 HTTP-09 duplicate member", body: `{"user_code":"A","user_code":"B"}`, invalid: true},
		{name: "M-20 HTTP-09 duplicate member of the same value", body: `{"x":1,"x":1}`, unknown: wire.Ignore, invalid: true},
		{name: "M-20 HTTP-09 duplicate member by escape", body: `{"user_code":"A","user_c\u006fde":"B"}`, invalid: true},
		{name: "M-20 HTTP-09 duplicate member further down", body: `{"x":[{"a":1,"a":2}]}`, unknown: wire.Ignore, invalid: true},
		{name: "M-20 HTTP-09 the same name in two objects is no duplicate", body: `{"x":{"a":1},"a":{"a":2}}`, unknown: wire.Ignore},
		{name: "M-20 HTTP-09 trailing object", body: `{} {}`, invalid: true},
		{name: "M-20 HTTP-09 trailing bracket", body: `{}}`, invalid: true},
		{name: "M-20 HTTP-09 trailing NUL", body: "{}\x00", invalid: true},
		{name: "M-20 HTTP-09 depth 32 of lists", body: deep(32), unknown: wire.Ignore},
		{name: "M-20 HTTP-09 depth 33 of lists", body: deep(33), unknown: wire.Ignore, invalid: true},
		{name: "M-20 HTTP-09 depth 32 of objects", body: deepObjects(32), unknown: wire.Ignore},
		{name: "M-20 HTTP-09 depth 33 of objects", body: deepObjects(33), unknown: wire.Ignore, invalid: true},
		{name: "M-20 HTTP-09 depth without end", body: strings.Repeat(`{"x":`, 50_000), unknown: wire.Ignore, invalid: true},
		{name: "M-20 HTTP-09 bad UTF-8 in a value", body: "{\"user_code\":\"\xff\"}", invalid: true},
		{name: "M-20 HTTP-09 bad UTF-8 in a name", body: "{\"\xc0\xaf\":1}", unknown: wire.Ignore, invalid: true},
		{name: "M-20 HTTP-09 half a surrogate pair", body: `{"user_code":"\ud83d"}`, invalid: true},
		{name: "M-20 HTTP-09 the second half alone", body: `{"user_code":"\uDE00"}`, invalid: true},
		{name: "M-20 HTTP-09 two first halves", body: `{"user_code":"\ud83d\ud83d"}`, invalid: true},
		{name: "M-20 HTTP-09 a whole pair", body: `{"user_code":"\uD83D\uDe00"}`, want: target{UserCode: text("😀")}},
		{name: "M-20 HTTP-09 a backslash before ud83d is no pair", body: `{"user_code":"\\ud83d"}`, want: target{UserCode: text(`\ud83d`)}},
		{name: "M-20 HTTP-09 a first half before text like a second", body: `{"user_code":"\ud83dxuDE00"}`, invalid: true},
		{name: "M-20 HTTP-09 no backslash before ud83d is no escape", body: `{"user_code":"ud83d"}`, want: target{UserCode: text("ud83d")}},
		{name: "M-20 HTTP-09 nor one character further", body: `{"user_code":"xud83d"}`, want: target{UserCode: text("xud83d")}},
		{name: "M-20 HTTP-09 another case is another member", body: `{"USER_CODE":"A","member":{"ROLE":"owner"},"members":[{"Name":"x"}],"by_name":{"k":{"NAME":"y"}}}`,
			unknown: wire.Ignore, want: target{Members: []*named{{}}, ByName: map[string]named{"k": {}}}},
		{name: "M-20 HTTP-09 a long s is no s", body: `{"uſer_code":"A"}`, unknown: wire.Ignore},

		{name: "a list", body: `[]`, invalid: true},
		{name: "null", body: `null`, invalid: true},
		{name: "a text", body: `"a"`, invalid: true},
		{name: "empty", body: ``, invalid: true},
		{name: "white space", body: " \n", invalid: true},
		{name: "byte order mark", body: "\ufeff{}", invalid: true},
		{name: "cut off", body: `{"user_code":`, invalid: true},
		{name: "no comma", body: `{"a":1 "b":2}`, unknown: wire.Ignore, invalid: true},
		{name: "trailing comma", body: `{"a":1,}`, unknown: wire.Ignore, invalid: true},
		{name: "comment", body: `{/**/}`, invalid: true},
		{name: "NaN", body: `{"n":NaN}`, invalid: true},

		{name: "wrong types of every kind", body: `{"user_code":1,"remember_me":"true","n":"1","list":{},"inputs":[],"at":"noon","member":1,"members":{},"by_name":1}`,
			problems: []string{"type_error [user_code]", "type_error [remember_me]", "type_error [n]", "type_error [list]", "type_error [inputs]", "type_error [at]",
				"type_error [member]", "type_error [members]", "type_error [by_name]"}},
		{name: "a fraction is no int", body: `{"n":1.5}`, problems: []string{"type_error [n]"}},
		{name: "1.0 is no int", body: `{"n":1.0}`, problems: []string{"type_error [n]"}},
		{name: "an int that does not fit", body: `{"n":99999999999999999999}`, problems: []string{"type_error [n]"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got target
			err := wire.JSON([]byte(tc.body), &got, tc.unknown)
			if errors.Is(err, wire.ErrInvalidJSON) != tc.invalid {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(tc.problems, details(t, err)); diff != "" {
				t.Fatal(diff)
			}
			if tc.invalid || tc.problems != nil {
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Fatalf("%v %s", err, diff)
			}
		})
	}
}

func TestRefusalsCarryNoValue(t *testing.T) {
	const canary = "dfoa_canary"
	_, formErr := wire.Form([]byte("token=" + canary + "%zz&a=" + canary + "&a=" + canary))
	for name, err := range map[string]error{
		"wrong type": wire.JSON([]byte(`{"n":"`+canary+`","x":"`+canary+`"}`), &target{}, wire.Refuse),
		"malformed":  wire.JSON([]byte(`{"n":"`+canary), &target{}, wire.Refuse),
		"form":       formErr,
	} {
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, details(t, err)), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswersStaySmall(t *testing.T) {
	var body strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&body, `,"x%d":1`, i)
	}
	err := wire.JSON([]byte("{"+body.String()[1:]+"}"), &target{}, wire.Refuse)
	if n := len(details(t, err)); n != wire.MaxProblems {
		t.Errorf("JSON lists %d problems", n)
	}
	_, err = wire.Form([]byte(strings.Repeat("a&", 30_000)))
	if diff := cmp.Diff([]string{"repeated [a]"}, details(t, err)); diff != "" {
		t.Error(diff)
	}
}

func TestProblems(t *testing.T) {
	var p wire.Problems
	if !p.Empty() || p.Fault(fault.ErrInternal) != nil {
		t.Fatal("an empty list is a failure")
	}
	p.Add("too_long", "is too long", "filter", 2)
	p.Add("malformed", "cannot be read")
	err := p.Fault(wire.ErrInvalidJSON)
	if p.Empty() || !errors.Is(err, wire.ErrInvalidJSON) {
		t.Fatalf("got %v", err)
	}
	got, _ := json.Marshal(fault.Of(err).Details())
	if want := `[{"type":"too_long","loc":["filter",2],"msg":"is too long"},{"type":"malformed","loc":[],"msg":"cannot be read"}]`; string(got) != want {
		t.Fatalf("got %s", got)
	}
	if want := "wire: [filter 2]: too_long; []: malformed"; p.Error() != want {
		t.Fatalf("got %s", p.Error())
	}
}

// FuzzJSON: what is accepted reads the same by the standard decoder, holds no member
// twice, and is accepted again when it was written out; what is refused is refused in a
// bounded list that repeats no value.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"user_code":"A"}`, `{"n":1,"list":[]}`, `{"inputs":{"a":{"a":1}}}`, `{"a":1,"a":2}`, "{}x", "\xff", `{"USER_CODE":"x","user_code":"y"}`,
		`{"member":{"role":"a","Role":"b"}}`, `{"members":[{"name":"a"},null],"by_name":{"a":{"name":"b"}}}`, `{"user_code":"\ud83d\ude00\\"}`, `{"raw":[1e5],"bytes":"AQ=="}`, `{"x":1e999}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var open target
		if wire.JSON(in, &open, wire.Ignore) == nil {
			// A doubled member would be lost in the value, but not among the tokens.
			var v any
			dec := json.NewDecoder(bytes.NewReader(in))
			dec.UseNumber()
			if err := dec.Decode(&v); err != nil {
				t.Fatalf("accepted what the standard decoder refuses: %v", err)
			}
			texts := 0
			dec = json.NewDecoder(bytes.NewReader(in))
			dec.UseNumber()
			for tok, err := dec.Token(); err == nil; tok, err = dec.Token() {
				if _, ok := tok.(string); ok {
					texts++
				}
			}
			if want := count(v); texts != want {
				t.Fatalf("%d names and texts on the wire, %d in the value", texts, want)
			}
		}
		var strict, std target
		if err := wire.JSON(in, &strict, wire.Refuse); err != nil {
			if !errors.Is(err, wire.ErrInvalidJSON) && len(details(t, err)) == 0 || len(details(t, err)) > wire.MaxProblems {
				t.Fatalf("refused with %v", err)
			}
			noEcho(t, in)
			return
		}
		if err := json.Unmarshal(in, &std); err != nil {
			t.Fatalf("accepted what the standard decoder refuses: %v", err)
		}
		if string(std.Raw) == "null" {
			std.Raw = nil // a null is absence to us
		}
		if !reflect.DeepEqual(std, strict) { // cmp draws lots, which the fuzzer takes for new paths
			t.Fatal(cmp.Diff(std, strict))
		}
		out, err := json.Marshal(members(t, in))
		if err != nil {
			t.Fatal(err)
		}
		var again target
		if err := wire.JSON(out, &again, wire.Refuse); err != nil {
			t.Fatalf("%s is taken, and written out as %s it is not: %v", in, out, err)
		}
	})
}

// members gives an object's members as they stand, a number in its own spelling.
func members(t *testing.T, in []byte) (m map[string]any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(in))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// noEcho puts a secret in the place of a value of a refused body.
func noEcho(t *testing.T, in []byte) {
	t.Helper()
	const canary = "dfoa_canary"
	if bytes.Contains(in, []byte("canary")) {
		return
	}
	with := append([]byte(`{"n":"`+canary+`",`), bytes.TrimLeft(in, " {")...)
	if err := wire.JSON(with, &target{}, wire.Refuse); err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, details(t, err)), canary) {
		t.Fatalf("%s is refused with %v", with, err)
	}
}

// count gives the names and texts of a decoded value.
func count(v any) int {
	n := 0
	switch x := v.(type) {
	case string:
		n = 1
	case []any:
		for _, e := range x {
			n += count(e)
		}
	case map[string]any:
		for _, e := range x {
			n += 1 + count(e)
		}
	}
	return n
}

func TestMembers(t *testing.T) {
	got, err := wire.Members([]byte(`{"id":12345678901234567890,"a":{"b":[1]}}`))
	if err != nil || string(got["id"]) != "12345678901234567890" || string(got["a"]) != `{"b":[1]}` || len(got) != 2 {
		t.Fatalf("%s, %v", got, err)
	}
	for _, body := range []string{``, `null`, `[]`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{"a":1} {}`, `{"a":"\ud800"}`} {
		if _, err := wire.Members([]byte(body)); !errors.Is(err, wire.ErrInvalidJSON) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
