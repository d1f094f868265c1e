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
		former         string // of the second
		want           string
	}{
		{name: "none"},
		{name: "one", two: long},
		{name: "two that differ", one: long, two: other},
		{name: "M-18 one that can be guessed", one: long[1:], want: "ONE: must have at least 32 bytes"},
		{name: "M-18 one for two purposes", one: long, two: long, want: "TWO: must differ from ONE"},
		{name: "a former one beside it", one: long, two: other, former: strings.Repeat("c", 32)},
		{name: "a former one alone", former: long, want: "TWO_PREVIOUS: needs TWO beside it"},
		{name: "M-18 a former one that can be guessed", two: long, former: other[1:], want: "TWO_PREVIOUS: must have at least 32 bytes"},
		{name: "M-18 a former one that has another purpose now", one: long, two: other, former: long, want: "TWO: and ONE must differ, with their former keys too"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var problems config.Problems
			judgeInnerKeys([]innerKeySetting{{name: "ONE", key: secret.New(tc.one)}, {name: "TWO", key: secret.New(tc.two), former: secret.New(tc.former)}}, &problems)
			if got := problems.Error(); got != tc.want {
				t.Fatalf("problems %q, want %q", got, tc.want)
			}
		})
	}
}
