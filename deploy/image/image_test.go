// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/dify-sso/dify-sso/deploy/image/parts"
)

// binary stands in for a program: this test's own, which says what it is made of too.
func binary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func atRoot(t *testing.T) {
	t.Helper()
	t.Chdir(filepath.Join("..", ".."))
}

// Both architectures stand in one index, which reads back as it was written, and a second
// writing gives the same.
func TestAnIndexOfBothArchitectures(t *testing.T) {
	path := binary(t)
	atRoot(t)
	var digests []string
	for range 2 {
		r := release{version: "v1.2.3", out: t.TempDir(), created: time.Unix(1_700_000_000, 0).UTC()}
		if err := r.write("core", map[string]string{"amd64": path, "arm64": path}); err != nil {
			t.Fatal(err)
		}
		index, err := layout.ImageIndexFromPath(filepath.Join(r.out, "core"))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		if len(manifest.Manifests) != 2 || manifest.Manifests[0].Platform.Architecture != "amd64" || manifest.Manifests[1].Platform.Architecture != "arm64" {
			t.Errorf("index: %+v", manifest.Manifests)
		}
		digest, err := index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
		// What was written wrong does not read back.
		blobs, _ := filepath.Glob(filepath.Join(r.out, "core", "blobs", "sha256", "*"))
		for _, b := range blobs {
			content, err := os.ReadFile(b)
			if err != nil {
				t.Fatal(err)
			}
			content[len(content)/2] ^= 1
			if err := os.WriteFile(b, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.check(filepath.Join(r.out, "core"), "core"); err == nil {
			t.Error("a layout that was changed reads back")
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("two writings: %v", digests)
	}
}

// The archive of a tagged commit is what the chart and the compose files of that commit ask for.
func TestTheTagIsWhatIsAskedFor(t *testing.T) {
	atRoot(t)
	want := reference("core", "v0.1.0")
	for path, line := range map[string]string{
		"deploy/helm/dify-sso/Chart.yaml": `appVersion: "` + strings.TrimPrefix(want, "dify-sso/core:") + `"`,
		"deploy/compose/ce.yaml":          "${CORE_IMAGE:-" + want + "}",
		"deploy/compose/ee.yaml":          "${SSO_BRIDGE_IMAGE:-" + reference("sso-bridge", "v0.1.0") + "}",
	} {
		if content, err := os.ReadFile(path); err != nil || !strings.Contains(string(content), line) {
			t.Errorf("%s does not ask for %s (%v)", path, line, err)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	atRoot(t)
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"nothing to do", "name what to do", nil},
		{"another verb", "none of build", []string{"push"}},
		{"another program", "none of core", []string{"build", "--programs", "devidp", "--out", t.TempDir()}},
		{"another architecture", "none of amd64", []string{"build", "--arch", "riscv64", "--out", t.TempDir()}},
		{"no binary", "name the binaries", []string{"sbom"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := run(tc.args); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("said %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := epoch("yesterday"); err == nil {
		t.Error("a date that is no number was taken")
	}
}

func TestNoticeRefusesWhatMayNotBeThere(t *testing.T) {
	atRoot(t)
	was := parts.May
	t.Cleanup(func() { parts.May = was })
	parts.May = []string{"MIT"}
	if _, err := parts.Notice([]string{"./core/cmd/core"}); err == nil || !strings.Contains(err.Error(), "may not be a part") {
		t.Errorf("a licence that is on no list: %v", err)
	}
}
