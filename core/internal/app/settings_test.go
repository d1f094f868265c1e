// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/config"
)

func keysOf(t *testing.T, err error) []string {
	t.Helper()
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("err = %v, want problems", err)
	}
	var keys []string
	for _, p := range problems {
		keys = append(keys, p.Key)
	}
	return keys
}

func TestSettings(t *testing.T) {
	refused := []struct {
		name  string
		given map[string]string
		want  []string
	}{
		{name: "M-18 every problem is listed at once", given: map[string]string{
			"LISTEN": "nowhere", "CONSOLE_API_URL": "ftp://x", "OAUTH_TTL_DAYS": "junk", "SESSION_MAX_DAYS": "0", "READ_TIMEOUT": "1", "LOG_LEVEL": "loud",
		}, want: []string{"CONSOLE_API_URL", "LISTEN", "LOG_LEVEL", "OAUTH_TTL_DAYS", "READ_TIMEOUT", "SESSION_MAX_DAYS"}},
		{name: "M-18 two origins", given: map[string]string{"CONSOLE_WEB_URL": "http://127.0.0.1:9"}, want: []string{"CONSOLE_WEB_URL"}},
		{name: "M-18 one port for both listeners", given: map[string]string{"INNER_LISTEN": "127.0.0.1:5001"}, want: []string{"INNER_LISTEN"}},
		{name: "HTTP-24 plain http off loopback", given: map[string]string{"CONSOLE_API_URL": "http://sso.example.com"}, want: []string{"CONSOLE_API_URL"}},
		{name: "a public address with a path", given: map[string]string{"CONSOLE_API_URL": "https://sso.example.com/x"}, want: []string{"CONSOLE_API_URL"}},
		{name: "a limit that does not exist", given: map[string]string{"RATE_LIMITS": "bearer.tokens=1"}, want: []string{"RATE_LIMITS"}},
		{name: "a limit that does not parse", given: map[string]string{"RATE_LIMITS": "bearer.token=many"}, want: []string{"RATE_LIMITS"}},
		{name: "limits of single settings", given: map[string]string{"OPENAPI_RATE_LIMIT_PER_TOKEN": "-1", "DEVICE_FLOW_APPROVE_RATE_LIMIT_PER_HOUR": "0"}, want: []string{"DEVICE_FLOW_APPROVE_RATE_LIMIT_PER_HOUR", "OPENAPI_RATE_LIMIT_PER_TOKEN"}},
		{name: "retention out of its bounds", given: map[string]string{"OAUTH_ACCESS_TOKEN_RETENTION_DAYS": "0", "AUDIT_RETENTION_DAYS": "-1", "ENABLE_CLEAN_OAUTH_ACCESS_TOKENS_TASK": "maybe"},
			want: []string{"AUDIT_RETENTION_DAYS", "ENABLE_CLEAN_OAUTH_ACCESS_TOKENS_TASK", "OAUTH_ACCESS_TOKEN_RETENTION_DAYS"}},
		{name: "retention beyond its bounds", given: map[string]string{"OAUTH_ACCESS_TOKEN_RETENTION_DAYS": "3651", "AUDIT_RETENTION_DAYS": "36501"},
			want: []string{"AUDIT_RETENTION_DAYS", "OAUTH_ACCESS_TOKEN_RETENTION_DAYS"}},
		{name: "one key for proxies and operators", given: map[string]string{"FORWARD_AUTH_KEY": strings.Repeat("k", 32), "OPERATOR_API_KEY": strings.Repeat("k", 32)}, want: []string{"OPERATOR_API_KEY"}},
		{name: "a key for proxies that can be guessed", given: map[string]string{"FORWARD_AUTH_KEY": strings.Repeat("k", 31)}, want: []string{"FORWARD_AUTH_KEY"}},
		{name: "introspection clients without a digest", given: map[string]string{"INTROSPECTION_CLIENTS": "gateway:a-secret-in-clear"}, want: []string{"INTROSPECTION_CLIENTS"}},
		{name: "traces that can go nowhere", given: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_HEADERS": "canary", "OTEL_TRACES_SAMPLER_ARG": "2"},
			want: []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_SAMPLER_ARG"}},
		{name: "a client id with a blank", given: map[string]string{"OPENAPI_KNOWN_CLIENT_IDS": "a b"}, want: []string{"OPENAPI_KNOWN_CLIENT_IDS"}},
	}
	for _, tc := range refused {
		t.Run(tc.name, func(t *testing.T) {
			_, err := app.Load(app.Sources{Flags: tc.given})
			if got := keysOf(t, err); !slices.Equal(got, tc.want) {
				t.Fatalf("refused %v, want %v", got, tc.want)
			}
		})
	}
	t.Run("M-18 a value that may be a secret is not repeated", func(t *testing.T) {
		_, err := app.Load(app.Sources{Environ: []string{"INTROSPECTION_CLIENTS=canary:canary", "ENTERPRISE_ENABLED=true", "HOME=/x"}})
		if got := keysOf(t, err); !slices.Equal(got, []string{"INTROSPECTION_CLIENTS", "KEYSET_FILE", "SSO_BRIDGE_PUBLIC_URL", "SSO_BRIDGE_URL"}) {
			t.Fatalf("refused %v", got)
		}
		if strings.Contains(err.Error(), "canary") {
			t.Error(err)
		}
	})
	t.Run("TK-6 the life of a token is brought into its bounds with a warning", func(t *testing.T) {
		for given, want := range map[string]int{"0": 1, "1": 1, "14": 14, "365": 365, "366": 365} {
			s, err := app.Load(app.Sources{Flags: map[string]string{"OAUTH_TTL_DAYS": given}})
			if err != nil {
				t.Fatal(err)
			}
			warned := len(s.Warnings) == 1 && strings.Contains(s.Warnings[0], "OAUTH_TTL_DAYS")
			if s.OAuthTTLDays != want || warned != (given == "0" || given == "366") {
				t.Errorf("%s became %d, warnings %q", given, s.OAuthTTLDays, s.Warnings)
			}
		}
	})
	t.Run("a pruner that is off is warned of", func(t *testing.T) {
		s, err := app.Load(app.Sources{Flags: map[string]string{"ENABLE_CLEAN_OAUTH_ACCESS_TOKENS_TASK": "false"}})
		if err != nil || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "ENABLE_CLEAN_OAUTH_ACCESS_TOKENS_TASK") {
			t.Fatalf("%v %v", err, s)
		}
	})
	t.Run("LIM-5 a limit that is off is warned of", func(t *testing.T) {
		s, err := app.Load(app.Sources{Flags: map[string]string{"RATE_LIMITS": "bearer.token=0, device.code.addr=120/1h"}})
		if err != nil || len(s.Warnings) != 1 {
			t.Fatalf("%v %v", err, s)
		}
	})
	t.Run("a short secret is refused without being shown", func(t *testing.T) {
		_, err := app.Load(app.Sources{Environ: []string{"SECRET_KEY=too-short-to-be-one", "SETUP_TOKEN=short"}})
		if got := keysOf(t, err); !slices.Equal(got, []string{"SECRET_KEY", "SETUP_TOKEN"}) || strings.Contains(err.Error(), "too-short") {
			t.Fatalf("%v: %v", got, err)
		}
	})
	t.Run("the key of proxies comes from a file too", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(strings.Repeat("k", 40)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := app.Load(app.Sources{Environ: []string{"FORWARD_AUTH_KEY_FILE=" + file}})
		if err != nil || s.ForwardAuthKey.Reveal() != strings.Repeat("k", 40) {
			t.Fatal(err)
		}
	})
	t.Run("an unknown key of the file is refused, a file that is named must exist", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "core.yaml")
		if err := os.WriteFile(file, []byte("listn: 127.0.0.1:1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := app.Load(app.Sources{File: file})
		if got := keysOf(t, err); !slices.Equal(got, []string{"listn"}) {
			t.Fatal(got)
		}
		if _, err := app.Load(app.Sources{File: file + ".not"}); err == nil {
			t.Fatal("a missing file was taken")
		}
	})
}
