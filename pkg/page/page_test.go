// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dify-sso/dify-sso/pkg/page"
)

func TestLanguage(t *testing.T) {
	for _, tc := range []struct{ name, query, cookie, accept, want string }{
		{"parameter wins", "zh-Hans", "en", "en", "zh-Hans"},
		{"cookie before header", "", "zh-Hans", "en", "zh-Hans"},
		{"mainland Chinese", "", "", "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"},
		{"plain Chinese", "", "", "zh", "zh-Hans"},
		{"English first", "", "", "en-GB,zh;q=0.5", "en"},
		{"another language", "", "", "de-DE,de;q=0.9", "en"},
		{"another language, then Chinese", "", "", "de,zh-CN;q=0.5", "zh-Hans"},
		{"unknown wishes are passed over", "xx", "<script>", "zh", "zh-Hans"},
		{"garbage", "", "", ";;;=", "en"},
		{"oversized", "", "", strings.Repeat("zh,", 100), "en"},
		{"nothing", "", "", "", "en"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := page.Language(tc.query, tc.cookie, tc.accept); got != tc.want {
				t.Fatalf("got %q", got)
			}
		})
	}
}

func TestCatalogue(t *testing.T) {
	c := page.NewCatalogue(fstest.MapFS{
		"l/en.json":      {Data: []byte(`{"hi":"Hi {{.name}}","only":"here","age":{"one":"{{.count}} minute","other":"{{.count}} minutes"}}`)},
		"l/zh-Hans.json": {Data: []byte(`{"hi":"你好 {{.name}}","age":{"other":"{{.count}} 分钟"}}`)},
	}, "l")
	for _, tc := range []struct{ lang, want string }{{"en", "Hi Ada|1 minute|3 minutes"}, {"zh-Hans", "你好 Ada|1 分钟|3 分钟"}} {
		hi, err1 := c.Text(tc.lang, "hi", "name", "Ada")
		one, err2 := c.Text(tc.lang, "age", "count", 1)
		three, err3 := c.Text(tc.lang, "age", "count", 3)
		if got := hi + "|" + one + "|" + three; got != tc.want || err1 != nil || err2 != nil || err3 != nil {
			t.Errorf("%s: %q, %v %v %v", tc.lang, got, err1, err2, err3)
		}
	}
	if _, err := c.Text("zh-Hans", "only"); err == nil {
		t.Error("a missing Chinese message fell back to English")
	}
	if _, err := c.Text("en", "none"); err == nil {
		t.Error("a missing key is no error")
	}
	if _, err := c.Text("fr", "hi"); err == nil {
		t.Error("a missing language is no error")
	}
}
