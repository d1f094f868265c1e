// SPDX-License-Identifier: Apache-2.0

package canon_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestEmail(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"TK-4 case and blanks fold to one identity", "  Ada@Example.ORG ", "ada@example.org"},
		{"decomposed letters are composed", "e\u0301va@example.org", "éva@example.org"},
		{"no at", "ada.example.org", ""},
		{"two ats", "a@b@c", ""},
		{"nothing before the at", "@example.org", ""},
		{"nothing after the at", "ada@", ""},
		{"inner space", "a da@example.org", ""},
		{"control character", "a\x00da@example.org", ""},
		{"bidi override", "a\u202eda@example.org", ""},
		{"invalid UTF-8", "a\xff@example.org", ""},
		{"254 bytes", strings.Repeat("a", 242) + "@example.org", strings.Repeat("a", 242) + "@example.org"},
		{"255 bytes", strings.Repeat("a", 243) + "@example.org", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := canon.Email(tc.in)
			if got != tc.want || ok != (tc.want != "") {
				t.Fatalf("Email(%q) = %q, %v", tc.in, got, ok)
			}
		})
	}
}

func TestUserCode(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"DF-10 DEV-29 as printed", "ABCD-EFGH", "ABCD-EFGH"},
		{"DF-10 DEV-29 lower case", "abcd-efgh", "ABCD-EFGH"},
		{"DF-10 DEV-29 without hyphen", "ABCDEFGH", "ABCD-EFGH"},
		{"DF-10 DEV-29 with spaces", " a b c d e f g h ", "ABCD-EFGH"},
		{"seven symbols", "ABCD-EFG", ""},
		{"nine symbols", "ABCD-EFGHJ", ""},
		{"DEV-29 zero is no symbol", "ABCD-EFG0", ""},
		{"DEV-29 letter O is no symbol", "ABCD-EFGO", ""},
		{"DEV-29 full width is not mapped", "ＡBCD-EFGH", ""},
		{"DEV-29 NUL", "ABCD\x00EFGH", ""},
		{"DEV-29 long s folds to no letter", "ABCD-EFGſ", ""},
		{"empty", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := canon.UserCode(tc.in)
			if got != tc.want || ok != (tc.want != "") {
				t.Fatalf("UserCode(%q) = %q, %v", tc.in, got, ok)
			}
		})
	}
}

func TestID(t *testing.T) {
	a, b := canon.NewID(), canon.NewID()
	if a >= b || !canon.IsID(a) {
		t.Fatalf("%s, %s are not ordered ids", a, b)
	}
	for _, bad := range []string{"", strings.ToUpper(a), "{" + a + "}", a + "0", strings.ReplaceAll(a, "-", ""), "../etc/passwd"} {
		if canon.IsID(bad) {
			t.Errorf("IsID(%q)", bad)
		}
	}
}

// FuzzUserCode: taken is exactly what holds eight symbols among blanks and hyphens; the
// canonical form is a fixed point, holds what was typed and nothing else, and however it
// was typed it is the same.
func FuzzUserCode(f *testing.F) {
	for _, seed := range []string{"ABCD-EFGH", "abcdefgh", "  3-4-5 6789A", "ＡBCD-EFGH", "ABCD\x00", "ABCD-345O", "abcd-efgı", "ABCD\u00a0EFGH", "\u2003ABCDEFGH", "A\tBCDEFGH"} {
		f.Add(seed)
	}
	either := "[" + canon.UserCodeAlphabet + strings.ToLower(canon.UserCodeAlphabet) + "]"
	typed := regexp.MustCompile("^(?:[ -]*" + either + "){8}[ -]*$")
	shape := regexp.MustCompile("^[" + canon.UserCodeAlphabet + "]{4}-[" + canon.UserCodeAlphabet + "]{4}$")
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := canon.UserCode(in)
		if fit := typed.MatchString(strings.TrimSpace(in)); ok != fit {
			t.Fatalf("%q: taken %t", in, ok)
		}
		if !ok {
			if got != "" {
				t.Fatalf("%q is refused and gives %q", in, got)
			}
			return
		}
		if !shape.MatchString(got) {
			t.Fatalf("%q gives %q", in, got)
		}
		bare := strings.NewReplacer(" ", "", "-", "").Replace(strings.TrimSpace(in))
		if len(bare) != canon.UserCodeSymbols || !strings.EqualFold(bare, strings.ReplaceAll(got, "-", "")) {
			t.Fatalf("%q was read as %q", in, got)
		}
		for _, again := range []string{got, strings.ToLower(got), " " + got + " ", strings.ReplaceAll(got, "-", "")} {
			if same, ok := canon.UserCode(again); !ok || same != got {
				t.Fatalf("%q gives %q, want %q", again, same, got)
			}
		}
	})
}

// FuzzEmail: the canonical form is a fixed point, keeps the rules, and letter case
// makes no second identity.
func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"ada@example.org", "İ@example.org", "e\u0301@x", " A@B ", "a@@b", "a@b\u200e", "ẞ@x", "\u212b@x", "ǅ@x", "\u1e9e\u0307@x", "a b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := canon.Email(in)
		if !ok {
			if got != "" {
				t.Fatalf("%q is refused and gives %q", in, got)
			}
			return
		}
		if again, ok := canon.Email(got); !ok || again != got {
			t.Fatalf("%q is no fixed point: %q", got, again)
		}
		user, host, _ := strings.Cut(got, "@")
		if len(got) > 254 || user == "" || host == "" || strings.Contains(host, "@") || !utf8.ValidString(got) || strings.ContainsFunc(got, unwanted) || strings.ContainsFunc(got, unicode.IsSpace) {
			t.Fatalf("%q gives %q", in, got)
		}
	})
}

// unwanted are the characters that turn, break or hide what stands beside them.
func unwanted(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.In(r, unicode.Zl, unicode.Zp) || r == '\ufeff'
}

func TestClaim(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"Firefox — 爱":               "Firefox — 爱",
		"a\x00b\xff\xfec\r\n\u202e": "a\ufffdb\ufffd\ufffdc\ufffd\ufffd\u202e",
		strings.Repeat("爱", 33):     strings.Repeat("爱", 32),
	} {
		if got := canon.Claim(in, 32); got != want || !utf8.ValidString(got) {
			t.Errorf("Claim(%q) = %q, want %q", in, got, want)
		}
	}
}
