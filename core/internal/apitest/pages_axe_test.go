// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// axePath finds the accessibility checker, or says how to get it. In CI a run without it
// is a failure.
func axePath(t *testing.T) string {
	t.Helper()
	for _, path := range []string{os.Getenv("AXE"), filepath.Join("..", "..", "..", ".cache", "axe", "node_modules", "axe-core", "axe.min.js")} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no axe-core: make deps installs it")
	}
	t.Skip("no axe-core: make deps installs it")
	return ""
}

// axeRun lists what the checker finds on the page that is shown, by the rules of WCAG 2.2
// A and AA and its own best practices. What it cannot decide (a colour behind something)
// counts as found: nothing of ours is undecidable.
const axeRun = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then((result) =>
  ["violations", "incomplete"].flatMap((kind) => result[kind].flatMap((rule) =>
    rule.nodes.map((node) => kind + " " + rule.id + ": " + rule.help + ": " + node.html.slice(0, 160)))))`

func axeFindings(c *chromium) []string {
	c.t.Helper()
	return get(c, chromedp.Evaluate[[]string](axeRun, chromedp.EvalAwaitPromise))
}

// Every view by the accessibility checker: both languages, light and dark, wide and on a
// phone.
func TestEveryViewByTheCheckerInChromium(t *testing.T) {
	browserPath(t)
	checker, err := os.ReadFile(axePath(t))
	if err != nil {
		t.Fatal(err)
	}
	look := func(c *chromium, view string) {
		c.t.Helper()
		c.open("/" + view)
		get(c, chromedp.Evaluate[int](string(checker)+";0")) // by the protocol: the page's own policy stays as it is
	}
	t.Run("what is wrong on purpose is found", func(t *testing.T) {
		wrong := pgView{name: "wrong", status: http.StatusOK, html: `<!doctype html><html lang="en"><title>x</title><main><h1>x</h1><input id="bare"></main>`}
		c := openChromium(t, pgGallery(t, []pgView{wrong}), "axe-wrong", "en", true)
		look(c, wrong.name)
		if found := axeFindings(c); len(found) != 1 || !strings.Contains(found[0], "violations label") {
			t.Fatalf("%q", found)
		}
	})
	for i, lang := range pgLanguages {
		// One language wide and light, and narrow and dark; the other the reverse. What a
		// checker finds by scheme or width does not depend on the words.
		shapes := []int{0, 3}
		if i > 0 {
			shapes = []int{1, 2}
		}
		views := pgViews(t, lang.accept)
		c := openChromium(t, pgGallery(t, views), "axe", lang.accept, true)
		for _, v := range views {
			t.Run("W-19 "+lang.html+" "+v.name, func(t *testing.T) {
				c.t = t
				look(c, v.name)
				for _, k := range shapes {
					shape := pgShapes[k]
					shape.show(c)
					for _, finding := range axeFindings(c) {
						t.Errorf("%s: %s", shape.name, finding)
					}
				}
			})
		}
	}
}
