// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// CountLines gives a log that counts its lines by level, for it is the errors that an
// operator should hear of.
func (m *Metrics) CountLines(to *slog.Logger) *slog.Logger {
	counts := m.Counts("dify_sso_log_lines_total", "Lines of the log, by level.", Label{"level", []string{"debug", "info", "warn", "error"}})
	h := counting{Handler: to.Handler()}
	for i, level := range counts.labels[0].Values {
		h.by[i] = counts.One(level)
	}
	return slog.New(h)
}

// counting is a handler that counts what it passes on.
type counting struct {
	slog.Handler
	by [4]prometheus.Counter
}

// Handle implements slog.Handler.
func (h counting) Handle(ctx context.Context, r slog.Record) error {
	level := 0
	switch {
	case r.Level >= slog.LevelError:
		level = 3
	case r.Level >= slog.LevelWarn:
		level = 2
	case r.Level >= slog.LevelInfo:
		level = 1
	}
	h.by[level].Inc()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h counting) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h counting) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}
