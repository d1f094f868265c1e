// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"io"
	"log/slog"
	"regexp"
	"strings"
)

const redacted = "[redacted]"

// secretNames are members whose value is never logged, whatever it holds.
var secretNames = map[string]bool{
	"authorization": true, "cookie": true, "set-cookie": true, "password": true, "password_hash": true, "new_password": true,
	"token": true, "access_token": true, "device_code": true, "user_code": true, "csrf_token": true, "setup_code": true, "secret": true,
	"secret_key": true, "sealing_key": true, "database_url": true, "redis_url": true,
}

// secretShapes are values that no log line holds, wherever they turn up: bearers,
// device codes, keys that Dify gives apps, signed messages. The last line of defence, behind secret.Text.
var secretShapes = regexp.MustCompile(`(?:df(?:oa|oe)|dc)_[A-Za-z0-9_-]{43}|app-[A-Za-z0-9]{24}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`)

// NewLogger writes one structured line per event: JSON, or text for a person's
// terminal.
func NewLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: Redact}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// Redact replaces secrets by name and by shape.
func Redact(_ []string, a slog.Attr) slog.Attr {
	if secretNames[strings.ToLower(a.Key)] {
		return slog.String(a.Key, redacted)
	}
	if a.Value.Kind() == slog.KindString {
		if s := a.Value.String(); suspect(s) {
			return slog.String(a.Key, secretShapes.ReplaceAllString(s, redacted))
		}
		return a
	}
	if a.Value.Kind() != slog.KindAny {
		return a
	}
	if err, ok := a.Value.Any().(error); ok {
		return slog.String(a.Key, secretShapes.ReplaceAllString(err.Error(), redacted))
	}
	return a
}

// suspect reports whether a text may hold one of secretShapes: each begins with one of
// these. Every request writes a line of half a dozen texts, and hardly any does.
func suspect(s string) bool {
	return strings.Contains(s, "dfoa_") || strings.Contains(s, "dfoe_") || strings.Contains(s, "dc_") || strings.Contains(s, "app-") || strings.Contains(s, "eyJ")
}
