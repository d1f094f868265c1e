// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
)

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }

// taken gives what was logged since the last call.
func (l *lines) taken() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.b.String()
	l.b.Reset()
	return text
}

func open(t *testing.T, settings map[string]string) (*app.App, *lines) {
	t.Helper()
	s, err := load(settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	a, err := app.New(t.Context(), s, app.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, log
}

func write(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestAKeySetThatIsReadAgain(t *testing.T) {
	settings := given(t)
	path := settings["KEYSET_FILE"]
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, log := open(t, settings)
	own, err := os.ReadFile(filepath.Join(settings["DATA_DIR"], "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	before := a.Readiness(t.Context()).Keyset
	entry := func(kid, secret string) string {
		return `{"kid":"` + kid + `","secret":"` + secret + `","created_at":"2026-11-01T00:00:00Z"}`
	}
	strong := strings.Repeat("xYz9_-Q", 6) + "A"
	for _, tc := range []struct {
		name, content string
		mode          os.FileMode
	}{
		{"SSO-42 that is broken", "{", 0o600},
		{"SSO-42 that anybody may read", string(good), 0o644},
		{"SSO-42 with an entry twice", `{"version":1,"active":"a","keys":[` + entry("a", strong) + "," + entry("a", strong) + `]}`, 0o600},
		{"SSO-42 with a weak secret", `{"version":1,"active":"a","keys":[` + entry("a", "AAAA") + `]}`, 0o600},
		{"SSO-42 with the bridge's own SECRET_KEY", `{"version":1,"active":"a","keys":[` + entry("a", strings.TrimSpace(string(own))) + `]}`, 0o600},
	} {
		t.Run(tc.name, func(t *testing.T) {
			write(t, path, tc.content, tc.mode)
			log.taken()
			a.Reload()
			if text := log.taken(); !strings.Contains(text, "KEYSET_FILE is refused") {
				t.Error(text)
			}
			if now := a.Readiness(t.Context()).Keyset; now != before {
				t.Errorf("the set in force is %s, and was %s", now, before)
			}
		})
	}
	t.Run("SSO-41 another good one is in force at once", func(t *testing.T) {
		write(t, path, `{"version":1,"active":"b","keys":[`+entry("b", "9f3K2mQxv7LwB1tYc8RzUeHdGaJsPoNi5XkZ0lVbC4M")+`]}`, 0o600)
		a.Reload()
		if now := a.Readiness(t.Context()).Keyset; now == before {
			t.Error(log.taken())
		}
	})
}

const declared = `version: 1
connections:
  - { id: gh, name: GitHub, preset: github, intents: [device_flow], enable: force, reason: a test, oauth2: { client_id: one, client_secret_file: SECRET } }
`

func TestAConnectionsFileThatIsReadAgain(t *testing.T) {
	settings := given(t)
	file, secret := filepath.Join(t.TempDir(), "connections.yaml"), filepath.Join(t.TempDir(), "secret")
	content := strings.Replace(declared, "SECRET", secret, 1)
	write(t, secret, "first\n", 0o600)
	write(t, file, content, 0o600)
	settings["CONNECTIONS_FILE"] = file
	a, log := open(t, settings)
	if err := a.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	serving := func() string {
		t.Helper()
		v, err := a.Connections.Show(t.Context(), "gh")
		if err != nil {
			t.Fatal(err)
		}
		return v.Serving
	}
	first := serving()
	if first == "" {
		t.Fatal("what the file enables by force does not serve")
	}
	t.Run("SSO-81 one that does not parse leaves the state as it was", func(t *testing.T) {
		write(t, file, content+"  - { id: two, no_such: 1 }\n", 0o600)
		a.Reload()
		if text := log.taken(); !strings.Contains(text, "CONNECTIONS_FILE is refused") || serving() != first {
			t.Error(text)
		}
	})
	t.Run("SSO-81 a secret that has changed in its file is a new revision", func(t *testing.T) {
		write(t, file, content, 0o600)
		write(t, secret, "second\n", 0o600)
		a.Reload()
		if serving() == first {
			t.Error(log.taken())
		}
	})
	t.Run("SSO-81 what is gone from the file is disabled", func(t *testing.T) {
		write(t, file, "version: 1\nconnections: []\n", 0o600)
		a.Reload()
		v, err := a.Connections.Show(t.Context(), "gh")
		if err != nil || v.State != "disabled" {
			t.Errorf("%v %v: %s", v.State, err, log.taken())
		}
	})
}
