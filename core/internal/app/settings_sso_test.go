// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// enterprise are settings of the Enterprise Edition that hold, with a key set of their own.
func enterprise(t *testing.T) map[string]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyset.json")
	f, err := keyset.NewFile("first", time.Now())
	if err == nil {
		err = keyset.Create(path, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"ENTERPRISE_ENABLED": "true", "SSO_BRIDGE_URL": "https://bridge.internal:5004", "SSO_BRIDGE_PUBLIC_URL": "https://bridge.example.com", "KEYSET_FILE": path,
	}
}

// and gives the settings with some of them changed; an empty value takes one away.
func and(of map[string]string, change ...string) map[string]string {
	out := maps.Clone(of)
	for i := 0; i < len(change); i += 2 {
		out[change[i]] = change[i+1]
	}
	return out
}

func TestSettingsOfTheEnterpriseEdition(t *testing.T) {
	whole := enterprise(t)
	weak, open, cert := filepath.Join(t.TempDir(), "weak.json"), filepath.Join(t.TempDir(), "open.json"), filepath.Join(t.TempDir(), "ca.pem")
	content, err := os.ReadFile(whole["KEYSET_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	for path, given := range map[string]string{
		weak: `{"version":1,"active":"b","keys":[{"kid":"a","secret":"` + strings.Repeat("A", 43) + `","created_at":"2026-11-01T00:00:00Z"}]}`,
		open: string(content), cert: "no PEM",
	} {
		if err := os.WriteFile(path, []byte(given), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		given map[string]string
		want  []string // keys that are refused; none: it holds
	}{
		{name: "all of them", given: whole},
		{name: "SSO-03 no SSO_BRIDGE_URL", given: and(whole, "SSO_BRIDGE_URL", ""), want: []string{"SSO_BRIDGE_URL"}},
		{name: "SSO-03 no SSO_BRIDGE_PUBLIC_URL", given: and(whole, "SSO_BRIDGE_PUBLIC_URL", ""), want: []string{"SSO_BRIDGE_PUBLIC_URL"}},
		{name: "SSO-03 no KEYSET_FILE", given: and(whole, "KEYSET_FILE", ""), want: []string{"KEYSET_FILE"}},
		{name: "SSO-03 none of them", given: map[string]string{"ENTERPRISE_ENABLED": "true"}, want: []string{"KEYSET_FILE", "SSO_BRIDGE_PUBLIC_URL", "SSO_BRIDGE_URL"}},
		{name: "SSO-03 a key set that is not there", given: and(whole, "KEYSET_FILE", weak+".not"), want: []string{"KEYSET_FILE"}},
		{name: "SSO-03 JWS-14 a weak key set, each of its problems", given: and(whole, "KEYSET_FILE", weak), want: []string{"KEYSET_FILE", "KEYSET_FILE"}},
		{name: "JWS-14 a key set that others may read", given: and(whole, "KEYSET_FILE", open), want: []string{"KEYSET_FILE"}},
		{name: "SSO-04 a public address of the bridge that is http off loopback", given: and(whole, "SSO_BRIDGE_PUBLIC_URL", "http://bridge.example.com"), want: []string{"SSO_BRIDGE_PUBLIC_URL"}},
		{name: "SSO-04 http on loopback", given: and(whole, "SSO_BRIDGE_PUBLIC_URL", "http://127.0.0.1:5003")},
		{name: "SSO-04 a public address with a path", given: and(whole, "SSO_BRIDGE_PUBLIC_URL", "https://bridge.example.com/sso"), want: []string{"SSO_BRIDGE_PUBLIC_URL"}},
		{name: "SSO-04 an inner address with a path", given: and(whole, "SSO_BRIDGE_URL", "https://bridge.internal/x"), want: []string{"SSO_BRIDGE_URL"}},
		{name: "SSO-04 an inner address with a user", given: and(whole, "SSO_BRIDGE_URL", "https://a:b@bridge.internal"), want: []string{"SSO_BRIDGE_URL"}},
		{name: "an inner address that is none", given: and(whole, "SSO_BRIDGE_URL", "bridge.internal:5004"), want: []string{"SSO_BRIDGE_URL"}},
		{name: "SSO-04 equal listeners", given: and(whole, "INNER_LISTEN", "127.0.0.1:5001"), want: []string{"INNER_LISTEN"}},
		{name: "SSO-04 two origins", given: and(whole, "CONSOLE_WEB_URL", "http://127.0.0.1:9"), want: []string{"CONSOLE_WEB_URL"}},
		{name: "a time limit below its bounds", given: and(whole, "SSO_BRIDGE_TIMEOUT", "999ms"), want: []string{"SSO_BRIDGE_TIMEOUT"}},
		{name: "a time limit above its bounds", given: and(whole, "SSO_BRIDGE_TIMEOUT", "31s"), want: []string{"SSO_BRIDGE_TIMEOUT"}},
		{name: "roots that are none", given: and(whole, "SSO_BRIDGE_CA_FILE", cert), want: []string{"SSO_BRIDGE_CA_FILE"}},
		{name: "M-18 SSO-03 everything at once", given: and(whole, "SSO_BRIDGE_URL", "x", "SSO_BRIDGE_PUBLIC_URL", "http://a.example", "KEYSET_FILE", "", "SSO_BRIDGE_TIMEOUT", "1h", "SSO_BRIDGE_CA_FILE", cert, "LISTEN", "x"),
			want: []string{"KEYSET_FILE", "LISTEN", "SSO_BRIDGE_CA_FILE", "SSO_BRIDGE_PUBLIC_URL", "SSO_BRIDGE_TIMEOUT", "SSO_BRIDGE_URL"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := app.Load(app.Sources{Flags: tc.given})
			if len(tc.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if got := keysOf(t, err); !slices.Equal(got, tc.want) {
				t.Fatalf("refused %v, want %v", got, tc.want)
			}
		})
	}
	t.Run("SSO-04 DATABASE_URL alone", func(t *testing.T) {
		_, err := app.Load(app.Sources{Flags: whole, Environ: []string{"DATABASE_URL=postgres://u@h/d", "SECRET_KEY=" + strings.Repeat("k", 40), "SEALING_KEY_FILE=/x"}})
		if got := keysOf(t, err); !slices.Equal(got, []string{"REDIS_URL"}) {
			t.Fatal(got)
		}
	})
	warned := func(t *testing.T, given map[string]string, want ...string) {
		t.Helper()
		s, err := app.Load(app.Sources{Flags: given})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Warnings) != len(want) {
			t.Fatalf("warnings %q", s.Warnings)
		}
		for i, w := range s.Warnings {
			if !strings.Contains(w, want[i]) {
				t.Errorf("%q lacks %q", w, want[i])
			}
		}
	}
	t.Run("plain http to the bridge is warned of off loopback", func(t *testing.T) {
		warned(t, and(whole, "SSO_BRIDGE_URL", "http://bridge.internal:5004"), "SSO_BRIDGE_URL is plain http")
		warned(t, and(whole, "SSO_BRIDGE_URL", "http://127.0.0.1:5004"))
	})
	t.Run("SSO-104 a bridge on core's host is warned of off loopback", func(t *testing.T) {
		warned(t, and(whole, "CONSOLE_API_URL", "https://sso.example.com", "SSO_BRIDGE_PUBLIC_URL", "https://sso.example.com"), "on the host of CONSOLE_API_URL")
		warned(t, and(whole, "SSO_BRIDGE_PUBLIC_URL", "http://127.0.0.1:5001"))
	})
	t.Run("the Community Edition ignores each of them with one warning", func(t *testing.T) {
		warned(t, and(whole, "ENTERPRISE_ENABLED", "false", "SSO_BRIDGE_URL", "x y", "SSO_BRIDGE_TIMEOUT", "1h", "KEYSET_FILE", weak, "SSO_DEVICE_ENABLED", "false"),
			"SSO_BRIDGE_URL is ignored", "SSO_BRIDGE_PUBLIC_URL is ignored", "SSO_BRIDGE_TIMEOUT is ignored", "KEYSET_FILE is ignored", "SSO_DEVICE_ENABLED is ignored")
		warned(t, nil)
	})
}

func TestASecretIsNotShared(t *testing.T) {
	whole := enterprise(t)
	content, err := os.ReadFile(whole["KEYSET_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	f, err := keyset.Decode(content)
	if err != nil {
		t.Fatal(err)
	}
	shared := f.Keys[0].Secret
	t.Run("JWS-14 SECRET_KEY is a secret of the key set", func(t *testing.T) {
		_, err := app.Load(app.Sources{Flags: whole, Environ: []string{"SECRET_KEY=" + shared}})
		if got := keysOf(t, err); !slices.Equal(got, []string{"SECRET_KEY"}) || strings.Contains(err.Error(), shared) {
			t.Fatal(err)
		}
	})
	t.Run("JWS-14 SECRET_KEY is published", func(t *testing.T) {
		_, err := app.Load(app.Sources{Flags: whole, Environ: []string{"SECRET_KEY=pLh0c3VQm2c5Xy7Tn1b9kD4wRrJf8sGzEaHqUiOoN6M"}})
		if got := keysOf(t, err); !slices.Equal(got, []string{"SECRET_KEY"}) {
			t.Fatal(err)
		}
	})
	t.Run("JWS-14 a sealing key is a secret of the key set", func(t *testing.T) {
		sealing := filepath.Join(t.TempDir(), "sealing.key")
		standard := strings.NewReplacer("-", "+", "_", "/").Replace(shared) + "="
		if err := os.WriteFile(sealing, []byte("k1:"+standard+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := app.Load(app.Sources{Flags: and(whole, "SEALING_KEY_FILE", sealing)})
		if got := keysOf(t, err); !slices.Equal(got, []string{"SEALING_KEY_FILE"}) {
			t.Fatal(err)
		}
	})
	t.Run("JWS-14 the key that core has made itself is a secret of the key set", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "secret.key"), []byte(shared+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := app.Load(app.Sources{Flags: and(whole, "DATA_DIR", dir)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = app.New(context.Background(), s, app.Options{Log: telemetry.NewLogger(io.Discard, 0, "json")})
		var problems config.Problems
		if !errors.As(err, &problems) || problems[0].Key != "SECRET_KEY" {
			t.Fatalf("err = %v", err)
		}
	})
}
