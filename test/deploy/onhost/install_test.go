// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/onhost/box"
	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// Who the dynamic user and the static group of the unit are here.
const (
	dynamicUser = 61184 + 77 // of the range of systemd
	sharedGroup = 61000
)

// host is a machine on which a unit is installed: what its directories are, below one of
// the test's.
type host struct {
	t     testing.TB
	dir   string
	files map[string]string // what the operator wrote below /etc/dify-sso
	heard *net.UnixConn
	name  string
}

func newHost(t testing.TB, files map[string]string) *host {
	t.Helper()
	box.Possible(t)
	h := &host{t: t, dir: t.TempDir(), files: files, name: "@dify-sso-onhost-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)}
	var err error
	if h.heard, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: h.name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.heard.Close() })
	for path, content := range files {
		h.write(path, content, 0o640, sharedGroup)
	}
	return h
}

func (h *host) write(path, content string, mode os.FileMode, group int) {
	h.t.Helper()
	at := filepath.Join(h.dir, path)
	for _, err := range []error{os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), mode), os.Chmod(at, mode), os.Chown(at, 0, group)} {
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// user is whom systemd draws for a unit: another for each of both services.
func (u unitFile) user() int {
	if strings.HasPrefix(u.name, "sso-bridge") {
		return dynamicUser + 1
	}
	return dynamicUser
}

// own makes a directory that the unit names, as systemd would: the service's user has it.
func (h *host) own(user int, parent, name, mode string) box.Mount {
	h.t.Helper()
	at := filepath.Join(h.dir, parent, name)
	bits, err := strconv.ParseUint(mode, 8, 32)
	for _, err := range []error{err, os.MkdirAll(at, os.FileMode(bits)), os.Chmod(at, os.FileMode(bits)), os.Chown(at, user, user)} {
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return box.Mount{From: at, To: filepath.Join(parent, name), Write: true}
}

// box is what the unit asks for, but for the command.
func (h *host) box(u unitFile) box.Box {
	h.t.Helper()
	if u.one("ProtectSystem") != "strict" || u.one("DynamicUser") != "yes" || u.one("NoNewPrivileges") != "yes" || u.one("CapabilityBoundingSet") != "" || u.one("PrivateTmp") != "yes" {
		h.t.Fatalf("%s is not what the box does", u.name)
	}
	b := box.Box{Root: h.t.TempDir(), Tmpfs: []string{"/tmp"}, User: u.user(), Groups: []int{u.user(), sharedGroup}, Calls: u.allowed()}
	for _, program := range []string{"core", "sso-bridge"} {
		b.Mounts = append(b.Mounts, box.Mount{From: process.Program(h.t, program), To: "/usr/bin/" + program})
	}
	b.Mounts = append(b.Mounts, box.Mount{From: filepath.Join(h.dir, "etc/dify-sso"), To: "/etc/dify-sso"})
	for _, dir := range u.all("StateDirectory") {
		b.Mounts = append(b.Mounts, h.own(u.user(), "/var/lib", dir, u.all("StateDirectoryMode")[0]))
	}
	for _, dir := range u.all("RuntimeDirectory") {
		b.Mounts = append(b.Mounts, h.own(u.user(), "/run", dir, u.one("RuntimeDirectoryMode")))
	}
	for _, line := range u.all("LoadCredential") {
		id, path, _ := strings.Cut(line, ":")
		content, err := os.ReadFile(filepath.Join(h.dir, path))
		if err != nil {
			h.t.Fatal(err)
		}
		at := filepath.Join("run/credentials", u.name, id)
		h.write(at, string(content), 0o400, u.user())
		if err := os.Chown(filepath.Join(h.dir, at), u.user(), u.user()); err != nil {
			h.t.Fatal(err)
		}
		b.Mounts = append(b.Mounts, box.Mount{From: filepath.Join(h.dir, at), To: "/" + at})
	}
	b.Env = append(u.environment(h.files), "PATH=/usr/bin:/bin")
	return b
}

// run runs a command of the unit to its end.
func (h *host) run(u unitFile, line string) string {
	h.t.Helper()
	b := h.box(u)
	b.Argv = strings.Fields(u.expand(line))
	cmd, err := b.Command()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// start is systemctl start: it returns at READY=1.
func (h *host) start(u unitFile) *process.Process {
	h.t.Helper()
	for _, line := range u.all("ExecStartPre") {
		h.run(u, line)
	}
	b := h.box(u)
	b.Argv, b.Env = strings.Fields(u.one("ExecStart")), append(b.Env, "NOTIFY_SOCKET="+h.name)
	cmd, err := b.Command()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.SysProcAttr.Credential = nil
	p := process.Run(h.t, cmd)
	h.hears(p, "READY=1")
	return p
}

// hears waits for a line of a message, and skips those before it.
func (h *host) hears(p *process.Process, line string) {
	h.t.Helper()
	b := make([]byte, 4096)
	if err := h.heard.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		h.t.Fatal(err)
	}
	for {
		n, err := h.heard.Read(b)
		if err != nil {
			h.t.Fatalf("no %s: %v\n%s", line, err, p.Said)
		}
		for _, said := range strings.Split(string(b[:n]), "\n") {
			if said == line {
				return
			}
		}
	}
}

// stop is systemctl stop, within the time of the unit.
func (h *host) stop(u unitFile, p *process.Process) {
	h.t.Helper()
	seconds, err := strconv.Atoi(u.one("TimeoutStopSec"))
	if err != nil {
		h.t.Fatal(err)
	}
	p.Stop(time.Duration(seconds) * time.Second)
	h.hears(p, "STOPPING=1")
	if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
		h.t.Fatalf("it ended with %d:\n%s", code, p.Said)
	}
}

// settings is a sample of settings with values in the place of some; the lines must be there.
func settings(t testing.TB, name string, pairs ...string) string {
	t.Helper()
	content, err := os.ReadFile(deployed(t, "systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s has no line %q", name, pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

const (
	ownerEmail    = "ada@example.com"
	ownerPassword = "correct horse battery"
)

// docs/operating/install-host.md from its first line to a signed-in client.
func TestInstallFromTheUnit(t *testing.T) {
	public, inner := process.Free(t, "127.0.0.1"), process.Free(t, "127.0.0.1")
	h := newHost(t, map[string]string{"/etc/dify-sso/core.env": settings(t, "core.env",
		"CONSOLE_API_URL=http://127.0.0.1:5001", "CONSOLE_API_URL=http://"+public+"\nLISTEN="+public,
		"#INNER_LISTEN=127.0.0.1:5002", "INNER_LISTEN="+inner, "#AUDIT_RETENTION_DAYS=400", "AUDIT_RETENTION_DAYS=400")})
	u := readUnit(t, "core.service")
	core := h.start(u)

	// As root beside the service, which owns the directory: over its socket.
	data := "DATA_DIR=" + filepath.Join(h.dir, "var/lib/dify-sso")
	process.Do(t, []string{data}, ownerPassword+"\n", process.Program(t, "core"), "admin", "create-owner", "--email", ownerEmail, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")
	ctx := context.Background()
	v := visitor.New("http://"+public, nil)
	if err := v.SignIn(ctx, ownerEmail, ownerPassword); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(ctx, "laptop")
	if err != nil {
		t.Fatal(err)
	}

	t.Run("the process has no capability, no new privilege, a filter and another user", func(t *testing.T) {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(core.Cmd.Process.Pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		flat := strings.Join(strings.Fields(string(status)), " ")
		for _, want := range []string{"NoNewPrivs: 1", "Seccomp: 2", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "Uid: " + strconv.Itoa(dynamicUser)} {
			if !strings.Contains(flat, want) {
				t.Errorf("no %q in %s", want, flat)
			}
		}
	})
	t.Run("nothing but its directories can be written, and what it wrote is its own alone", func(t *testing.T) {
		b := h.box(u)
		b.Mounts = append(b.Mounts, box.Mount{From: "/usr", To: "/host"})
		b.Mounts = append(b.Mounts, box.Mount{From: "/usr/lib", To: "/lib"}, box.Mount{From: "/usr/lib64", To: "/lib64"}, box.Mount{From: "/usr/lib", To: "/usr/lib"})
		b.Argv = []string{"/host/bin/touch", "/etc/dify-sso/x", "/usr/bin/x", "/var/lib/x", "/x", "/var/lib/dify-sso/mine", "/tmp/mine"}
		cmd, err := b.Command()
		if err != nil {
			t.Fatal(err)
		}
		out, _ := cmd.CombinedOutput()
		if n := strings.Count(string(out), "Read-only file system"); n != 4 || strings.Contains(string(out), "mine") {
			t.Errorf("%d of 4 are refused:\n%s", n, out)
		}
		if err := filepath.WalkDir(filepath.Join(h.dir, "var/lib/dify-sso"), func(path string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %04o", path, info.Mode().Perm())
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	})
	t.Run("systemctl reload is told when it began and when it is done", func(t *testing.T) {
		core.Signal(syscall.SIGHUP)
		h.hears(core, "RELOADING=1")
		h.hears(core, "READY=1")
	})
	t.Run("the timers' commands do their work beside the service", func(t *testing.T) {
		if out := h.run(readUnit(t, "core-audit-prune.service"), readUnit(t, "core-audit-prune.service").one("ExecStart")); !strings.Contains(out, "audit events from before") {
			t.Error(out)
		}
		h.backup(t, "core")
	})

	h.stop(u, core)
	core = h.start(u)
	if err := v.Get(ctx, token, "/openapi/v1/account", nil); err != nil {
		t.Errorf("the token after a restart: %v", err)
	}
	if err := v.Logout(ctx, token); err != nil {
		t.Error(err)
	}
	var refused *visitor.Refusal
	if err := v.Get(ctx, token, "/openapi/v1/account", nil); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("a token that was ended: %v", err)
	}
	h.stop(u, core)
}

// backup runs the unit that copies a service, whose command is a shell's, and brings the copy back.
func (h *host) backup(t *testing.T, service string) {
	u := readUnit(t, service+"-backup.service")
	b := h.box(u)
	for _, dir := range []string{"/usr/bin/sh", "/usr/bin/date"} {
		b.Mounts = append(b.Mounts, box.Mount{From: dir, To: dir})
	}
	b.Mounts = append(b.Mounts, box.Mount{From: "/usr/bin/sh", To: "/bin/sh"}, box.Mount{From: "/usr/lib", To: "/usr/lib"}, box.Mount{From: "/usr/lib", To: "/lib"}, box.Mount{From: "/usr/lib64", To: "/lib64"})
	script, ok := strings.CutPrefix(u.one("ExecStart"), "/bin/sh -c '")
	if !ok || !strings.HasSuffix(script, "'") {
		t.Fatalf("%q", u.one("ExecStart"))
	}
	b.Argv = []string{"/bin/sh", "-c", u.expand(strings.TrimSuffix(script, "'"))}
	cmd, err := b.Command()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(h.dir, "var/lib", u.all("StateDirectory")[1], service+"-*.tar"))
	if err != nil || len(made) != 1 {
		t.Fatalf("%q %v", made, err)
	}
	process.Do(t, nil, "", process.Program(t, service), "admin", "restore", "--from", made[0], "--data-dir", filepath.Join(t.TempDir(), "again"))
}
