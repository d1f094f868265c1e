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
	pgControls = `[...document.querySelectorAll("a[href], button, select, textarea, input:not([type=hidden])")]`
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
			// Nothing goes past the last control: the focus comes back from the browser's own
			// ones a while after the key.
			first := 0
			if strings.Contains(v.html, `class="problems"`) { // reading goes on from the summary
				const summary = `document.querySelector(".problems")`
				eventually(t, func() (bool, string) {
					return get(c, chromedp.Evaluate[bool](`document.activeElement === `+summary)), "the summary has not the focus"
				})
				first = get(c, chromedp.Evaluate[int](pgControls+`.filter(e => `+summary+`.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_PRECEDING).length`))
				for at := first - 1; at >= 0; at-- {
					pgTabTo(c, at, chromedp.KeyModifiers(chromedp.ModifierShift))
				}
				get(c, chromedp.Evaluate[bool](summary+`.focus() === undefined`))
			}
			for at := first; at < controls; at++ {
				pgTabTo(c, at)
			}
		})
	}
}

// pgTabTo fails unless one more Tab leads to a control that is then seen to have the focus.
func pgTabTo(c *chromium, at int, with ...chromedp.KeyOption) {
	c.t.Helper()
	c.do(chromedp.KeyEvent("\t", with...))
	now := get(c, chromedp.Evaluate[pgFocused](pgFocus))
	if now.At != at {
		c.t.Fatalf("the focus is at control %d, want %d", now.At, at)
	}
	if at == 0 && now.Class != "skip" {
		c.t.Errorf("the first control is %+v, not the skip link", now)
	}
	if now.Ring != "solid 3px 2px" || !now.Seen {
		c.t.Errorf("the focus is not seen: %+v", now)
	}
}
