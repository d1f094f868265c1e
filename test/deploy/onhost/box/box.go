// SPDX-License-Identifier: Apache-2.0

// Package box runs a program as systemd and container engines do: in a root of its own
// that is read-only but for what was said, as a user without a capability, under a filter
// of system calls. It needs root and Linux. Whoever uses it calls Enter first in TestMain.
package box

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// variable carries a box to the process that becomes it.
const variable = "ONHOST_BOX"

// Mount is a file or directory of the host that the program finds under another name.
type Mount struct {
	From, To string
	Write    bool
}

// Box is what a program runs in.
type Box struct {
	Root   string   // an empty directory
	Mounts []Mount  // in this order
	Tmpfs  []string // empty directories in memory that anybody writes
	User   int
	Groups []int
	Calls  []string // system calls that it may make; empty: all
	Net    string   // Network.Path; empty: the network of the test
	Files  uint64   // limit of open files; 0: that of the test
	Argv   []string
	Env    []string
}

// Possible skips a test where there is no root.
func Possible(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("a root of its own, another user and a filter of calls need Linux and root")
	}
	if err := (&exec.Cmd{Path: "/bin/true", SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}}).Run(); err != nil {
		t.Skipf("this root may make no mounts of its own: %v", err)
	}
}

// Command gives the command that becomes the box.
func (b Box) Command() (*exec.Cmd, error) {
	said, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = []string{variable + "=" + string(said)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	return cmd, nil
}

// Enter becomes the box that this process was started for, and returns in any other.
func Enter() {
	said := os.Getenv(variable)
	if said == "" {
		return
	}
	runtime.LockOSThread()
	var b Box
	err := json.Unmarshal([]byte(said), &b)
	if err == nil {
		err = b.become()
	}
	fmt.Fprintln(os.Stderr, "box:", err)
	os.Exit(125)
}

func (b Box) become() error {
	if b.Net != "" {
		space, err := os.Open(b.Net)
		if err != nil {
			return err
		}
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	// A mount of its own, which is made read-only once everything has its place.
	if err := unix.Mount(b.Root, b.Root, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	for _, m := range b.Mounts {
		if err := b.mount(m); err != nil {
			return fmt.Errorf("%s at %s: %w", m.From, m.To, err)
		}
	}
	for _, dir := range b.Tmpfs {
		to := filepath.Join(b.Root, dir)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", to, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
			return err
		}
	}
	if err := unix.Mount("", b.Root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return err
	}
	if err := unix.Chroot(b.Root); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return b.drop()
}

func (b Box) mount(m Mount) error {
	to := filepath.Join(b.Root, m.To)
	info, err := os.Stat(m.From)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if _, missing := os.Stat(to); missing != nil {
		err = os.WriteFile(to, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(m.From, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil || m.Write {
		return err
	}
	return unix.Mount("", to, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

// drop gives up what an unprivileged service does not have, and becomes the program.
func (b Box) drop() error {
	if b.Files > 0 {
		var most syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most); err != nil {
			return err
		}
		n := min(b.Files, most.Max) // a root that may not raise it keeps what it has
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	for _, stream := range []int{1, 2} { // as engines do, so that /dev/stdout can be opened
		var s unix.Stat_t
		if err := unix.Fstat(stream, &s); err != nil || s.Mode&unix.S_IFMT != unix.S_IFIFO {
			continue
		}
		if err := unix.Fchown(stream, b.User, b.User); err != nil {
			return err
		}
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL {
			return err
		}
	}
	unix.Umask(0o077)
	if err := syscall.Setgroups(b.Groups); err != nil {
		return err
	}
	if err := syscall.Setgid(b.User); err != nil {
		return err
	}
	if err := syscall.Setuid(b.User); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	if len(b.Calls) > 0 {
		machine, err := arch.GetInfo("")
		if err != nil {
			return err
		}
		// systemd's sets hold the calls of every machine.
		known := slices.DeleteFunc(slices.Clone(b.Calls), func(name string) bool { _, ok := machine.SyscallNames[name]; return !ok })
		filter := seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: known}},
		}}
		if err := seccomp.LoadFilter(filter); err != nil {
			return err
		}
	}
	return syscall.Exec(b.Argv[0], b.Argv, b.Env)
}
