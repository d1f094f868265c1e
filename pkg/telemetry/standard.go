// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"log"
	"log/slog"
	"strings"
)

// TakeStandard has the log of package log go to l, without what is quoted there. net/http
// writes to it what a peer sends unasked, as it is: that may be a key that the peer was
// sent, or what somebody asked.
func TakeStandard(l *slog.Logger) {
	log.SetFlags(0)
	log.SetPrefix("")
	log.SetOutput(standard{l})
}

type standard struct{ to *slog.Logger }

// longestStandard bounds a line, in bytes.
const longestStandard = 200

// Write implements io.Writer.
func (s standard) Write(p []byte) (int, error) {
	text, _, _ := strings.Cut(strings.TrimSpace(string(p[:min(len(p), longestStandard)])), `"`)
	s.to.Warn("a library tells", slog.String("text", strings.ToValidUTF8(text, "")))
	return len(p), nil
}
