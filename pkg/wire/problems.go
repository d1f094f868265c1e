// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// MaxProblems is how many refused fields are reported. A stranger's body could name
// thousands, and each would cost an answer many times its own bytes.
const MaxProblems = 20

// Problems collects what is wrong with a request, one entry per field. Its zero
// value is empty and ready to use.
type Problems struct{ details []fault.Detail }

// Add notes a refused field: a stable word, a sentence and the path to it. None of
// them carries the refused value. What exceeds MaxProblems is dropped.
func (p *Problems) Add(typ, msg string, loc ...any) {
	if len(p.details) == MaxProblems {
		return
	}
	if loc == nil {
		loc = []any{} // the wire has a list, never null
	}
	p.details = append(p.details, fault.Detail{Type: typ, Msg: msg, Loc: loc})
}

// Empty reports whether nothing was noted.
func (p *Problems) Empty() bool { return len(p.details) == 0 }

// Fault gives sentinel with the details, or nil when nothing was noted.
func (p *Problems) Fault(sentinel *fault.Error) error {
	if p.Empty() {
		return nil
	}
	return sentinel.Detailed(p.details...)
}

// printable gives a foreign name as it may be shown: short and without anything that
// could break a line of the log.
func printable(name string) string {
	unfit := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(name) > 64 || strings.ContainsFunc(name, unfit) {
		return "…"
	}
	return name
}

// Error lists fields and reasons, for the log.
func (p *Problems) Error() string {
	parts := make([]string, len(p.details))
	for i, d := range p.details {
		parts[i] = fmt.Sprintf("%v: %s", d.Loc, d.Type)
	}
	return "wire: " + strings.Join(parts, "; ")
}
