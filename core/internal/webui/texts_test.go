// SPDX-License-Identifier: Apache-2.0

package webui

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/page"
)

func TestBothLanguagesHaveTheSameTexts(t *testing.T) {
	c := page.NewCatalogue(files, "locales")
	english, err := c.Keys(page.English)
	if err != nil {
		t.Fatal(err)
	}
	chinese, err := c.Keys(page.Chinese)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(english, chinese) {
		t.Fatalf("the keys differ:\n%q\n%q", english, chinese)
	}
	slot := regexp.MustCompile(`\{\{\.\w+\}\}`)
	raw := map[string]string{}
	for _, lang := range []string{page.English, page.Chinese} {
		b, err := fs.ReadFile(files, "locales/"+lang+".json")
		if err != nil {
			t.Fatal(err)
		}
		raw[lang] = string(b)
	}
	line := func(lang, key string) []string {
		for l := range strings.Lines(raw[lang]) {
			if strings.Contains(l, `"`+key+`":`) {
				found := slot.FindAllString(l, -1)
				slices.Sort(found)
				return slices.Compact(found)
			}
		}
		return nil
	}
	for _, key := range english {
		if a, b := line(page.English, key), line(page.Chinese, key); !slices.Equal(a, b) {
			t.Errorf("%s fills %q in one language and %q in the other", key, a, b)
		}
	}
}

// A text that no page shows is a text that nobody looks at.
func TestEveryTextIsUsed(t *testing.T) {
	var sources strings.Builder
	err := fs.WalkDir(files, "templates", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, path)
		sources.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"render.go", "../httpapi/pages_signin.go"} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sources.Write(b)
	}
	// Keys that are put together from a kind.
	composed := regexp.MustCompile(`^(outcome\.(approved|denied|expired|limited|failed|session_gone)|(security|members|apps)\.done\.\w+|(role|mode|runtime|access)\.[\w-]+|failure\.\w+|end\.(device|browser|others))(\.next|\.what)?$|^problem\.`)
	keys, err := page.NewCatalogue(files, "locales").Keys(page.English)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if !composed.MatchString(key) && !strings.Contains(sources.String(), `"`+key+`"`) {
			t.Errorf("no page shows %s", key)
		}
	}
}

func TestBrowserNames(t *testing.T) {
	for _, c := range []struct{ userAgent, want string }{
		{"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0", "Edge, Windows"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", "Chrome, Windows"},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15", "Safari, macOS"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0 Mobile/15E148 Safari/604.1", "Chrome, iPhone"},
		{"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", "Chrome, Android"},
		{"curl/8.14.1", "curl/8.14.1"},
		{"", "–"},
	} {
		if got := BrowserName(c.userAgent); got != c.want {
			t.Errorf("%q is %q, want %q", c.userAgent, got, c.want)
		}
	}
}
