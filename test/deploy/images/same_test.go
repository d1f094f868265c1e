// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// The same sources in another folder, with other times, under another umask and zone.
// REPRODUCE=full compiles each package anew too, which takes minutes.
func TestTwoBuildsAreEqual(t *testing.T) {
	t.Run("SUP-03 two builds in two folders give the same bytes", func(t *testing.T) {
		first := images(t)
		root, err := process.Root()
		if err != nil {
			t.Fatal(err)
		}
		checkout, out := filepath.Join(t.TempDir(), "elsewhere"), t.TempDir()
		copied(t, root, checkout)
		cmd := exec.Command("sh", "-c", `umask 077 && exec go run ./deploy/image build --out "$1" --arch "$2" --version v0.0.0 --programs core`, "sh", out, runtime.GOARCH)
		cmd.Dir = checkout
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0", "TZ=Pacific/Chatham", "LANG=C")
		if os.Getenv("REPRODUCE") == "full" {
			cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
		}
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		for _, name := range []string{"core-" + runtime.GOARCH + ".tar", "core-" + runtime.GOARCH + ".cdx.json", filepath.Join("core", "index.json")} {
			a, b := read(t, filepath.Join(first, name)), read(t, filepath.Join(out, name))
			if !bytes.Equal(a, b) {
				t.Errorf("%s differs: %d bytes and %d", name, len(a), len(b))
			}
		}
	})
}

// copied copies what git would commit.
func copied(t *testing.T, from, to string) {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = from
	list, err := cmd.Output()
	if err != nil {
		t.Fatalf("which files are of the repository: %v", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(list), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue // removed and not committed
		}
		if err == nil {
			err = os.MkdirAll(filepath.Join(to, filepath.Dir(name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestListsOfParts(t *testing.T) {
	for _, program := range programs {
		t.Run("SUP-03 the list of parts of "+program+" names each module and the program's digest", func(t *testing.T) {
			img := load(t, program)
			var bom struct {
				BomFormat, SpecVersion string
				Metadata               struct {
					Component struct{ Type, Name string }
				}
				Components []struct {
					Type, Name, Version, Purl string
					Hashes                    []struct{ Alg, Content string }
					Licenses                  []struct{ Expression string }
				}
			}
			if err := json.Unmarshal(read(t, filepath.Join(images(t), program+"-"+runtime.GOARCH+".cdx.json")), &bom); err != nil {
				t.Fatal(err)
			}
			if bom.BomFormat != "CycloneDX" || bom.SpecVersion != "1.6" || bom.Metadata.Component.Type != "container" {
				t.Errorf("head: %+v", bom.Metadata)
			}
			digest := sha256.Sum256(img.Files[program])
			names := map[string]string{}
			for _, c := range bom.Components {
				names[c.Name] = c.Version
				if len(c.Licenses) == 0 || c.Licenses[0].Expression == "" {
					t.Errorf("%s has no licence", c.Name)
				}
				if c.Type == "application" && (len(c.Hashes) != 1 || c.Hashes[0].Content != hex.EncodeToString(digest[:])) {
					t.Errorf("the digest of %s is %v, not %x", c.Name, c.Hashes, digest)
				}
			}
			for _, want := range []string{program, "std", "github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp", "/etc/ssl/certs/ca-certificates.crt"} {
				if _, ok := names[want]; !ok {
					t.Errorf("%s is missing", want)
				}
			}
			if names["std"] != strings.TrimPrefix(runtime.Version(), "go") {
				t.Errorf("Go is %q", names["std"])
			}
		})
	}
	t.Run("SUP-03 the checksums are those of the files", func(t *testing.T) {
		lines := strings.Split(strings.TrimSpace(string(read(t, filepath.Join(images(t), "checksums.txt")))), "\n")
		if len(lines) != 4 {
			t.Errorf("%d files: %q", len(lines), lines)
		}
		for _, line := range lines {
			digest, name, _ := strings.Cut(line, "  ")
			if got := fmt.Sprintf("%x", sha256.Sum256(read(t, filepath.Join(images(t), name)))); got != digest {
				t.Errorf("%s is %s", name, got)
			}
		}
	})
}
