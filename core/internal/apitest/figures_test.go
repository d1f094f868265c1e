// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The footprint of the binary that "make build" makes. Sizes are asserted, times are
// printed: a busy machine is no defect. make figures shows them.
const (
	maxBinary = 31 << 20
	maxIdleKB = 34 << 10
	figureRun = 10
)

func TestFigures(t *testing.T) {
	aboutEmbedded(t)
	if testing.Short() {
		t.Skip("builds the binary; not part of test-fast")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "core")
	build := exec.Command("sh", "scripts/build.sh", "./core/cmd/core", binary, "v0.0.0")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("binary: %.1f MB", float64(info.Size())/(1<<20))
	if info.Size() > maxBinary {
		t.Errorf("the binary has %d bytes, at most %d", info.Size(), maxBinary)
	}
	var ready []time.Duration
	var idle []int
	for i := range figureRun + 1 {
		took, kb := startOnce(t, binary, dir)
		if i > 0 { // the first one makes the schema
			ready, idle = append(ready, took), append(idle, kb)
		}
	}
	slices.Sort(ready)
	slices.Sort(idle)
	t.Logf("exec to ready, schema in place: median %s, slowest %s of %d", ready[figureRun/2].Round(100*time.Microsecond), ready[figureRun-1].Round(100*time.Microsecond), figureRun)
	if idle[0] > 0 {
		t.Logf("resident when idle: median %.1f MB, most %.1f MB", float64(idle[figureRun/2])/1024, float64(idle[figureRun-1])/1024)
		if idle[figureRun-1] > maxIdleKB {
			t.Errorf("idle with %d kB, at most %d", idle[figureRun-1], maxIdleKB)
		}
	}
}

// startOnce starts the binary, waits until it is ready, looks at its memory after half
// a second and ends it.
func startOnce(t *testing.T, binary, dir string) (ready time.Duration, residentKB int) {
	t.Helper()
	public, inner := unusedAddress(t), unusedAddress(t)
	cmd := exec.Command(binary, "serve", "--log-level", "error", "--data-dir", filepath.Join(dir, "data"), "--listen", public, "--inner-listen", inner)
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for time.Since(begun) < 20*time.Second {
		if res, err := http.Get("http://" + inner + "/readyz"); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			ready = time.Since(begun)
			break
		}
		time.Sleep(500 * time.Microsecond)
	}
	if ready == 0 {
		t.Fatal("not ready within 20 s")
	}
	if runtime.GOOS == "linux" {
		time.Sleep(500 * time.Millisecond)
		status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status); m != nil {
			residentKB, _ = strconv.Atoi(string(m[1]))
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	return ready, residentKB
}

// unusedAddress gives an address that was free a moment ago.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
