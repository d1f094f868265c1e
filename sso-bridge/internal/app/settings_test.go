// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
)

// given are settings that hold, without a data directory of the working directory.
func given(t testing.TB) map[string]string {
	t.Helper()
	dir := t.TempDir()
	f, err := keyset.NewFile("2026-11-a", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "keyset.json")
	if err := keyset.Create(path, f); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"SSO_BRIDGE_PUBLIC_URL": "https://sso.example.com", "CONSOLE_API_URL": "https://console.example.org", "CORE_INNER_URL": "https://core.internal:5002",
		"KEYSET_FILE": path, "DATA_DIR": filepath.Join(dir, "data"), "LISTEN": "127.0.0.1:0", "INNER_LISTEN": "127.0.0.1:0",
	}
}

// load reads settings of the environment alone; a value that begins with - is left out.
func load(base, change map[string]string) (*app.Settings, error) {
	var environ []string
	for _, m := range []map[string]string{base, change} {
		for k, v := range m {
			environ = slices.DeleteFunc(environ, func(e string) bool { return strings.HasPrefix(e, k+"=") })
			if v != "-" {
				environ = append(environ, k+"="+v)
			}
		}
	}
	return app.Load(app.Sources{Environ: environ})
}

func problemKeys(err error) (keys []string) {
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			keys = append(keys, p.Key)
		}
	}
	return keys
}

func TestSettingsThatDoNotHold(t *testing.T) {
	base := given(t)
	cores := filepath.Join(t.TempDir(), "core.db")
	if err := os.WriteFile(cores, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "connections.yaml")
	if err := os.WriteFile(broken, []byte("version: 1\nconnections: [{id: x, preset: none-such}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const postgres, redis = "postgres://u:p@127.0.0.1:1/d", "redis://127.0.0.1:1"
	for _, tc := range []struct {
		name   string
		change map[string]string
		want   []string
	}{
		{"as they are", nil, nil},
		{"SSO-04 a public address of http off loopback", map[string]string{"SSO_BRIDGE_PUBLIC_URL": "http://sso.example.com"}, []string{"SSO_BRIDGE_PUBLIC_URL"}},
		{"SSO-04 of http on loopback", map[string]string{"SSO_BRIDGE_PUBLIC_URL": "http://127.0.0.1:5003"}, nil},
		{"SSO-04 an address with a path", map[string]string{"SSO_BRIDGE_PUBLIC_URL": "https://sso.example.com/sso"}, []string{"SSO_BRIDGE_PUBLIC_URL"}},
		{"SSO-04 with a query, a fragment, a user", map[string]string{"SSO_BRIDGE_PUBLIC_URL": "https://a.example/?q=1", "CONSOLE_API_URL": "https://a.example/#f", "CORE_INNER_URL": "https://u@a.example"}, []string{"CONSOLE_API_URL", "CORE_INNER_URL", "SSO_BRIDGE_PUBLIC_URL"}},
		{"SSO-04 equal listeners", map[string]string{"LISTEN": "127.0.0.1:5003", "INNER_LISTEN": "127.0.0.1:5003"}, []string{"INNER_LISTEN"}},
		{"SSO-04 two origins of core", map[string]string{"CONSOLE_WEB_URL": "https://other.example.org"}, []string{"CONSOLE_WEB_URL"}},
		{"SSO-04 DATABASE_URL alone", map[string]string{"DATABASE_URL": postgres, "SECRET_KEY": strings.Repeat("k", 40), "SEALING_KEY_FILE": "/none"}, []string{"REDIS_URL"}},
		{"SSO-04 REDIS_URL alone", map[string]string{"REDIS_URL": redis}, []string{"DATABASE_URL"}},
		{"SSO-04 a fleet without keys of its own", map[string]string{"DATABASE_URL": postgres, "REDIS_URL": redis}, []string{"SEALING_KEY_FILE", "SECRET_KEY"}},
		{"SSO-03 one required setting missing", map[string]string{"CORE_INNER_URL": "-"}, []string{"CORE_INNER_URL"}},
		{"SSO-03 all of them, listed at once", map[string]string{"SSO_BRIDGE_PUBLIC_URL": "-", "CONSOLE_API_URL": "-", "CORE_INNER_URL": "-", "KEYSET_FILE": "-"}, []string{"CONSOLE_API_URL", "CORE_INNER_URL", "KEYSET_FILE", "SSO_BRIDGE_PUBLIC_URL"}},
		{"a short key, and a published one", map[string]string{"SECRET_KEY": "short"}, []string{"SECRET_KEY"}},
		{"traces that can go nowhere", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_HEADERS": "canary", "OTEL_TRACES_SAMPLER_ARG": "2"}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_SAMPLER_ARG"}},
		{"core's data directory", map[string]string{"DATA_DIR": filepath.Dir(cores)}, []string{"DATA_DIR"}},
		{"SSO-81 a connections file that does not parse", map[string]string{"CONNECTIONS_FILE": broken}, []string{"CONNECTIONS_FILE"}},
		{"retention, limits, egress, contact", map[string]string{"SSO_ATTEMPT_RETENTION_DAYS": "0", "RATE_LIMITS": "none.such=1", "EGRESS_ALLOW": "10.0.0.0/99", "EGRESS_PROXY_URL": "socks5://x", "SSO_CONTACT": strings.Repeat("x", 201)},
			[]string{"EGRESS_ALLOW", "EGRESS_PROXY_URL", "RATE_LIMITS", "SSO_ATTEMPT_RETENTION_DAYS", "SSO_CONTACT"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(base, tc.change)
			if got := slices.Compact(problemKeys(err)); !slices.Equal(got, tc.want) {
				t.Errorf("refused for %v, want %v: %v", got, tc.want, err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		name, part string
		change     map[string]string
	}{
		{"SSO-104 on core's host off loopback", "on the host of CONSOLE_API_URL", map[string]string{"CONSOLE_API_URL": "https://sso.example.com:8443"}},
		{"SSO-104 on core's host on loopback", "", map[string]string{"SSO_BRIDGE_PUBLIC_URL": "http://127.0.0.1:5003", "CONSOLE_API_URL": "http://127.0.0.1:5001"}},
		{"core in clear off loopback", "CORE_INNER_URL is plain http", map[string]string{"CORE_INNER_URL": "http://core.internal:5002"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := load(given(t), tc.change)
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(s.Warnings, "\n"); (tc.part == "") != (all == "") || !strings.Contains(all, tc.part) {
				t.Errorf("warnings %q, want %q", all, tc.part)
			}
		})
	}
}

func TestACommandOnTheDatabaseNeedsNoMore(t *testing.T) {
	if _, err := app.Load(app.Sources{Environ: []string{"DATABASE_URL=postgres://u:p@127.0.0.1:1/d"}, DatabaseAlone: true}); err != nil {
		t.Fatal(err)
	}
}
