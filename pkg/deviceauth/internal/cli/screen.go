// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"runtime"
	"time"
)

// screen shows a sign-in under way. Where nobody sees it being drawn it writes plain
// lines.
type screen struct {
	out  io.Writer
	live bool // the last line can be redrawn
	bold bool
}

func (c *command) screen() *screen {
	live := c.Screen && c.output == "text" && c.env("TERM") != "dumb"
	if runtime.GOOS == "windows" && c.env("WT_SESSION") == "" {
		live = false // older consoles show escapes
	}
	return &screen{out: c.Stdout, live: live, bold: live && c.env("NO_COLOR") == ""}
}

// code shows the code alone on its line, then the address.
func (s *screen) code(code, uri string) {
	if s.bold {
		code = "\x1b[1m" + code + "\x1b[0m"
	}
	fmt.Fprintf(s.out, "Your code:\n\n    %s\n\nType it at %s\n", code, uri)
}

// waiting says what is waited for and how long. On a live screen it replaces itself.
func (s *screen) waiting(what string, left time.Duration, hint string) {
	if !s.live {
		fmt.Fprintf(s.out, "%s; the code ends in %s.\n", what, spell(left))
		return
	}
	if left > 0 { // a poll that failed is repeated for a while after the end
		what += ", " + clock(left) + " left"
	}
	fmt.Fprintf(s.out, "\r\x1b[K%s.%s", what, hint)
}

// up goes back to the line that the person's Enter has left.
func (s *screen) up() { _, _ = io.WriteString(s.out, "\x1b[1A") }

// clear takes the waiting line away.
func (s *screen) clear() {
	if s.live {
		_, _ = io.WriteString(s.out, "\r\x1b[K")
	}
}

// clock writes a duration as 14:59.
func clock(d time.Duration) string {
	n := int(max(d, 0).Round(time.Second).Seconds())
	if n >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}
