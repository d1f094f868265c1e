// SPDX-License-Identifier: Apache-2.0

package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhoIsWelcome(t *testing.T) {
	for _, tc := range []struct {
		name    string
		uid, of int
		want    bool
	}{
		{"the same user", 1000, 1000, true},
		{"root", 0, 1000, true},
		{"another user", 1001, 1000, false},
		{"another user, of root", 1000, 0, false},
		{"where the system does not tell", anybody, 1000, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := welcome(tc.uid, tc.of); got != tc.want {
				t.Errorf("welcome %v", got)
			}
		})
	}
}

func TestALinkMakesALongPathShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("a", 120)) + "/"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "s"), []byte("found"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("t", 120))) // that one is no help
	short, done, err := link(dir, "s")
	if err != nil || len(short) > maxPath {
		t.Fatalf("%s, %v", short, err)
	}
	if text, err := os.ReadFile(short); err != nil || string(text) != "found" {
		t.Errorf("%q, %v", text, err)
	}
	done()
	if _, err := os.Lstat(filepath.Dir(filepath.Dir(short))); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "s")); err != nil {
		t.Errorf("what the link led to is gone: %v", err)
	}
}
