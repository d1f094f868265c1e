// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

func TestProse(t *testing.T) {
	for in, want := range map[string]string{
		"two\nlines\tand a tab": "two\nlines\tand a tab", "a\r\nb": "a\nb", "progress\rover": "progress\uFFFDover", "end\r": "end", "\x1b[2J\x07\x9b": "\uFFFD[2J\uFFFD\uFFFD",
		"abc\u202edef\u2066": "abc\uFFFDdef\uFFFD", "\u009b31m": "\uFFFD31m", "👩\u200d💻 नमस्\u200dते": "👩\u200d💻 नमस्\u200dते", "no\u00a0break": "no\u00a0break", "\x00\u200b\ufeff": "\uFFFD\uFFFD\uFFFD",
	} {
		if got := prose(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

// What a terminal might obey is escaped, and the JSON means what it meant.
func FuzzOneLine(f *testing.F) {
	for _, s := range []string{`{"a":"\u001b[2J"}`, "{\"a\":\"\u009b\u202e\"}", "{ \"a\" :\n 1.50 }", "{\"a\":\"\U000E0001 👩\u200d💻\"}", `[]`, "{\"\x80\":1}", `{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := oneLine(in)
		if err != nil {
			return
		}
		line := strings.TrimSuffix(string(out), "\n")
		for _, r := range line {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q holds %U", line, r)
			}
		}
		var a, b any
		if json.Unmarshal(in, &a) == nil && (json.Unmarshal([]byte(line), &b) != nil || !reflect.DeepEqual(a, b)) {
			t.Fatalf("%q became %q", in, line)
		}
	})
}

func TestWord(t *testing.T) {
	for in, want := range map[string]string{
		"approve": "approve", "a b": "'a b'", "x; rm -rf ~": "'x; rm -rf ~'", "it's": `'it'\''s'`, "$(id)": "'$(id)'", "": "''", "-rf": "'-rf'", "a\nb": "'a\uFFFDb'",
	} {
		if got := word(in); got != want {
			t.Errorf("%q becomes %s", in, got)
		}
	}
}

func TestTheCommandThatAnswersAForm(t *testing.T) {
	token := func(s string) *string { return &s }
	c := &command{}
	for want, f := range map[string]asked{
		"difyauth resume app t-1 --run r":         {Token: token("t-1")},
		"difyauth resume --run r -- app '-x; ls'": {Token: token("-x; ls")},
	} {
		if got := c.answerWith("app", "r", f, nil); got != want {
			t.Errorf("%s", got)
		}
	}
}
