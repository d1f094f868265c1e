// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// The image of core as it is given away: it says its version, keeps its data in the one
// place that is its own, and lets a person and a client in.
func TestAnImageRuns(t *testing.T) {
	c := unpack(t, "core")
	if said, err := c.do(nil, "", "/core", "version"); err != nil || !strings.HasSuffix(strings.TrimSpace(said), " 0.0.0") {
		t.Fatalf("core version: %v\n%s", err, said)
	}
	public, inner := process.Free(t, "127.0.0.1"), process.Free(t, "127.0.0.1")
	// DATA_DIR is left at its default, which is below the image's working directory.
	environ := []string{"LISTEN=" + public, "INNER_LISTEN=" + inner, "CONSOLE_API_URL=http://" + public, "TZ=Asia/Shanghai", "LOG_FORMAT=text"}
	const email, password = "ada@example.com", "correct horse battery"
	if said, err := c.do(environ, password+"\n", "/core", "admin", "create-owner", "--email", email, "--name", "Ada", "--workspace", "Analytical", "--password-file", "-"); err != nil {
		t.Fatalf("create-owner: %v\n%s", err, said)
	}
	run := append(append([]string{}, c.img.Config.Config.Entrypoint...), c.img.Config.Config.Cmd...)
	p := process.Run(t, c.command(environ, run...))
	p.Until("http://" + inner + "/readyz")

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	ids := strconv.Itoa(user)
	for _, line := range []string{"Uid:\t" + ids + "\t" + ids + "\t" + ids + "\t" + ids, "Gid:\t" + ids + "\t" + ids + "\t" + ids + "\t" + ids, "CapEff:\t0000000000000000"} {
		if !strings.Contains(string(status), line) {
			t.Errorf("the process is not %q:\n%s", line, status)
		}
	}
	if said, err := c.do(environ, "", "/core", "healthcheck"); err != nil || strings.TrimSpace(said) != "ready" {
		t.Errorf("healthcheck: %v\n%s", err, said)
	}

	ctx := context.Background()
	v := visitor.New("http://"+public, nil)
	if err := v.SignIn(ctx, email, password); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(ctx, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(ctx, token, "/openapi/v1/account", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.data, "core.db")); err != nil {
		t.Errorf("the database is not in the volume: %v", err)
	}
	p.Stop(time.Minute)
	if said, err := c.do(environ, "", "/core", "healthcheck"); err == nil || !strings.Contains(said, "not ready") {
		t.Errorf("healthcheck of a core that has ended: %v\n%s", err, said)
	}
	if strings.Contains(p.Said.String(), "panic") || strings.Contains(p.Said.String(), "ERROR") {
		t.Errorf("core said:\n%s", p.Said)
	}
}

func TestTheBridgesImageRuns(t *testing.T) {
	c := unpack(t, "sso-bridge")
	if said, err := c.do(nil, "", "/sso-bridge", "version"); err != nil || !strings.HasSuffix(strings.TrimSpace(said), " 0.0.0") {
		t.Fatalf("sso-bridge version: %v\n%s", err, said)
	}
	// Without a key set it says what is missing, and opens nothing.
	if said, err := c.do([]string{"CONSOLE_API_URL=http://127.0.0.1:1"}, "", "/sso-bridge", "serve"); err == nil || !strings.Contains(said, "KEYSET_FILE") {
		t.Errorf("sso-bridge without keys: %v\n%s", err, said)
	}
	if said, err := c.do([]string{"INNER_LISTEN=" + process.Free(t, "127.0.0.1")}, "", "/sso-bridge", "healthcheck"); err == nil || !strings.Contains(said, "not ready") {
		t.Errorf("healthcheck of a bridge that does not run: %v\n%s", err, said)
	}
}

// What the image gives to a program beside itself, asked by a program of no other use:
// certification authorities, time zones, a folder for temporary files, and nothing to write to.
func TestWhatAnImageGives(t *testing.T) {
	c := unpack(t, "core")
	private := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("in")) }))
	t.Cleanup(private.Close)
	probe := filepath.Join(c.root, "probe")
	cmd := exec.Command("go", "build", "-trimpath", "-o", probe, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	type given struct {
		User, Refused, Local, Zone string
		Roots                      int
		Written                    map[string]string
	}
	ask := func(environ ...string) (g given) {
		t.Helper()
		said, err := c.do(environ, "", "/probe", private.URL)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		if err := json.Unmarshal([]byte(said), &g); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		return g
	}
	g := ask("TZ=Asia/Shanghai")
	if g.User != "dify-sso" {
		t.Errorf("the user's name is %q", g.User)
	}
	if g.Roots < 100 || !strings.Contains(g.Refused, "unknown authority") {
		t.Errorf("%d authorities; a stranger's certificate: %q", g.Roots, g.Refused)
	}
	if g.Local != "+0800" || g.Zone != "-0330" {
		t.Errorf("TZ is %s, America/St_Johns %s in January", g.Local, g.Zone)
	}
	for path, failure := range g.Written {
		if may := path == "/tmp/x" || path == "/data/x"; may && failure != "" || !may && !strings.Contains(failure, "read-only file system") && !strings.Contains(failure, "permission denied") {
			t.Errorf("writing %s: %q", path, failure)
		}
	}
	if len(g.Written) < 6 {
		t.Errorf("tried to write %v alone", g.Written)
	}
	// A root of one's own, mounted over the image's.
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: private.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(c.root, "etc/ssl/certs/ca-certificates.crt"), bundle, 0o644); err != nil {
		t.Fatal(err)
	}
	if g := ask(); g.Refused != "" || g.Roots != 1 {
		t.Errorf("an authority in the file is not believed: %q of %d", g.Refused, g.Roots)
	}
}
