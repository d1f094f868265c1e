// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Problems collects what is wrong with a request, one entry per field. Its zero
// value is empty and ready to use.
type Problems struct{ details []fault.Detail }

// Add notes a refused field: a stable word, a sentence and the path to it. None of
// them carries the refused value.
func (p *Problems) Add(typ, msg string, loc ...any) {
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

// Error lists fields and reasons, for the log.
func (p *Problems) Error() string {
	parts := make([]string, len(p.details))
	for i, d := range p.details {
		parts[i] = fmt.Sprintf("%v: %s", d.Loc, d.Type)
	}
	return "wire: " + strings.Join(parts, "; ")
}
