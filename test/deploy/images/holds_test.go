// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/archtest"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

var programs = []string{"core", "sso-bridge"}

// listed are the files of an image but for its program and the zones.
var listed = map[string]string{
	"data/":                             "drwx------ 65532:65532",
	"etc/":                              "drwxr-xr-x 0:0",
	"etc/passwd":                        "-rw-r--r-- 0:0",
	"etc/ssl/":                          "drwxr-xr-x 0:0",
	"etc/ssl/certs/":                    "drwxr-xr-x 0:0",
	"etc/ssl/certs/ca-certificates.crt": "-rw-r--r-- 0:0",
	"licenses/":                         "drwxr-xr-x 0:0",
	"licenses/LICENSE":                  "-rw-r--r-- 0:0",
	"licenses/NOTICE":                   "-rw-r--r-- 0:0",
	"tmp/":                              "dtrwxrwxrwx 0:0",
	"usr/":                              "drwxr-xr-x 0:0",
	"usr/share/":                        "drwxr-xr-x 0:0",
}

func TestNothingElseIsInAnImage(t *testing.T) {
	for _, program := range programs {
		t.Run("SUP-04 "+program+" holds the files of the list and no other", func(t *testing.T) {
			img := load(t, program)
			want := map[string]string{program: "-rwxr-xr-x 0:0"}
			for path, mode := range listed {
				want[path] = mode
			}
			zones := 0
			for _, h := range img.Headers {
				got := fmt.Sprintf("%s %d:%d", h.FileInfo().Mode(), h.Uid, h.Gid)
				if strings.HasPrefix(h.Name, "usr/share/zoneinfo/") {
					zones++
					if got != "drwxr-xr-x 0:0" && (got != "-rw-r--r-- 0:0" || !bytes.HasPrefix(img.Files[h.Name], []byte("TZif"))) {
						t.Errorf("%s is %s and no zone", h.Name, got)
					}
					continue
				}
				if want[h.Name] != got {
					t.Errorf("%s is %s, want %q", h.Name, got, want[h.Name])
				}
				if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
					t.Errorf("%s is a %q", h.Name, h.Typeflag)
				}
				if h.ModTime.Unix() != 0 {
					t.Errorf("%s is dated %s", h.Name, h.ModTime)
				}
				delete(want, h.Name)
			}
			if len(want) > 0 || zones < 300 {
				t.Errorf("missing: %v, and there are %d zones", want, zones)
			}
			c := img.Config.Config
			if c.User != "65532:65532" || len(c.Env) != 0 || c.WorkingDir != "/" || len(c.Volumes) != 0 || !slices.Equal(c.Entrypoint, []string{"/" + program}) || !slices.Equal(c.Cmd, []string{"serve"}) {
				t.Errorf("configuration: %+v", c)
			}
		})
	}
}

// of tests: packages and programs that a product image never holds, as they stand in the
// names of functions, which a stripped binary keeps.
var testsOnly = regexp.MustCompile(`github\.com/dify-sso/dify-sso/[a-z/-]*(test|testserver|devidp|faulttest|attacktest|cmd/demo)\.[A-Za-z(]|net/http/httptest\.[A-Za-z(]|/toxiproxy`)

var privateKey = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[\r\n]+[A-Za-z0-9+/=\r\n]{16,}-----END`)

// fuzzKey is the one exception. crewjam/saml 0.5.1 ships a key for its own fuzz target in
// xmlenc/fuzz.go, which is no file of tests to the go command. Nothing but that target reads
// it: to hold it gives nobody anything. A key of any other digest, or two, fail.
const fuzzKey = "894c0f816d5cf427dcaa250a45a3e9217fa776048e657f7392473874f9535da0"

func TestNoTestIsInAnImage(t *testing.T) {
	for _, program := range programs {
		t.Run("SUP-04 "+program+" holds no key, no provider and no helper of a test", func(t *testing.T) {
			img := load(t, program)
			for name, content := range img.Files {
				if found := testsOnly.Find(content); found != nil {
					t.Errorf("%s holds %q", name, found)
				}
				for _, found := range privateKey.FindAll(content, -1) {
					if d := fmt.Sprintf("%x", sha256.Sum256(found)); d != fuzzKey || program != "sso-bridge" {
						t.Errorf("%s holds a private key, of digest %s", name, d)
					}
				}
			}
			info, err := buildinfo.Read(bytes.NewReader(img.Files[program]))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(info.Path, "/cmd/"+program) {
				t.Errorf("the program is %s", info.Path)
			}
			for _, m := range info.Deps {
				for _, never := range []string{"/test/", "/bench", "/deploy/", "chromedp", "toxiproxy", "goleak", "go-cmp"} {
					if strings.Contains(m.Path, never) {
						t.Errorf("%s is built of %s", program, m.Path)
					}
				}
			}
		})
	}
	t.Run("SUP-04 what would be found is found", func(t *testing.T) {
		for _, bad := range []string{"github.com/dify-sso/dify-sso/pkg/testserver.Postgres", "github.com/dify-sso/dify-sso/sso-bridge/internal/attacktest.New", "net/http/httptest.NewServer"} {
			if !testsOnly.MatchString(bad) {
				t.Errorf("%s is passed over", bad)
			}
		}
		key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: bytes.Repeat([]byte("key"), 40)})
		if len(privateKey.FindAll(slices.Concat([]byte("before"), key, []byte("after"), key), -1)) != 2 {
			t.Error("a key is passed over")
		}
	})
}

// A published secret is no secret: both services refuse it at the start.
func TestPublishedKeysAreRefused(t *testing.T) {
	for _, program := range programs {
		t.Run("SUP-04 "+program+" does not start with a key set that stands in documents", func(t *testing.T) {
			c := unpack(t, program)
			environ := []string{"ENTERPRISE_ENABLED=true", "KEYSET_FILE=/data/keyset.json", "CONSOLE_API_URL=http://127.0.0.1:5001", "CORE_INNER_URL=http://127.0.0.1:5002",
				"SSO_BRIDGE_URL=http://127.0.0.1:5004", "SSO_BRIDGE_PUBLIC_URL=http://127.0.0.1:5003"}
			if program == "sso-bridge" {
				environ = environ[1:]
			}
			check := func(secret string) (string, error) {
				t.Helper()
				path := filepath.Join(c.data, "keyset.json")
				content := fmt.Sprintf(`{"version":1,"active":"a","keys":[{"kid":"a","secret":%q,"created_at":"2026-01-01T00:00:00Z","verify_until":null}]}`, secret)
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chown(path, user, user); err != nil {
					t.Fatal(err)
				}
				return c.do(environ, "", "/"+program, "config", "check")
			}
			if said, err := check("2m0mXg4v8Qk1Jr7TzB3yHs6LwPcDnEfUaViOoRtKx9Y"); err != nil {
				t.Fatalf("a key set of one's own: %v\n%s", err, said)
			}
			if said, err := check("pLh0c3VQm2c5Xy7Tn1b9kD4wRrJf8sGzEaHqUiOoN6M"); err == nil || !strings.Contains(said, "KEYSET_FILE") {
				t.Errorf("a published one: %v\n%s", err, said)
			}
		})
	}
}

// Of the graph: what no product program may reach, whoever asks for it.
func TestProductsReachNoTest(t *testing.T) {
	root, err := process.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"./core/cmd/core", "./sso-bridge/cmd/sso-bridge", "./pkg/deviceauth/cmd/difyauth"} {
		t.Run("SUP-04 "+filepath.Base(program)+" imports nothing of tests", func(t *testing.T) {
			cmd := exec.Command("go", "list", "-deps", "-tags", "nethttpomithttp2", program)
			cmd.Dir = root
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(out), "/cmd/"+filepath.Base(program)) {
				t.Fatalf("a listing without the program:\n%s", out)
			}
			for line := range strings.Lines(string(out)) {
				path := strings.TrimSpace(line)
				name := filepath.Base(path)
				if path == "testing" || strings.HasPrefix(path, "internal/") {
					continue // fiber's utils hold an assertion, and so its type, which brings parts of Go
				}
				if strings.HasSuffix(name, "test") || name == "testserver" || name == "devidp" || strings.HasPrefix(path, "testing/") || strings.Contains(path, "crewjam/saml/samlidp") || strings.Contains(path, "toxiproxy") {
					t.Errorf("it reaches %s", path)
				}
			}
		})
	}
}

func TestFloorsOfWhatIsGivenAway(t *testing.T) {
	for _, program := range programs {
		t.Run("SUP-01 the modules of "+program+"'s image are above their floors", func(t *testing.T) {
			archtest.FloorsOf(t, load(t, program).Files[program])
		})
	}
	t.Run("SUP-01 every module of the workspace is above the floors, alone and together", func(t *testing.T) {
		root, err := process.Root()
		if err != nil {
			t.Fatal(err)
		}
		work, err := os.ReadFile(filepath.Join(root, "go.work"))
		if err != nil {
			t.Fatal(err)
		}
		modules := regexp.MustCompile(`(?m)^\t\./(\S+)$`).FindAllSubmatch(work, -1)
		if len(modules) < 10 {
			t.Fatalf("%d modules in go.work", len(modules))
		}
		for _, m := range modules {
			t.Chdir(filepath.Join(root, string(m[1])))
			archtest.Floors(t)
		}
	})
}
