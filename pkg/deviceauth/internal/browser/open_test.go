// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestCommand(t *testing.T) {
	for goos, want := range map[string]string{"linux": "xdg-open [https://x/]", "darwin": "open [https://x/]", "windows": "rundll32 [url.dll,FileProtocolHandler https://x/]"} {
		name, args := command(goos, "https://x/")
		if got := fmt.Sprint(name, " ", args); got != want {
			t.Errorf("%s: %s", goos, got)
		}
	}
}

func TestOpen(t *testing.T) {
	for _, uri := range []string{"file:///bin/sh", "--help", "javascript:alert(1)", ""} {
		if Open(uri) == nil {
			t.Errorf("%q was opened", uri)
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("the rest uses a script in place of xdg-open")
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	script := "#!/bin/sh\nPATH=/usr/bin:/bin\necho \"$1 ${DIFYAUTH_TOKEN:-none}\" > " + out + ".tmp && mv " + out + ".tmp " + out + "\n"
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("DIFYAUTH_TOKEN", "secret")
	if err := Open("https://x/"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got, err := os.ReadFile(out)
		if err == nil {
			if string(got) != "https://x/ none\n" {
				t.Fatalf("%s", got)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
