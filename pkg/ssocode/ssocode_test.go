// SPDX-License-Identifier: Apache-2.0

package ssocode_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/page"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

func TestCodes(t *testing.T) {
	for _, c := range ssocode.Known() {
		en, zh := c.Text(page.English), c.Text(page.Chinese)
		if en == "" || zh == "" || en == zh || ssocode.Of(string(c)) != c {
			t.Errorf("%s: %q, %q", c, en, zh)
		}
	}
	for _, foreign := range []string{"", "oidc_nonce_mismatch", "SSO_FAILED", "<script>", "sso_failed "} {
		if got := ssocode.Of(foreign); got != ssocode.Failed {
			t.Errorf("%q is shown as %s", foreign, got)
		}
	}
	if text := ssocode.Code("<b>").Text(page.English); text != ssocode.Failed.Text(page.English) {
		t.Error(text)
	}
}

func TestReferences(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		r := ssocode.NewReference()
		if !ssocode.IsReference(r) || seen[r] {
			t.Fatal(r)
		}
		seen[r] = true
	}
	for _, text := range []string{"", "7K2QD9XM4P", "7k2qd-9xm4p", "7K2QD-9XM4", "7K2QD-9XM4PP", "IK2QD-9XM4P", "7K2QD-9XM4P\n", "7K2QD-9XM4U", " 7K2QD-9XM4P"} {
		if ssocode.IsReference(text) {
			t.Errorf("%q", text)
		}
	}
	if all := strings.Join(slices.Sorted(func(yield func(string) bool) {
		for r := range seen {
			if !yield(r) {
				return
			}
		}
	}), ""); strings.ContainsAny(all, "ILOU") {
		t.Error("a letter that is read as another")
	}
}
