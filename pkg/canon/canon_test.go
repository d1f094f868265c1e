// SPDX-License-Identifier: Apache-2.0

package canon_test

import (
	"strings"
	"testing"

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

func TestText(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
	}{
		{"DF-3 255 characters", strings.Repeat("ü", 255), strings.Repeat("ü", 255)},
		{"DF-3 256 characters", strings.Repeat("ü", 256), ""},
		{"DF-3 blank", " \t ", ""},
		{"DF-3 control", "a\x1b[31mb", ""},
		{"DF-3 bidi", "a\u202eb", ""},
		{"DF-3 line separator", "a\u2028b", ""},
		{"DF-3 decomposed is stored composed", "e\u0301", "é"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, ok := canon.Text(tc.in, 255); got != tc.want || ok != (tc.want != "") {
				t.Fatalf("Text = %q, %v", got, ok)
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

func FuzzUserCode(f *testing.F) {
	for _, seed := range []string{"ABCD-EFGH", "abcdefgh", "  3-4-5 6789A", "ＡBCD-EFGH", "ABCD\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := canon.UserCode(in)
		if !ok {
			return
		}
		if again, ok := canon.UserCode(got); !ok || again != got {
			t.Fatalf("%q is no fixed point: %q", got, again)
		}
	})
}

func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"ada@example.org", "İ@example.org", "e\u0301@x", " A@B "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := canon.Email(in)
		if !ok {
			return
		}
		if again, ok := canon.Email(got); !ok || again != got {
			t.Fatalf("%q is no fixed point: %q", got, again)
		}
	})
}

func FuzzDeviceLabel(f *testing.F) {
	for _, seed := range []string{"difyctl on host", "\u202e", "e\u0301", "<b>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := canon.Text(in, 255)
		if !ok {
			return
		}
		if again, ok := canon.Text(got, 255); !ok || again != got {
			t.Fatalf("%q is no fixed point: %q", got, again)
		}
	})
}
