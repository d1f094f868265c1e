// SPDX-License-Identifier: Apache-2.0

package canon_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestLabel(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "Ada Lovelace", "Ada Lovelace"},
		{"another script", "张伟", "张伟"},
		{"controls go", "A\x00d\x1b[31ma\n", "Ad[31ma"},
		{"bidi controls go", "Ada\u202egnp\u2066", "Adagnp"},
		{"no UTF-8 goes", "A\xffda", "Ada"},
		{"decomposed is composed", "e\u0301va", "éva"},
		{"blank ends go, also those that hid", "\u200f Ada \u2028", "Ada"},
		{"129 characters are cut", strings.Repeat("ü", 129), strings.Repeat("ü", 128)},
		{"a cut leaves no blank end", strings.Repeat("a", 127) + " b", strings.Repeat("a", 127)},
		{"what nobody sees goes", "A\u200bd\u00ada\u3164", "Ada"},
		{"a joiner goes where it joins nothing", "Ada\u200d", "Ada"},
		{"a joiner stays where it does", "می\u200cخواهم", "می\u200cخواهم"},
		{"nothing is left", "\u202e\x00", ""},
		{"nothing to see is left", "\u0301\u2800", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := canon.Label(tc.in, 128); got != tc.want {
				t.Fatalf("Label = %q", got)
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
		{"DF-3 a zero-width space alone", "\u200b", ""},
		{"a zero-width space within", "Ada\u200b Lovelace", ""},
		{"a soft hyphen", "Love\u00adlace", ""},
		{"a word joiner", "Ada\u2060", ""},
		{"letters of the tag block", "Ada\U000e0041", ""},
		{"a byte order mark", "\ufeffAda", ""},
		{"a Hangul filler, a letter that nobody sees", "\u3164", ""},
		{"the same at half width, within", "Ada\uffa0", ""},
		{"a Braille pattern without a dot", "\u2800", ""},
		{"one among others", "\u2801\u2800\u2803", "\u2801\u2800\u2803"},
		{"a mark on nothing", "\u0301", ""},
		{"a variation selector alone", "\ufe0f", ""},
		{"a joiner alone", "\u200d", ""},
		{"a joiner first", "\u200cمی", ""},
		{"a joiner in Latin", "Ad\u200da", ""},
		{"a joiner behind a mark on Latin", "q\u0301\u200d", ""},
		{"a joiner in Chinese", "张\u200d伟", ""},
		{"a joiner behind a sign of Latin-1", "©\u200d", ""},
		{"a joiner behind a mark of punctuation", "؟\u200d", ""},
		{"a joiner behind a blank", "می \u200cخ", ""},
		{"two joiners", "می\u200c\u200cخ", ""},
		{"a joiner in Persian", "می\u200cخواهم", "می\u200cخواهم"},
		{"a joiner in Sinhala", "ශ්\u200dරී", "ශ්\u200dරී"},
		{"a joiner at the end of a word in Malayalam", "അവന്\u200d വന്നു", "അവന്\u200d വന്നു"},
		{"a family of emoji", "👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"},
		{"a heart on fire", "❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"},
		{"a sign around an Arabic number", "\u0600١٢", "\u0600١٢"},
		{"one symbol", "→", "→"},
		{"what Unicode has not named yet", "\U000323b0", "\U000323b0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, ok := canon.Text(tc.in, 255); got != tc.want || ok != (tc.want != "") {
				t.Fatalf("Text = %q, %v", got, ok)
			}
		})
	}
}

// What was stored under wider rules is on record, and a sign-in must not fail of it.
func TestKept(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     bool
	}{
		{"a name", "Ada", true},
		{"one that would be refused today", "Ada\u200b", true},
		{"as long as may be", strings.Repeat("ü", 64), true},
		{"longer", strings.Repeat("ü", 65), false},
		{"empty", "", false},
		{"a blank end", "Ada ", false},
		{"decomposed", "e\u0301", false},
		{"no UTF-8", "a\xff", false},
		{"control", "a\nb", false},
		{"bidi", "a\u202eb", false},
		{"the mark of Arabic letters", "a\u061cb", false},
		{"a mark to the left", "a\u200eb", false},
		{"a mark to the right", "a\u200fb", false},
		{"an isolate", "a\u2066b", false},
		{"a line separator", "a\u2028b", false},
		{"a byte order mark", "a\ufeffb", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := canon.Kept(tc.in, 64); got != tc.want {
				t.Fatalf("Kept = %v", got)
			}
		})
	}
}

// FuzzDeviceLabel: the stored form is a fixed point and nothing in it is invisible.
func FuzzDeviceLabel(f *testing.F) {
	for _, seed := range []string{"difyctl on host", "\u202e", "e\u0301", "<b>", "\ufeffx", "x\u2028", strings.Repeat("\u0344", 128), "\u061cx", "a\x7fb", "\xff", "\u200b", "\u3164", "ن\u200d \u200d", "👩\u200d💻", "x\u200c", "\u0301", "e\u200b\u0301"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := canon.Text(in, 255)
		if !ok {
			if got != "" {
				t.Fatalf("%q is refused and gives %q", in, got)
			}
			return
		}
		if again, ok := canon.Text(got, 255); !ok || again != got {
			t.Fatalf("%q is no fixed point: %q", got, again)
		}
		if n := utf8.RuneCountInString(got); n < 1 || n > 255 || !utf8.ValidString(got) || strings.TrimSpace(got) != got || strings.ContainsFunc(got, unwanted) {
			t.Fatalf("%q gives %q", in, got)
		}
		if !strings.ContainsFunc(got, shown) {
			t.Fatalf("%q gives %q, in which there is nothing to see", in, got)
		}
		if !canon.Kept(got, 255) {
			t.Fatalf("%q is given and not known again", got)
		}
	})
}

// FuzzLabel: what is kept of a foreign name is empty, or a name that is stored as it is.
func FuzzLabel(f *testing.F) {
	for _, seed := range []string{"Ada", "\u202e\x00", "e\u200b\u0301", "a\u200d\u0301", "ن\u200d\u200d", strings.Repeat("\u0344", 128), "a\xff\u3164", "\u0301 \u2800"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := canon.Label(in, 16)
		if again, ok := canon.Text(got, 16); got != "" && (!ok || again != got) {
			t.Fatalf("%q gives %q, stored as %q", in, got, again)
		}
	})
}

// shown are characters that people see, said otherwise than the code does: of what has no
// name yet, and of what has one privately, every font shows a box.
func shown(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Co, unicode.Cn) && r != '\u2800' || unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}
