// SPDX-License-Identifier: Apache-2.0

// Package process builds the product's programs and runs them for tests.
package process

import (
	"bytes"
	"context"
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

// made names a directory that holds the programs already, without cgo, for who runs many
// packages of tests.
const made = "DEPLOY_PROGRAMS"

// built are the programs, made once for a test binary.
var built = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv(made); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "deploy-programs-")
	if err != nil {
		return "", err
	}
	root, err := Root()
	if err != nil {
		return dir, err
	}
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./core/cmd/core", "./sso-bridge/cmd/sso-bridge", "./pkg/deviceauth/cmd/difyauth", "./sso-bridge/cmd/devidp")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as they are shipped: they run in an empty root
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// Root is the checkout, found by its go.work above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.work")); missing == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.work above the working directory")
		}
	}
	return "", err
}

// Main runs the tests of a package and removes what was built for them; for TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if !testing.Short() {
		if dir, _ := built(); dir != "" && dir != os.Getenv(made) {
			_ = os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// Program gives the path of core, sso-bridge, difyauth or devidp; a short run builds none and
// leaves the test out.
func Program(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the services")
	}
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Process is a running program.
type Process struct {
	Cmd   *exec.Cmd
	Ended <-chan struct{}
	Said  *Output // both of its streams

	t testing.TB
}

// Start runs a program until the test ends, in a directory of its own, with environ alone
// beside PATH and HOME.
func Start(t testing.TB, environ []string, path string, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, environ...)
	cmd.Dir = t.TempDir()
	return Run(t, cmd)
}

// Run is Start for a command that the caller has made; its streams and its end are ours.
func Run(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, Cmd: cmd, Said: &Output{}}
	cmd.Stdout, cmd.Stderr = p.Said, p.Said
	cmd.WaitDelay = 10 * time.Second // a child that outlives it keeps the streams open
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	var err error
	if p.Ended, err = testserver.StartBound(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// Kill is kill -9; it returns when the process is gone.
func (p *Process) Kill() { p.Signal(syscall.SIGKILL); <-p.Ended }

// Signal sends a signal to a process that may be gone.
func (p *Process) Signal(s syscall.Signal) { _ = p.Cmd.Process.Signal(s) }

// Stop ends it in order, as an orchestrator does, and fails the test after limit.
func (p *Process) Stop(limit time.Duration) {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Ended:
	case <-time.After(limit):
		p.t.Fatalf("%s goes on %s after SIGTERM:\n%s", filepath.Base(p.Cmd.Path), limit, p.Said)
	}
}

// Until waits, at most half a minute, for an address to answer 200.
func (p *Process) Until(address string) {
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
		case <-p.Ended:
			p.t.Fatalf("%s ended: %s", filepath.Base(p.Cmd.Path), p.Said)
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not answer %s: %v\n%s", filepath.Base(p.Cmd.Path), address, err, p.Said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Do runs a program to its end and gives what it printed; a failure ends the test.
func Do(t testing.TB, environ []string, stdin, path string, args ...string) string {
	t.Helper()
	out, err := Try(t, environ, stdin, path, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(path), strings.Join(args, " "), err, out)
	}
	return out
}

// Try is Do for a program that may fail; it is given two minutes.
func Try(t testing.TB, environ []string, stdin, path string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, environ...)
	cmd.Dir, cmd.Stdin = t.TempDir(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Free finds an address of host that nobody holds and that the system gives to nobody.
func Free(t testing.TB, host string) string {
	t.Helper()
	port, err := testserver.FreePort(host)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, port)
}

// Output is what a process writes while a test reads it.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
