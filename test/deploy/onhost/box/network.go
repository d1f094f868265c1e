// SPDX-License-Identifier: Apache-2.0

package box

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Network is a network of a test's own: addresses on one loopback device that nobody else
// sees, so that programs keep the ports and the addresses that their files name.
type Network struct{ space *os.File }

// NewNetwork makes a network that has these addresses beside 127.0.0.1.
func NewNetwork(t testing.TB, addresses ...string) *Network {
	t.Helper()
	var n Network
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		done <- func() (err error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			commands := [][]string{{"link", "set", "lo", "up"}}
			for _, a := range addresses {
				commands = append(commands, []string{"addr", "add", a + "/32", "dev", "lo"})
			}
			for _, c := range commands {
				if out, err := exec.Command("ip", c...).CombinedOutput(); err != nil {
					return fmt.Errorf("ip %s: %w: %s", strings.Join(c, " "), err, out)
				}
			}
			n.space, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
			return err
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.space.Close() })
	return &n
}

// Path names the network for a Box.
func (n *Network) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.space.Fd()) }

// inside runs fn on a thread that is in the network. A socket stays where it was made.
func (n *Network) inside(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(n.space.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	return <-done
}

// Dial connects inside the network; the address is a number, not a name.
func (n *Network) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = n.inside(func() error { c, err = (&net.Dialer{}).DialContext(ctx, network, address); return err })
	return c, err
}

// Forward takes connections at an address of the network and brings them to where to leads.
func (n *Network) Forward(t testing.TB, address string, to func(context.Context) (net.Conn, error)) {
	t.Helper()
	var l net.Listener
	if err := n.inside(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = from.Close() }()
				there, err := to(context.Background())
				if err != nil {
					return
				}
				defer func() { _ = there.Close() }()
				go func() { _, _ = io.Copy(there, from); _ = there.Close() }()
				_, _ = io.Copy(from, there)
			}()
		}
	}()
}
