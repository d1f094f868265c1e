// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// start builds an app in dir and closes it again.
func start(t *testing.T, dir string, environ ...string) error {
	t.Helper()
	s, err := app.Load(app.Sources{Environ: append(environ, "DATA_DIR="+dir)})
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(context.Background(), s, app.Options{Log: telemetry.NewLogger(io.Discard, 0, "json")})
	if err != nil {
		return err
	}
	return a.Close()
}

func TestKeysAreMadeOnceAndMissed(t *testing.T) {
	dir := t.TempDir()
	if err := start(t, dir); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, name := range []string{"secret.key", "sealing.key", "core.db"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", name, info.Mode().Perm())
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		before[name] = string(content)
	}
	if err := start(t, dir); err != nil {
		t.Fatalf("second start: %v", err)
	}
	t.Run("another SECRET_KEY is refused at start", func(t *testing.T) {
		if err := start(t, dir, "SECRET_KEY="+strings.Repeat("k", 40)); !errors.Is(err, installation.ErrKeyChanged) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("another sealing key is refused at start", func(t *testing.T) {
		other := t.TempDir()
		if err := start(t, other); err != nil {
			t.Fatal(err)
		}
		if err := start(t, dir, "SEALING_KEY_FILE="+filepath.Join(other, "sealing.key")); !errors.Is(err, installation.ErrKeyChanged) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("a database without its keys is refused and no new one is made", func(t *testing.T) {
		for _, name := range []string{"secret.key", "sealing.key"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if got := keysOf(t, start(t, dir)); !slices.Equal(got, []string{"SEALING_KEY_FILE", "SECRET_KEY"}) {
			t.Fatal(got)
		}
		if _, err := os.Stat(filepath.Join(dir, "secret.key")); !os.IsNotExist(err) {
			t.Fatal("a new key was made")
		}
	})
	t.Run("restored keys open it again", func(t *testing.T) {
		for _, name := range []string{"secret.key", "sealing.key"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(before[name]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := start(t, dir); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("SECRET_KEY_FILE serves as well", func(t *testing.T) {
		if err := start(t, dir, "SECRET_KEY_FILE="+filepath.Join(dir, "secret.key")); err != nil {
			t.Fatal(err)
		}
	})
}
