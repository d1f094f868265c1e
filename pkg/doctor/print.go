// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Print writes a report for a person. A name that somebody has given to a connection or an
// app goes through without characters that would steer a terminal.
func Print(w io.Writer, r Report) error {
	var b strings.Builder
	for _, f := range r.Findings {
		id := f.Check
		if f.Subject != "" {
			id += " (" + plain(f.Subject) + ")"
		}
		fmt.Fprintf(&b, "%-8s%s: %s\n", f.Status, id, plain(f.Text))
		if f.Next != "" && f.Status != OK {
			fmt.Fprintf(&b, "%8sNext: %s\n", "", plain(f.Next))
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d to be looked at, %d failed, %d skipped.\n", r.Count(OK), r.Count(Warn), r.Count(Fail), r.Count(Skipped))
	_, err := io.WriteString(w, b.String())
	return err
}

func plain(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, text)
}
