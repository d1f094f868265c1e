// SPDX-License-Identifier: Apache-2.0

package datadir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/datadir"
)

func open(t *testing.T) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(filepath.Join(t.TempDir(), "new", "data"))
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
	release, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Lock()
	var inUse *datadir.InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Fatalf("err = %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = d.Lock()
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}
