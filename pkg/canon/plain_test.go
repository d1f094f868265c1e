// SPDX-License-Identifier: Apache-2.0

package canon_test

import (
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestPlainEmail(t *testing.T) {
	for in, want := range map[string]string{
		"grace@corp.example": "grace@corp.example", " Grace.O'Hopper+1@Corp.Example ": "grace.o'hopper+1@corp.example", "g_h@corp-1.example": "g_h@corp-1.example", "a@b": "a@b",
		"grâce@corp.example": "", "grace@cörp.example": "", `"grace"@corp.example`: "", "Grace <grace@corp.example>": "", "grace@corp.example.": "", "grace.@corp.example": "",
		"grace@": "", "@corp.example": "", "a@b@c": "", "gra ce@corp.example": "", "grace@[192.0.2.1]": "", "Kate@corp.example": "", "a,b@corp.example": "", "a;b@corp.example": "", "grace(x)@corp.example": "",
		strings.Repeat("a", 242) + "@example.org": strings.Repeat("a", 242) + "@example.org", strings.Repeat("a", 243) + "@example.org": "",
	} {
		if got, ok := canon.PlainEmail(in); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q, %t", in, got, ok)
		}
	}
}

func FuzzPlainEmail(f *testing.F) {
	for _, s := range []string{"ada@corp.example", "Ada <a@b>", "a@b@c", `"a"@b`, "a@b.", "\u212A@b", " A@B ", "a@[::1]", "\xff@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := canon.PlainEmail(s)
		if !ok {
			if got != "" {
				t.Fatalf("refused with %q", got)
			}
			return
		}
		if again, ok := canon.PlainEmail(got); !ok || again != got {
			t.Fatalf("%q is canonical and becomes %q", got, again)
		}
		if strings.Count(got, "@") != 1 || strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' || r >= 'A' && r <= 'Z' }) {
			t.Fatalf("%q", got)
		}
	})
}
