// SPDX-License-Identifier: Apache-2.0

package datadir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/datadir"
)

func open(t *testing.T) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open("core", filepath.Join(t.TempDir(), "new", "data"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAFileIsMadeOnceAndForItsOwnerAlone(t *testing.T) {
	d := open(t)
	var wg sync.WaitGroup
	got := make([]string, 16)
	for i := range got {
		wg.Go(func() {
			b, err := d.Once("secret.key", func() []byte { return []byte{'a' + byte(i)} })
			if err != nil {
				t.Error(err)
			}
			got[i] = string(b)
		})
	}
	wg.Wait()
	for _, s := range got {
		if s != got[0] || len(s) != 1 {
			t.Fatalf("sixteen at once read %q", got)
		}
	}
	for path, want := range map[string]os.FileMode{d.Path("secret.key"): 0o600, filepath.Dir(d.Path("x")): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
	}
	left, err := filepath.Glob(d.Path(".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestAFileThatOthersMayReadIsRefusedWithWhatToType(t *testing.T) {
	d := open(t)
	if err := os.WriteFile(d.Path("k"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := d.Once("k", func() []byte { return nil })
	if err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatalf("err = %v", err)
	}
}

func TestTheLockNamesItsHolder(t *testing.T) {
	d := open(t)
	release, err := d.Lock(datadir.Serving)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Lock(datadir.Serving)
	var inUse *datadir.InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Fatalf("err = %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = d.Lock(datadir.Serving)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

func TestTheLockSaysWhatItsHolderDoes(t *testing.T) {
	d := open(t)
	release, err := d.Lock("admin setup-code")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Wait(t.Context(), datadir.Serving, 0)
	var inUse *datadir.InUseError
	if !errors.As(err, &inUse) || inUse.Served() || !strings.Contains(err.Error(), `"core admin setup-code"`) {
		t.Fatalf("err = %v", err)
	}
	t.Run("a server waits for a command", func(t *testing.T) {
		got := make(chan error, 1)
		go func() {
			second, err := d.Wait(t.Context(), datadir.Serving, time.Minute)
			if err == nil {
				_, err = d.Wait(t.Context(), "admin setup-code", time.Minute)
				if !errors.As(err, &inUse) || !inUse.Served() {
					err = errors.Join(errors.New("a command waits for a server"), err)
				} else {
					err = second()
				}
			}
			got <- err
		}()
		if err := release(); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a lock of an older version is a server's", func(t *testing.T) {
		release, err := d.Lock(datadir.Serving)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = release() }()
		if err := os.WriteFile(d.Path("lock"), []byte("17\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Lock("admin"); !errors.As(err, &inUse) || !inUse.Served() || inUse.PID != 17 {
			t.Fatalf("err = %v", err)
		}
	})
}
