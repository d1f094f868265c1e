// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// network is a bridge of this machine with a /24 of its own: .1 is this machine and the
// name server, .2 the front, .3 Postgres, .4 Redis, from .10 on pods and from .200 on
// Services.
type network struct {
	t      testing.TB
	number int
	bridge string

	mu            sync.Mutex
	pods, virtual int
}

var taken atomic.Int32

// newNetwork takes the first number that nobody has: the bridge's name is the lock.
func newNetwork(t testing.TB) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		testserver.Missing(t, "network and mount namespaces", fmt.Errorf("only root may make them; run the tests as root"))
	}
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			testserver.Missing(t, tool, err)
		}
	}
	var err error
	for range 200 {
		// Never the number before again: the kernel takes interfaces away when it finds time.
		n := &network{t: t, number: 20 + (os.Getpid()+int(taken.Add(1)))%200, pods: 10, virtual: 200}
		n.bridge = "oncl" + strconv.Itoa(n.number)
		// An address of its own: a bridge otherwise takes the lowest of its ports, and each
		// pod that comes or goes would cut the others off until they ask for it anew.
		if err = n.ip("link", "add", n.bridge, "address", fmt.Sprintf("02:00:0a:d5:%02x:01", n.number), "type", "bridge"); err != nil {
			if strings.Contains(err.Error(), "exists") {
				continue
			}
			break
		}
		t.Cleanup(func() { _ = n.ip("link", "del", n.bridge) })
		n.must("addr", "add", n.at(1)+"/24", "dev", n.bridge)
		n.must("link", "set", n.bridge, "up")
		for _, host := range []int{2, 3, 4} {
			n.must("addr", "add", n.at(host)+"/32", "dev", n.bridge)
		}
		return n
	}
	testserver.Missing(t, "a bridge of this machine", err)
	return nil
}

func (n *network) at(host int) string { return fmt.Sprintf("10.213.%d.%d", n.number, host) }

func (n *network) ip(args ...string) error { return run("ip", args...) }

func (n *network) must(args ...string) {
	n.t.Helper()
	if err := n.ip(args...); err != nil {
		n.t.Fatal(err)
	}
}

func run(name string, args ...string) error {
	if said, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, said)
	}
	return nil
}

// sandbox is the network namespace of a pod, held by a process that does nothing.
type sandbox struct {
	address, file string
	pause         *process.Process
}

// join makes a namespace with an address on the bridge.
func (n *network) join() (*sandbox, error) {
	n.mu.Lock()
	host := n.pods
	n.pods++
	n.mu.Unlock()
	if host >= 200 {
		return nil, fmt.Errorf("no address is left for a pod")
	}
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	s := &sandbox{address: n.at(host), pause: process.Run(n.t, cmd)}
	pid := strconv.Itoa(cmd.Process.Pid)
	s.file = "/proc/" + pid + "/ns/net"
	outside, inside := fmt.Sprintf("oc%dh%d", n.number, host), fmt.Sprintf("oc%dp%d", n.number, host)
	for _, step := range [][]string{
		{"ip", "link", "add", outside, "type", "veth", "peer", "name", inside},
		{"ip", "link", "set", inside, "netns", pid},
		{"ip", "link", "set", outside, "master", n.bridge, "up"},
		{"nsenter", "-t", pid, "-n", "ip", "link", "set", "lo", "up"},
		{"nsenter", "-t", pid, "-n", "ip", "link", "set", inside, "name", "eth0"},
		{"nsenter", "-t", pid, "-n", "ip", "addr", "add", s.address + "/24", "dev", "eth0"},
		{"nsenter", "-t", pid, "-n", "ip", "link", "set", "eth0", "up"},
	} {
		if err := run(step[0], step[1:]...); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// clusterIP is an address for a Service.
func (n *network) clusterIP() string {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	host := n.virtual
	n.virtual++
	n.must("addr", "add", n.at(host)+"/32", "dev", n.bridge)
	return n.at(host)
}

// forward hands connections of an address on to what choose gives for each; an empty
// choice ends the connection, as the REJECT of a Service without endpoints does.
func forward(t testing.TB, listen string, choose func() string) {
	t.Helper()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go hand(c, choose())
		}
	}()
}

func hand(from net.Conn, address string) {
	defer func() { _ = from.Close() }()
	if address == "" {
		_ = from.(*net.TCPConn).SetLinger(0)
		return
	}
	to, err := net.Dial("tcp", address)
	if err != nil {
		_ = from.(*net.TCPConn).SetLinger(0)
		return
	}
	defer func() { _ = to.Close() }()
	done := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
		done <- struct{}{}
	}
	go pass(to, from)
	go pass(from, to)
	<-done
	<-done
}
