// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var pgTags = regexp.MustCompile(`<[^>]*>`)

// text gives what a view shows, in one line.
func (v pgView) text() string {
	_, body, _ := strings.Cut(v.html, "<body")
	return strings.Join(strings.Fields(html.UnescapeString(pgTags.ReplaceAllString("<body"+body, " "))), " ")
}

func pgFind(t *testing.T, views []pgView, name string) pgView {
	t.Helper()
	i := slices.IndexFunc(views, func(v pgView) bool { return v.name == name })
	if i < 0 {
		t.Fatalf("there is no view %s", name)
	}
	return views[i]
}

// Every view in both languages, as it was looked at. UPDATE=1 writes what is there
// now: look at the difference before it is committed.
func TestEveryViewIsTheOneThatWasLookedAt(t *testing.T) {
	slow(t)
	for _, lang := range pgLanguages {
		dir := filepath.Join("testdata", "pages", lang.html)
		views := pgViews(t, lang.accept)
		if os.Getenv("UPDATE") == "1" {
			pgUpdate(t, dir, views)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.html"))
		if err != nil || len(files) != len(views) {
			t.Fatalf("%d pages stand in %s, %d were made (%v)", len(files), dir, len(views), err)
		}
		for _, v := range views {
			t.Run(lang.html+" "+v.name, func(t *testing.T) {
				want, err := os.ReadFile(filepath.Join(dir, v.name+".html"))
				if err != nil {
					t.Fatal(err)
				}
				if v.html != string(want) {
					t.Errorf("the page has changed; UPDATE=1 takes it over:\n%s", pgFirstDifference(string(want), v.html))
				}
			})
		}
		pgDecidingPage(t, lang.html, views)
		pgDecidingCompanyPage(t, lang.html, views)
	}
}

func pgUpdate(t *testing.T, dir string, views []pgView) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, v := range views {
		if err := os.WriteFile(filepath.Join(dir, v.name+".html"), []byte(v.html), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func pgFirstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "- " + a[i] + "\n+ " + b[i]
		}
	}
	return "one of the two is longer"
}

// pgDecidingPage checks what the pages must say, whatever else changes on them.
func pgDecidingPage(t *testing.T, lang string, views []pgView) {
	say := map[string]map[string][]string{
		"en": {
			"who":      {"Signing in as ada@example.com", "Not you?", "Says it is difyctl", "Device ada's laptop", "seconds ago from 203.0.113.7", "KM7X-QT4R"},
			"warn":     {"Only continue if you started this yourself, just now, and the code matches. Nobody from support will ever ask you to.", "seconds ago from 203.0.113.7", "It will be able to do what you can do in your workspaces"},
			"decision": {"Don't allow Allow"},
			"says":     {"Says it is"},
		},
		"zh-Hans": {
			"who":      {"登录身份： ada@example.com", "不是您？", "自称为 difyctl", "设备 ada's laptop", "42 秒 前从 203.0.113.7 发起", "KM7X-QT4R"},
			"warn":     {"仅当是您本人刚刚发起、且代码一致时才继续。客服绝不会要求您这样做。", "秒 前从 203.0.113.7 发起", "它可以执行您在工作区中的所有操作。"},
			"decision": {"拒绝 允许"},
			"says":     {"自称为"},
		},
	}[lang]
	ask, posing := pgFind(t, views, "device-authorize"), pgFind(t, views, "device-authorize-posing")
	shows := func(t *testing.T, v pgView, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(v.text(), text) {
				t.Errorf("%s does not say %q:\n%s", v.name, text, v.text())
			}
		}
	}
	t.Run("DEV-10 the page names who, what, whence and since when, and refusing stands beside allowing: "+lang, func(t *testing.T) {
		shows(t, ask, say["who"]...)
		shows(t, ask, say["decision"]...)
	})
	t.Run("PPL-01 the page warns, and tells age and address in plain words: "+lang, func(t *testing.T) {
		shows(t, ask, say["warn"]...)
		if strings.Contains(ask.html, " checked") {
			t.Error("something is preset")
		}
	})
	t.Run("PPL-10 nobody needs the code, and a reference is no way in: "+lang, func(t *testing.T) {
		shows(t, ask, say["warn"][0])
		for _, name := range []string{"not-found", "forbidden", "out-of-date", "bad-request", "limited", "server-error"} {
			v := pgFind(t, views, name)
			shows(t, v, "0197f3a0-5c1e-7d42-9b6e-3f2a8c1d4e5f")
			if regexp.MustCompile(`(?:href|action|value)="[^"]*0197f3a0`).MatchString(v.html) {
				t.Errorf("%s leads somewhere by its reference", name)
			}
		}
	})
	t.Run("DEV-19 what a device says of itself is shown as that: "+lang, func(t *testing.T) {
		shows(t, ask, say["says"]...)
		if !strings.Contains(ask.html, say["says"][0]+`</dt><dd><bdi>difyctl</bdi></dd>`) || !strings.Contains(ask.html, `<dd><q><bdi>ada&#39;s laptop</bdi></q></dd>`) {
			t.Error(ask.html)
		}
	})
	t.Run("PPL-03 W-8 a label that reads like ours is set apart, quoted, contained and cut: "+lang, func(t *testing.T) {
		pgContained(t, posing.html)
	})
}

// pgContained looks for the posing label: once, in its own quotation.
func pgContained(t *testing.T, page string) {
	t.Helper()
	const begin = "Security check"
	inside := regexp.MustCompile(`<dd><q><bdi>(Security check[^<]*)</bdi></q></dd>`).FindStringSubmatch(page)
	if inside == nil || strings.Count(page, begin) != 1 {
		t.Fatalf("the label is not alone in its quotation:\n%s", page)
	}
	shown := html.UnescapeString(inside[1])
	if n := len([]rune(shown)); n != 64 || !strings.HasSuffix(shown, "…") || !strings.Contains(shown, "<b>Ada</b>") {
		t.Errorf("%d characters: %q", n, shown)
	}
}
