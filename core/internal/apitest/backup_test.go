// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func TestBackupAndRestore(t *testing.T) {
	aboutEmbedded(t)
	dir := t.TempDir()
	s := apitest.Start(t, unlimited(), apitest.In(dir))
	b := s.SignedIn(t)
	alive, _ := s.SignInDevice(t, b, "alive")
	ended, id := s.SignInDevice(t, b, "ended")
	wantAnswer(t, s.Bearer(t, alive, http.MethodDelete, "/openapi/v1/account/sessions/"+id), http.StatusOK, "")
	page := kyPage{b.Cookie("console_session"), b.CSRF()}

	file := filepath.Join(t.TempDir(), "core.tar")
	t.Run("while somebody writes", func(t *testing.T) {
		var stop atomic.Bool
		written := make(chan int, 1)
		go func() {
			n := 0
			for ; !stop.Load(); n++ {
				s.SignInDevice(t, b, fmt.Sprint("busy ", n%3))
			}
			written <- n
		}()
		got := ctHere(dir, apitest.Version, "backup", "--to", file)
		stop.Store(true)
		if n := <-written; got.code != 0 || n == 0 {
			t.Fatalf("%+v, %d logins", got, n)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v %v", info.Mode(), err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".backup-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	copied, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	restore := func(t *testing.T, to string, content []byte) ctSaid {
		t.Helper()
		path := filepath.Join(t.TempDir(), "copy.tar")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return ctHere(to, apitest.Version, "restore", "--from", path)
	}
	elsewhere := filepath.Join(t.TempDir(), "new")
	t.Run("elsewhere it is the same installation", func(t *testing.T) {
		if got := restore(t, elsewhere, copied); got.code != 0 {
			t.Fatalf("%+v", got)
		}
		r := apitest.Start(t, unlimited(), apitest.In(elsewhere))
		wantAnswer(t, r.Bearer(t, alive, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
		wantAnswer(t, r.Bearer(t, ended, http.MethodGet, "/openapi/v1/account"), http.StatusUnauthorized, "")
		wantAnswer(t, page.decides(t, r, "deny", r.Code(t, "x").User), http.StatusOK, "")
		if left, _ := filepath.Glob(filepath.Join(elsewhere, ".restore-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("a directory that is in use or not empty is refused", func(t *testing.T) {
		for name, to := range map[string]string{"is not empty": elsewhere} {
			if got := restore(t, to, copied); got.code != 1 || !strings.Contains(got.err, name) {
				t.Errorf("%+v", got)
			}
		}
	})
	flipped := bytes.Clone(copied)
	flipped[len(flipped)/2] ^= 1
	for name, content := range map[string][]byte{ // pkg/backup has the others
		"nothing": nil, "no tar": []byte(strings.Repeat("x", 4096)), "cut short": copied[:len(copied)/2], "a bit is flipped": flipped,
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "to")
			if got := restore(t, to, content); got.code != 1 || got.out != "" {
				t.Fatalf("%+v", got)
			}
			entries, err := os.ReadDir(to)
			if err != nil || len(entries) > 1 { // the lock
				t.Fatalf("%v %v", entries, err)
			}
		})
	}
	t.Run("keys that do not fit the database are refused", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "to")
		if err := os.Mkdir(to, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, "secret.key"), []byte(strings.Repeat("k", 40)), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := restore(t, to, copied); got.code != 1 || !strings.Contains(got.err, "another key") {
			t.Fatalf("%+v", got)
		}
	})
}
