// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The demo is the first thing that a newcomer sees: it must go on working with the
// programs that "make build" makes.
func TestTheDemoPlaysToItsEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("builds both programs: make test runs it")
	}
	bin := t.TempDir()
	for name, path := range map[string]string{"core": "core/cmd/core", "difyauth": "pkg/deviceauth/cmd/difyauth"} {
		build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(bin, name), "github.com/dify-sso/dify-sso/"+path)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	if err := run(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
}

// A browser that does not find its form says where it stands.
func TestTheBrowserMissesAForm(t *testing.T) {
	b := &browser{path: "/device", page: `<form action="/other"></form>`}
	if err := b.submit("/signin", nil); err == nil || err.Error() != "/device has no form for /signin" {
		t.Errorf("err = %v", err)
	}
	if err := b.expect("/account/sessions"); err == nil {
		t.Error("it is somewhere else and nothing was said")
	}
}
