// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// pgFocused is where the keyboard is: which control of the page in reading order, and
// how that is seen.
type pgFocused struct {
	At    int    `json:"at"`
	Ring  string `json:"ring"`
	Seen  bool   `json:"seen"`
	Class string `json:"class"`
}

const (
	pgControls = `[...document.querySelectorAll("a[href], button, select, input:not([type=hidden])")]`
	pgFocus    = `(() => {
  const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
  return {
    at: ` + pgControls + `.indexOf(e), class: e.className, ring: style.outlineStyle + " " + style.outlineWidth + " " + style.outlineOffset,
    seen: box.width > 0 && box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth,
  };
})()`
)

// Every control of every view by Tab alone, in reading order, with its focus in sight.
// Focus and order are the same in both languages.
func TestEveryViewByKeyboardInChromium(t *testing.T) {
	browserPath(t)
	views := pgViews(t, "en")
	c := openChromium(t, pgGallery(t, views), "keyboard", "en", true)
	for _, v := range views {
		t.Run(v.name, func(t *testing.T) {
			c.t = t
			c.open("/" + v.name)
			controls := get(c, chromedp.Evaluate[int](pgControls+".length"))
			summary := strings.Contains(v.html, `class="problems"`)
			if summary { // reading goes on from the summary
				eventually(t, func() (bool, string) {
					return get(c, chromedp.Evaluate[bool](`document.activeElement.matches(".problems")`)), "the summary has not the focus"
				})
			}
			reached := map[int]bool{}
			last := -1
			for range controls + 2 { // beyond the last the browser's own controls may follow
				c.do(chromedp.KeyEvent("\t"))
				now := get(c, chromedp.Evaluate[pgFocused](pgFocus))
				if now.At < 0 {
					last = -1
					continue
				}
				if len(reached) == 0 && !summary && (now.At != 0 || now.Class != "skip") {
					t.Errorf("the first control is %+v, not the skip link", now)
				}
				if len(reached) > 0 && now.At != last+1 && now.At != 0 {
					t.Errorf("from control %d to %d", last, now.At)
				}
				if now.Ring != "solid 3px 2px" || !now.Seen {
					t.Errorf("the focus is not seen: %+v", now)
				}
				reached[now.At], last = true, now.At
			}
			if len(reached) != controls {
				t.Errorf("%d of %d controls are reached: %v", len(reached), controls, reached)
			}
		})
	}
}
