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
