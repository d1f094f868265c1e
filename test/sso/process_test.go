// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// programs builds what the tests drive, once, as "make build" does.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sso-programs-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./core/cmd/core", "./sso-bridge/cmd/sso-bridge", "./pkg/deviceauth/cmd/difyauth")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	// They wait most of their time, for programs that start, for polls and for pages.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code := m.Run()
	if !testing.Short() {
		if dir, _ := programs(); dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// program gives the path of a built program; a short run builds none.
func program(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the services")
	}
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// process is a running program.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	ended <-chan struct{}
	said  *output
}

// start runs a program until the test ends.
func start(t testing.TB, environ []string, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(path, args...), said: &output{}}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, environ...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = t.TempDir(), p.said, p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if p.ended, err = testserver.StartBound(p.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() { p.signal(syscall.SIGKILL); <-p.ended }

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// until waits for an address to answer 200.
func (p *process) until(address string) {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		r, err := http.Get(address)
		if err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("status %d", r.StatusCode)
		}
		select {
		case <-p.ended:
			p.t.Fatalf("%s ended: %s", filepath.Base(p.cmd.Path), p.said)
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not answer %s: %v\n%s", filepath.Base(p.cmd.Path), address, err, p.said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// command runs a program to its end and gives what it printed.
func command(t testing.TB, environ []string, stdin, path string, args ...string) string {
	t.Helper()
	out, err := try(t, environ, stdin, path, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(path), strings.Join(args, " "), err, out)
	}
	return out
}

// try is command for one that may fail.
func try(t testing.TB, environ []string, stdin, path string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, environ...)
	cmd.Dir, cmd.Stdin = t.TempDir(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// freePort finds an address of host that nobody holds.
func freePort(t testing.TB, host string) string {
	t.Helper()
	port, err := testserver.FreePort(host)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, port)
}

// output is what a process writes while a test reads it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
