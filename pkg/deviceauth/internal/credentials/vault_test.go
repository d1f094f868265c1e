// SPDX-License-Identifier: Apache-2.0

package credentials_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/keyring"
)

const host = "https://sso.example.com"

// A process of its own that signs in on hosts of its own, each in the same file.
func TestMain(m *testing.M) {
	if dir, name := os.Getenv("TEST_VAULT_DIR"), os.Getenv("TEST_VAULT_NAME"); dir != "" {
		v := credentials.Vault{Store: credentials.Store{Dir: dir}, Ring: keyring.None{}, Mode: credentials.Auto}
		for i := range logins {
			if _, _, err := v.Keep(entry(fmt.Sprintf("https://%s-%d.example.com", name, i), "t")); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	processes = 6
	logins    = 20
)

func entry(at, token string) credentials.Entry {
	return credentials.Entry{Host: at, Token: deviceauth.NewSecret(token), TokenID: "id-" + token, SignedInAt: time.Now()}
}

func TestProcessesAtOnceLoseNoSignIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "difyauth")
	var all sync.WaitGroup
	for n := range processes {
		all.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "TEST_VAULT_DIR="+dir, fmt.Sprintf("TEST_VAULT_NAME=p%d", n))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	f, err := credentials.Store{Dir: dir}.Load()
	if err != nil || len(f.Entries) != processes*logins {
		t.Fatalf("%d sign-ins of %d: %v", len(f.Entries), processes*logins, err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 2 { // the file and its lock
		t.Errorf("left %v", left)
	}
}

// ring is a keyring in memory; err, when set, is what it says to everything.
type ring struct {
	items map[string]string
	err   error
}

func (r *ring) Get(item string) (string, error) {
	secret, ok := r.items[item]
	if !ok && r.err == nil {
		return "", keyring.ErrAbsent
	}
	return secret, r.err
}

func (r *ring) Set(item, secret string) error {
	if r.err == nil {
		r.items[item] = secret
	}
	return r.err
}

func (r *ring) Delete(item string) error {
	if _, ok := r.items[item]; !ok && r.err == nil {
		return keyring.ErrAbsent
	}
	if r.err == nil {
		delete(r.items, item)
	}
	return r.err
}

func vault(t *testing.T, mode string) (credentials.Vault, *ring) {
	r := &ring{items: map[string]string{}}
	return credentials.Vault{Store: credentials.Store{Dir: filepath.Join(t.TempDir(), "difyauth")}, Ring: r, Mode: mode}, r
}

func content(t *testing.T, v credentials.Vault) string {
	b, err := os.ReadFile(v.Path())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func load(t *testing.T, v credentials.Vault) credentials.Entry {
	t.Helper()
	f, err := v.Load()
	if err != nil {
		t.Fatal(err)
	}
	e, _ := f.Of(host)
	return e
}

func TestATokenInTheKeyring(t *testing.T) {
	t.Run("PPL-08 is not in the file, and logout takes it out of both", func(t *testing.T) {
		v, r := vault(t, credentials.Auto)
		kept, _, err := v.Keep(entry(host, "tok-1"))
		if err != nil || kept.Kept != credentials.InKeyring || len(r.items) != 1 || strings.Contains(content(t, v), `"tok-1"`) || !strings.Contains(content(t, v), `"token_id": "id-tok-1"`) {
			t.Fatal(err, kept.Kept, r.items, content(t, v))
		}
		opened, moved, err := v.Open(load(t, v))
		if err != nil || moved || opened.Token.Reveal() != "tok-1" {
			t.Fatal(err, moved)
		}
		if a, b := v.Forget(opened, false); a != nil || b != nil || len(r.items) != 0 || content(t, v) != "" {
			t.Fatal(a, b, r.items, content(t, v))
		}
	})
	t.Run("PPL-08 no keyring: the file has it, unless a keyring was asked for", func(t *testing.T) {
		v, r := vault(t, credentials.Auto)
		r.err = keyring.ErrUnavailable
		if kept, _, err := v.Keep(entry(host, "tok-1")); err != nil || kept.Kept != credentials.InFile || !strings.Contains(content(t, v), `"token": "tok-1"`) {
			t.Fatal(err, kept.Kept, content(t, v))
		}
		v.Mode = credentials.InKeyring
		if _, _, err := v.Keep(entry(host, "tok-2")); !errors.Is(err, keyring.ErrUnavailable) || load(t, v).Token.Reveal() != "tok-1" {
			t.Fatal(err)
		}
	})
	t.Run("a new sign-in gives the old one back, to be ended, and leaves one item", func(t *testing.T) {
		v, r := vault(t, credentials.Auto)
		_, _, _ = v.Keep(entry(host, "tok-1"))
		if _, before, err := v.Keep(entry(host, "tok-2")); err != nil || before.Token.Reveal() != "tok-1" || len(r.items) != 1 {
			t.Fatal(err, r.items)
		}
		v.Mode = credentials.InFile
		if _, before, err := v.Keep(entry(host, "tok-3")); err != nil || before.Token.Reveal() != "tok-2" || len(r.items) != 0 {
			t.Fatal(err, r.items)
		}
	})
}

func TestAFileOfTheFirstVersionMoves(t *testing.T) {
	old := `{"version":1,"hosts":{"` + host + `":{"token":"tok-1","token_id":"id-1","signed_in_at":"2026-01-02T03:04:05Z"}}}`
	write := func(t *testing.T, v credentials.Vault) credentials.Entry {
		if err := os.MkdirAll(v.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(v.Path(), []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		return load(t, v)
	}
	t.Run("into the keyring", func(t *testing.T) {
		v, r := vault(t, credentials.Auto)
		e, moved, err := v.Open(write(t, v))
		if err != nil || !moved || e.Token.Reveal() != "tok-1" || strings.Contains(content(t, v), "tok-1") || len(r.items) != 1 {
			t.Fatal(err, moved, content(t, v))
		}
		if e, moved, err := v.Open(load(t, v)); err != nil || moved || e.Token.Reveal() != "tok-1" {
			t.Fatal(err, moved)
		}
	})
	t.Run("not where there is no keyring, and it is asked once", func(t *testing.T) {
		v, r := vault(t, credentials.Auto)
		r.err = keyring.ErrUnavailable
		e, moved, err := v.Open(write(t, v))
		if err != nil || moved || e.Token.Reveal() != "tok-1" || load(t, v).Kept != credentials.InFile {
			t.Fatal(err, moved)
		}
	})
	t.Run("not over a newer sign-in", func(t *testing.T) {
		v, r := vault(t, credentials.Auto)
		stale := write(t, v)
		_, _, _ = v.Keep(entry(host, "tok-2"))
		if e, moved, err := v.Open(stale); err != nil || moved || e.Token.Reveal() != "tok-1" || len(r.items) != 1 || load(t, v).TokenID != "id-tok-2" {
			t.Fatal(err, moved, r.items)
		}
	})
}
