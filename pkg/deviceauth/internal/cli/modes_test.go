// SPDX-License-Identifier: Apache-2.0

//go:build unix

package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

func TestModesOfTheCredentials(t *testing.T) {
	old := syscall.Umask(0) // whatever the person's is
	defer syscall.Umask(old)
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	t.Run("PPL-08 a file of mode 0600 in a folder of mode 0700", func(t *testing.T) {
		s := newStage(t)
		s.dir = filepath.Join(s.dir, "config", "difyauth")
		for range 2 { // made, then replaced
			s.login()
			if m := mode(s.dir); m != 0o700 {
				t.Errorf("folder %04o", m)
			}
			if m := mode(filepath.Dir(s.dir)); m != 0o700 {
				t.Errorf("its parent, which was made too, %04o", m)
			}
			if m := mode(filepath.Join(s.dir, "credentials.json")); m != 0o600 {
				t.Errorf("file %04o", m)
			}
		}
		if entries, _ := os.ReadDir(s.dir); len(entries) != 2 { // the lock stays
			t.Errorf("left %v", entries)
		}
	})
	t.Run("PPL-08 the file is replaced, never rewritten", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "difyauth")
		store := credentials.Store{Dir: dir}
		save := func(token string) {
			t.Helper()
			f := credentials.File{}.With(credentials.Entry{Host: "https://sso.example.com", Token: deviceauth.NewSecret(token), SignedInAt: time.Now()})
			if err := store.Update(false, func(credentials.File) (credentials.File, error) { return f, nil }); err != nil {
				t.Fatal(err)
			}
		}
		save("first")
		open, err := os.Open(store.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = open.Close() }()
		save("second")
		b := make([]byte, 4096)
		n, _ := open.Read(b)
		if !strings.Contains(string(b[:n]), "first") || strings.Contains(string(b[:n]), "second") {
			t.Errorf("a reader of the old file reads %s", b[:n])
		}
		f, err := store.Load()
		if e, ok := f.Of("https://sso.example.com"); err != nil || !ok || e.Token.Reveal() != "second" {
			t.Error(err, e)
		}
	})
}
