// SPDX-License-Identifier: Apache-2.0

package testserver_test

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// Other tests end threads (a goroutine that ends while it is locked to one does), and a
// server that was started from such a thread would be gone in the middle of a suite.
func TestAServerOutlivesTheThreadThatAskedForIt(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	asked := make(chan (<-chan struct{}))
	var thread int
	var ask func()
	ask = func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if thread = syscall.Gettid(); thread == syscall.Getpid() {
			go ask() // the first thread of a program never ends
			return
		}
		ended, err := testserver.StartBound(cmd)
		if err != nil {
			t.Error(err)
		}
		asked <- ended
	}
	go ask()
	ended := <-asked
	for { // until the thread has ended
		if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(thread)); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case <-ended:
		t.Fatal("it ended with the thread")
	case <-time.After(100 * time.Millisecond):
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
}
