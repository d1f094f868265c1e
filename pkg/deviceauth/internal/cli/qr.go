// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"

	"rsc.io/qr/coding"
)

// The light margin that a reader needs around the code (ISO/IEC 18004 §9.1), in modules.
const quiet = 4

// qrCode draws an address, unless the screen is too narrow for it. Two modules stand in
// one character, the upper and the lower half.
func (c *command) qrCode(uri string) (string, bool) {
	code := encode(uri)
	if code == nil {
		return "", false
	}
	width := code.Size + 2*quiet
	if c.Width != nil {
		if columns := c.Width(); columns > 0 && columns < width {
			return "", false
		}
	}
	// Black on white by fixed colours of the palette, whatever the terminal's own are: a
	// reader needs dark on light. Without colour the blocks are the light modules, as on
	// a dark screen.
	begin, end := "\x1b[38;5;231;48;5;16m", "\x1b[0m"
	if c.env("NO_COLOR") != "" {
		begin, end = "", ""
	}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString(begin)
		for x := -quiet; x < code.Size+quiet; x++ {
			b.WriteString(halves[code.Black(x, y)][code.Black(x, y+1) || y+1 >= code.Size+quiet])
		}
		b.WriteString(end + "\n")
	}
	return b.String(), true
}

// halves are the light parts of a character, by dark upper and dark lower module.
var halves = map[bool]map[bool]string{false: {false: "█", true: "▀"}, true: {false: "▄", true: " "}}

// encode makes the smallest code for a text; nil when it is too long for any.
func encode(text string) *coding.Code {
	for v := coding.MinVersion; v <= coding.MaxVersion; v++ {
		s := coding.String(text)
		if s.Bits(coding.Version(v)) > coding.Version(v).DataBytes(coding.L)*8 {
			continue
		}
		plan, err := coding.NewPlan(coding.Version(v), coding.L, 0)
		if err != nil {
			return nil
		}
		code, err := plan.Encode(s)
		if err != nil {
			return nil
		}
		return code
	}
	return nil
}
