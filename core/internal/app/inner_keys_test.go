// SPDX-License-Identifier: Apache-2.0

package app

import (
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestInnerKeys(t *testing.T) {
	long, other := strings.Repeat("a", 32), strings.Repeat("b", 32)
	for _, tc := range []struct {
		name, one, two string
		want           string
	}{
		{name: "none"},
		{name: "one", two: long},
		{name: "two that differ", one: long, two: other},
		{name: "M-18 one that can be guessed", one: long[1:], want: "ONE: must have at least 32 bytes"},
		{name: "M-18 one for two purposes", one: long, two: long, want: "TWO: must differ from ONE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var problems config.Problems
			judgeInnerKeys([]innerKeySetting{{"ONE", secret.New(tc.one)}, {"TWO", secret.New(tc.two)}}, &problems)
			if got := problems.Error(); got != tc.want {
				t.Fatalf("problems %q, want %q", got, tc.want)
			}
		})
	}
}
