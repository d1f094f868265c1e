// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/webui"
)

// pgGallery serves recorded views with the headers they came with: also those that
// answer a form can be loaded, by their names.
func pgGallery(t *testing.T, views []pgView) *apitest.Server {
	t.Helper()
	byPath := map[string]pgView{}
	for _, v := range views {
		byPath["/"+v.name] = v
	}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asset, ok := webui.Static(strings.TrimPrefix(r.URL.Path, "/static/")); ok {
			w.Header().Set("Content-Type", asset.Type)
			_, _ = w.Write(asset.Content)
			return
		}
		if r.URL.Path == "/stays" { // where a script that leads on leads here
			w.WriteHeader(http.StatusNoContent)
			return
		}
		v, ok := byPath[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		for name, values := range v.header {
			if name != "Content-Length" && name != "Set-Cookie" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(v.status)
		_, _ = w.Write([]byte(strings.ReplaceAll(v.html, pgStart, "/stays")))
	}))
	t.Cleanup(ts.Close)
	return &apitest.Server{URL: ts.URL}
}

// pgShape is how a person looks at a page.
type pgShape struct {
	name  string
	width int64
	dark  bool
}

var pgShapes = []pgShape{{"light-900", 900, false}, {"dark-900", 900, true}, {"light-360", 360, false}, {"dark-360", 360, true}, {"light-640", 640, false}}

func (s pgShape) show(c *chromium) {
	c.t.Helper()
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	c.do(chromedp.EmulateViewport(s.width, 640), command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	}))
}

// Every view in every shape. SCREENSHOTS names a directory for the pictures; without
// it only the shapes are measured.
func TestGalleryInChromium(t *testing.T) {
	browserPath(t)
	for _, lang := range pgLanguages {
		views := pgViews(t, lang.accept)
		c := openChromium(t, pgGallery(t, views), "gallery", lang.accept, false)
		for _, v := range views {
			t.Run(lang.html+" "+v.name, func(t *testing.T) {
				c.t = t
				c.open("/" + v.name)
				if strings.Contains(v.html, `class="problems"`) { // takes the focus, without script
					eventually(t, func() (bool, string) {
						return get(c, chromedp.Evaluate[bool](`document.activeElement.matches(".problems")`)), "the summary has not the focus"
					})
				}
				for _, shape := range pgShapes {
					if shape.dark && os.Getenv("SCREENSHOTS") == "" {
						continue // the same measures in other colours
					}
					shape.show(c)
					for _, problem := range get(c, chromedp.Evaluate[[]string](pgMeasure)) {
						t.Errorf("%s: %s", shape.name, problem)
					}
					pgPicture(c, lang.html+"-"+v.name+"-"+shape.name)
				}
			})
		}
	}
}

func pgPicture(c *chromium, name string) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	picture := get(c, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// pgMeasure lists what is out of shape on the page that is shown.
const pgMeasure = `(() => {
  const wrong = [], say = (what, e) => wrong.push(what + ": " + e.outerHTML.slice(0, 120));
  const shown = (e) => e.getClientRects().length > 0 && !e.closest(".hidden, .skip") && !(e.closest("thead") && getComputedStyle(e.closest("thead")).position === "absolute");
  const words = (e) => e.matches("select, textarea, input:not([type=checkbox])") || [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("wider than the window: " + document.documentElement.scrollWidth);
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  for (const e of document.querySelectorAll("body *")) {
    if (!shown(e)) continue;
    if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline" && e.tagName !== "INPUT") say("cut", e);
    const size = getComputedStyle(e).fontSize;
    if (!["14px", "16px", "24px", "32px"].includes(size) && words(e)) say("size " + size, e);
    if (e.matches("a, button, select, textarea, input:not([type=hidden])")) {
      const box = (e.type === "checkbox" ? e.closest("label") : e).getBoundingClientRect();
      if (box.height < 44 || box.width < 24) say("target of " + box.width + " by " + box.height, e);
    }
    if (e.matches("select, textarea, input:not([type=hidden])") && !(e.labels && e.labels.length === 1)) say("no label", e);
    for (const id of (e.getAttribute("aria-describedby") || "").split(" ").filter(Boolean))
      if (!document.getElementById(id)) say("described by nothing", e);
  }
  for (const pair of document.querySelectorAll(".pair")) {
    const [refuse, allow] = [...pair.children].map((e) => e.getBoundingClientRect());
    if (refuse.width !== allow.width || refuse.height !== allow.height) say("two sizes", pair);
    if (innerWidth >= 420 ? refuse.top !== allow.top || refuse.right > allow.left : refuse.left !== allow.left || refuse.bottom > allow.top) say("not in order", pair);
  }
  return wrong;
})()`
