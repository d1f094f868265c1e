// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// publicURL is the public address of every process of a fleet. Nobody listens there:
// the tests reach each process at its own address, as a proxy would.
const publicURL = "http://127.0.0.1:1"

// process is one core of a fleet.
type process struct {
	client
	inner string
	cmd   *exec.Cmd
	ended <-chan struct{}
	said  *output
}

// noLimits turns every rate limit off, for tests that are about something else.
const noLimits = "RATE_LIMITS=device.code.addr=0,device.code.all=0,device.lookup.addr=0,device.wrong.all=0,device.wrong.account=0,device.poll.addr=0," +
	"device.decide.account=0,bearer.token=0,bearer.failed.addr=0,account.read=0,console.login.addr=0,console.login.pair=0,console.login.email=0,console.setup.addr=0"

// serve starts one more core and waits until it is ready. It ends with the test.
func (f *fleet) serve(environ ...string) *process {
	f.t.Helper()
	p := f.start(environ...)
	deadline := time.Now().Add(20 * time.Second)
	for {
		r, err := http.Get(p.inner + "/readyz")
		if err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return p
			}
		}
		select {
		case <-p.ended:
			f.t.Fatalf("core ended: %s", p.said)
		default:
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("core is not ready: %v\n%s", err, p.said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// start starts one more core without waiting for it.
func (f *fleet) start(environ ...string) *process {
	f.t.Helper()
	public, inner := freePort(f.t), freePort(f.t)
	p := &process{client: client{t: f.t, base: "http://" + public}, inner: "http://" + inner, said: &output{}}
	p.cmd = exec.Command(f.binary, "serve")
	p.cmd.Env = f.environ(append([]string{"LISTEN=" + public, "INNER_LISTEN=" + inner, noLimits}, environ...)...)
	p.cmd.Dir, p.cmd.Stderr = f.t.TempDir(), p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if p.ended, err = testserver.StartBound(p.cmd); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { p.kill() })
	return p
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
}

// addresses counts those that this process has given out.
var addresses atomic.Int64

// ownAddress gives a loopback address that nobody else has. A port of 127.0.0.1 that is
// free now may be that of somebody's outgoing connection a moment later.
func ownAddress() string {
	n := addresses.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%250, n/250%250, 1+n%250)
}

// freePort finds an address that nobody holds.
func freePort(t testing.TB) string {
	t.Helper()
	host := ownAddress()
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
