// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

func TestLogRedacts(t *testing.T) {
	body := strings.Repeat("A", 43)
	for _, tc := range []struct {
		name string
		attr slog.Attr
	}{
		{"LOG-01 by type", slog.Any("key", secret.New("canary"+body))},
		{"LOG-01 by name", slog.String("Authorization", "Basic canary"+body)},
		{"LOG-01 by shape inside a text", slog.String("note", "got dfoa_"+body+" from canary")},
		{"LOG-01 by the shape of each kind", slog.String("note", "dfoe_"+body)},
		{"LOG-01 by the shape of a device code", slog.String("note", "x=dc_"+body)},
		{"LOG-01 by the shape of an app's key at Dify", slog.String("note", "x=app-"+body[:24])},
		{"LOG-01 by the shape of a signed message", slog.String("note", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ"+body+"."+body)},
		{"LOG-01 by shape inside an error", slog.Any("error", errors.New("bad dc_"+body))},
		{"LOG-01 inside a group", slog.Group("request", slog.String("password", "canary"+body))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, format := range []string{"json", "text"} {
				var out bytes.Buffer
				telemetry.NewLogger(&out, slog.LevelInfo, format).LogAttrs(t.Context(), slog.LevelInfo, "x", tc.attr)
				if strings.Contains(out.String(), body) || !strings.Contains(out.String(), "[redacted]") {
					t.Errorf("%s shows the secret: %s", format, out.String())
				}
			}
		})
	}
}
