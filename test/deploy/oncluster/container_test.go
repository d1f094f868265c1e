// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// specVariable names the file that says what a container is; the container itself does
// not get it.
const specVariable = "ONCLUSTER_CONTAINER"

// container is what a runtime is told.
type container struct {
	Network  string // file of its network namespace
	Root     string
	ReadOnly bool // of the root
	Mounts   []mount
	UID, GID int
	Groups   []int
	Args     []string
	Env      []string
}

// mount is bound into the root; its target is there already.
type mount struct {
	Source, Target string
	ReadOnly       bool
}

// become ends in the container's program, or with a message and 125, as engines do.
func become(spec string) {
	runtime.LockOSThread() // namespaces and users are those of a thread until it executes
	err := func() error {
		text, err := os.ReadFile(spec)
		if err != nil {
			return err
		}
		var c container
		if err := json.Unmarshal(text, &c); err != nil {
			return err
		}
		return c.enter()
	}()
	fmt.Fprintln(os.Stderr, "container:", err)
	os.Exit(125)
}

// enter takes all of it on and executes.
func (c container) enter() error {
	net, err := os.Open(c.Network)
	if err != nil {
		return err
	}
	if err := unix.Setns(int(net.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := c.fileSystem(); err != nil {
		return err
	}
	return c.drop()
}

// fileSystem is a view that nobody else has.
func (c container) fileSystem() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	binds := append([]mount{{Source: c.Root, ReadOnly: c.ReadOnly}}, c.Mounts...)
	// The root becomes read-only last: a flag of its bind, which those below it do not take.
	for _, m := range binds {
		target := filepath.Join(c.Root, m.Target)
		if err := unix.Mount(m.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m.Target, err)
		}
		if !m.ReadOnly {
			continue
		}
		if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			return fmt.Errorf("mounting %s read-only: %w", m.Target, err)
		}
	}
	if err := unix.Chroot(c.Root); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// drop gives all rights up and executes. The calls are raw: those of package unix would
// be made by all threads, of which this one alone goes on.
func (c container) drop() error {
	for right := range unix.CAP_LAST_CAP + 1 {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(right), 0, 0, 0); err != nil {
			return fmt.Errorf("capability %d: %w", right, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	// As runtimes do, so that /dev/stdin can be opened.
	for stream := range 3 {
		var is unix.Stat_t
		if err := unix.Fstat(stream, &is); err == nil && is.Mode&unix.S_IFMT == unix.S_IFIFO {
			_ = unix.Fchown(stream, c.UID, c.GID)
		}
	}
	groups := make([]uint32, len(c.Groups))
	for i, g := range c.Groups {
		groups[i] = uint32(g)
	}
	if err := setGroups(groups); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(c.GID), uintptr(c.GID), uintptr(c.GID)); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(c.UID), uintptr(c.UID), uintptr(c.UID)); errno != 0 {
		return errno
	}
	// Another user forgets this, and a test that is killed must leave nothing behind.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	err := unix.Exec(c.Args[0], c.Args, c.Env)
	return fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err)
}
