// SPDX-License-Identifier: Apache-2.0

// Package images_test makes the image of this machine's architecture and runs it as an
// engine does: unpacked, in a root of its own that cannot be written to, as its user.
package images_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

const user = 65532

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _, made := state(); made {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// images are made once, by the command that "make images" runs.
var (
	once    sync.Once
	dir     string
	made    bool
	failure error
)

func state() (string, error, bool) { return dir, failure, made }

func build() {
	made = true
	if dir, failure = os.MkdirTemp("", "images-"); failure != nil {
		return
	}
	var root string
	if root, failure = process.Root(); failure == nil {
		failure = makeImages(root, dir, "core,sso-bridge")
	}
}

// makeImages runs deploy/image in a checkout.
func makeImages(root, out, programs string) error {
	cmd := exec.Command("go", "run", "./deploy/image", "build", "--out", out, "--arch", runtime.GOARCH, "--version", "v0.0.0", "--programs", programs)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making images: %w\n%s", err, said)
	}
	return nil
}

// made gives the folder of what was built, and leaves the test out in a short run.
func images(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the services")
	}
	if runtime.GOOS != "linux" {
		t.Skip("an image holds programs for Linux")
	}
	once.Do(build)
	if failure != nil {
		t.Fatal(failure)
	}
	return dir
}

// image is what an engine reads of an archive.
type image struct {
	Config struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
		Config       struct {
			User       string
			Env        []string
			Entrypoint []string
			Cmd        []string
			WorkingDir string
			Volumes    map[string]any
		} `json:"config"`
	}
	Headers []*tar.Header
	Files   map[string][]byte // by name
}

// load reads an archive as "docker load" does: by its manifest.
func load(t testing.TB, program string) image {
	t.Helper()
	blobs := entries(t, open(t, filepath.Join(images(t), program+"-"+runtime.GOARCH+".tar")))
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	decode(t, blobs.Files["manifest.json"], &manifest)
	if len(manifest) != 1 || fmt.Sprint(manifest[0].RepoTags) != "[dify-sso/"+program+":0.0.0]" {
		t.Fatalf("manifest: %+v", manifest)
	}
	img := image{Files: map[string][]byte{}}
	decode(t, blobs.Files[manifest[0].Config], &img.Config)
	for _, name := range manifest[0].Layers {
		unzipped, err := gzip.NewReader(bytes.NewReader(blobs.Files[name]))
		if err != nil {
			t.Fatal(err)
		}
		layer := entries(t, unzipped)
		img.Headers = append(img.Headers, layer.Headers...)
		for name, content := range layer.Files {
			img.Files[name] = content
		}
	}
	return img
}

func open(t testing.TB, path string) io.Reader {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(content)
}

func decode(t testing.TB, content []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

func entries(t testing.TB, from io.Reader) image {
	t.Helper()
	out := image{Files: map[string][]byte{}}
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out.Headers = append(out.Headers, h)
		out.Files[h.Name] = content
	}
}

// container is an unpacked image with what an engine mounts into it.
type container struct {
	root string // cannot be written to from within
	data string // mounted at /data, the user's
	img  image
}

// unpack lays an image out with its modes and owners; only root can.
func unpack(t testing.TB, program string) container {
	t.Helper()
	if os.Geteuid() != 0 {
		testserver.Missing(t, "a root of its own", fmt.Errorf("only root may give one; run the tests as root"))
	}
	c := container{root: t.TempDir(), data: t.TempDir(), img: load(t, program)}
	for _, h := range c.img.Headers {
		if !filepath.IsLocal(h.Name) {
			t.Fatalf("%q leads out of the image", h.Name)
		}
		path := filepath.Join(c.root, h.Name)
		var err error
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = os.WriteFile(path, c.img.Files[h.Name], 0o600)
		}
		if err == nil {
			err = os.Chown(path, h.Uid, h.Gid)
		}
		if err == nil {
			err = os.Chmod(path, h.FileInfo().Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(c.data, user, user); err != nil {
		t.Fatal(err)
	}
	for dir := c.root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755) // the user has to come as far as its root
	}
	return c
}

// enter is what an engine does before the program: mounts of its own that end with it, a
// root that cannot be written to, the user of the image, no other group.
const enter = `set -e
root=$1 data=$2 user=$3
shift 3
mount --bind "$root" "$root"
mount --bind "$data" "$root/data"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups="" "$root" "$@"`

// command is a program of the container that has not started.
func (c container) command(environ []string, args ...string) *exec.Cmd {
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", enter, "sh", c.root, c.data, c.img.Config.Config.User}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environ...)
	return cmd
}

// do runs a program of the container to its end.
func (c container) do(environ []string, stdin string, args ...string) (string, error) {
	cmd := c.command(environ, args...)
	cmd.Stdin = strings.NewReader(stdin)
	said, err := cmd.CombinedOutput()
	return string(said), err
}
