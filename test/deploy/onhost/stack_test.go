// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/onhost/box"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// stack is a compose file whose containers are processes: each in a root of its own that
// holds what the file says, as the user of the file. All are in one network, so of two
// replicas each listens on its own address in place of 0.0.0.0; nothing else is rewritten.
type stack struct {
	t         testing.TB
	p         *types.Project
	net       *box.Network
	addresses map[string][]string
	volumes   string
	hosts     string // the file that all have
	roots     string // certificates that all trust
	running   map[string][]*process.Process
}

func newStack(t testing.TB, p *types.Project, roots string) *stack {
	t.Helper()
	box.Possible(t)
	if _, err := exec.LookPath("ip"); err != nil {
		testserver.Missing(t, "ip (iproute2)", err)
	}
	s := &stack{t: t, p: p, addresses: map[string][]string{}, running: map[string][]*process.Process{}, volumes: t.TempDir(), roots: roots}
	var all []string
	hosts := "127.0.0.1 localhost\n"
	for _, name := range p.ServiceNames() {
		replicas := 1
		if d := p.Services[name].Deploy; d != nil && d.Replicas != nil {
			replicas = *d.Replicas
		}
		for range replicas {
			address := "172.30.77." + strconv.Itoa(len(all)+2)
			all = append(all, address)
			s.addresses[name] = append(s.addresses[name], address)
			hosts += address + " " + name + "\n"
		}
	}
	for _, address := range s.addresses["nginx"] {
		hosts += address + " " + coreHost + " " + bridgeHost + "\n"
	}
	s.net = box.NewNetwork(t, all...)
	s.hosts = filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(s.hosts, []byte(hosts), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// box is the container of a replica.
func (s *stack) box(name string, replica int, argv ...string) box.Box {
	s.t.Helper()
	c := s.p.Services[name]
	user, err := strconv.Atoi(strings.Split(c.User, ":")[0])
	if err != nil || !c.ReadOnly {
		s.t.Fatalf("%s: user %q, read_only %t", name, c.User, c.ReadOnly)
	}
	b := box.Box{Root: s.t.TempDir(), User: user, Groups: []int{user}, Net: s.net.Path(), Argv: argv, Env: []string{"PATH=" + path(), "HOME=/"}}
	if limit := c.Ulimits["nofile"]; limit != nil {
		b.Files = uint64(limit.Single)
	}
	b.Mounts = []box.Mount{{From: "/dev", To: "/dev"}, {From: "/proc", To: "/proc"}, {From: s.hosts, To: "/etc/hosts"}}
	if s.roots != "" {
		b.Mounts = append(b.Mounts, box.Mount{From: s.roots, To: "/etc/ssl/certs/ca-certificates.crt"})
	}
	if own := program(name); own != "" {
		b.Mounts = append(b.Mounts, box.Mount{From: process.Program(s.t, own), To: "/" + own})
	} else { // this machine's programs stand for those of the image
		for _, dir := range []string{"/usr", "/bin", "/lib", "/lib64", "/etc/host.conf"} {
			if at, err := filepath.EvalSymlinks(dir); err == nil {
				b.Mounts = append(b.Mounts, box.Mount{From: at, To: dir})
			}
		}
	}
	for _, each := range c.Tmpfs {
		b.Tmpfs = append(b.Tmpfs, strings.Split(each, ":")[0])
	}
	for _, secret := range c.Secrets {
		b.Mounts = append(b.Mounts, box.Mount{From: s.p.Secrets[secret.Source].File, To: "/run/secrets/" + secret.Source})
	}
	for _, config := range c.Configs {
		at := filepath.Join(s.volumes, "configs", config.Source)
		content, err := os.ReadFile(s.p.Configs[config.Source].File)
		for _, err := range []error{err, os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, content, 0o600), os.Chmod(at, os.FileMode(*config.Mode))} {
			if err != nil {
				s.t.Fatal(err)
			}
		}
		b.Mounts = append(b.Mounts, box.Mount{From: at, To: config.Target})
	}
	for _, volume := range c.Volumes {
		at := filepath.Join(s.volumes, volume.Source)
		for _, err := range []error{os.MkdirAll(at, 0o700), os.Chown(at, user, user)} { // as the image has it
			if err != nil {
				s.t.Fatal(err)
			}
		}
		b.Mounts = append(b.Mounts, box.Mount{From: at, To: volume.Target, Write: true})
	}
	for key, value := range c.Environment {
		if listen, all := strings.CutPrefix(*value, "0.0.0.0:"); all && len(s.addresses[name]) > 1 {
			b.Env = append(b.Env, key+"="+s.addresses[name][replica]+":"+listen)
			continue
		}
		b.Env = append(b.Env, key+"="+*value)
	}
	return b
}

// path has the programs of Postgres themselves before their wrapper, which wants more.
func path() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	return strings.Join(append(found, "/usr/sbin", "/usr/bin"), ":")
}

// program is ours that the image of a service begins with, or none.
func program(name string) string {
	for _, own := range []string{"core", "sso-bridge"} {
		if strings.TrimSuffix(name, "-migrate") == own {
			return own
		}
	}
	return ""
}

// command makes the process of a box; a name is looked up as the image would.
func (s *stack) command(b box.Box) *exec.Cmd {
	s.t.Helper()
	for _, dir := range strings.Split(path(), ":") {
		if _, err := os.Stat(filepath.Join(dir, b.Argv[0])); err == nil && !filepath.IsAbs(b.Argv[0]) {
			b.Argv[0] = filepath.Join(dir, b.Argv[0])
		}
	}
	cmd, err := b.Command()
	if err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

// try is docker compose exec -T in the first replica, with an end.
func (s *stack) try(name string, replica int, stdin string, argv ...string) (string, error) {
	s.t.Helper()
	cmd := s.command(s.box(name, replica, slices.Clone(argv)...))
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = 10 * time.Second
	end := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer end.Stop()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *stack) exec(name, stdin string, argv ...string) string {
	s.t.Helper()
	out, err := s.try(name, 0, stdin, argv...)
	if err != nil {
		s.t.Fatalf("%s: %s: %v\n%s\n%s", name, strings.Join(argv, " "), err, out, s.said())
	}
	return out
}

// up is docker compose up --wait.
func (s *stack) up() {
	s.t.Helper()
	for _, name := range s.p.ServiceNames() {
		s.start(name)
	}
	for _, name := range s.p.ServiceNames() {
		if s.p.Services[name].HealthCheck != nil {
			s.healthy(name)
		}
	}
}

// start starts a service once what it depends on is as far as the file says.
func (s *stack) start(name string) {
	s.t.Helper()
	if _, begun := s.running[name]; begun {
		return
	}
	for on, d := range s.p.Services[name].DependsOn {
		s.start(on)
		switch d.Condition {
		case types.ServiceConditionHealthy:
			s.healthy(on)
		case types.ServiceConditionCompletedSuccessfully:
			s.completed(on)
		default:
			s.t.Fatalf("%s: condition %q", name, d.Condition)
		}
	}
	s.running[name] = nil
	if name == "postgres" {
		s.postgres()
		return
	}
	for replica := range s.addresses[name] {
		argv := slices.Clone([]string(s.p.Services[name].Command))
		if own := program(name); own != "" {
			argv = append([]string{"/" + own}, argv...)
		}
		s.running[name] = append(s.running[name], process.Run(s.t, s.command(s.box(name, replica, argv...))))
	}
}

// postgres is a server that stands for the image: it gets what the image gives its first
// start, the script with the user, the files and the environment of the compose file.
func (s *stack) postgres() {
	s.t.Helper()
	server := testserver.StartPostgres(s.t)
	psql := func(statement string) string {
		return strings.TrimSpace(process.Do(s.t, nil, "", "psql", server.URL(), "-tAc", statement))
	}
	// Passwords are asked for, but for the one who runs the script.
	if err := os.WriteFile(psql("SHOW hba_file"), []byte("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	psql("SELECT pg_reload_conf()")
	at := strings.TrimPrefix(strings.Split(server.URL(), "@")[1], "")
	at, _, _ = strings.Cut(at, "/")
	s.net.Forward(s.t, "0.0.0.0:5432", func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", at) })
	b := s.box("postgres", 0, "/bin/sh", "-c", `test -n "$(cat "$POSTGRES_PASSWORD_FILE")" && exec /docker-entrypoint-initdb.d/dify-sso.sh`)
	b.Env = append(b.Env, "PGHOST=127.0.0.1")
	if out, err := s.command(b).CombinedOutput(); err != nil {
		s.t.Fatalf("the first start of postgres: %v\n%s", err, out)
	}
}

func (s *stack) completed(name string) {
	s.t.Helper()
	for _, p := range s.running[name] {
		select {
		case <-p.Ended:
		case <-time.After(2 * time.Minute):
			s.t.Fatalf("%s does not end:\n%s", name, p.Said)
		}
		if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
			s.t.Fatalf("%s ended with %d:\n%s", name, code, p.Said)
		}
	}
}

// healthy asks each replica as the file says until it is.
func (s *stack) healthy(name string) {
	s.t.Helper()
	test := s.p.Services[name].HealthCheck.Test
	if len(test) < 2 || test[0] != "CMD" {
		s.t.Fatalf("%s: %q", name, test)
	}
	for replica := range s.addresses[name] {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			out, err := s.try(name, replica, "", test[1:]...)
			if err == nil {
				break
			}
			if ended := len(s.running[name]) > replica && s.running[name][replica].Cmd.ProcessState != nil; ended || time.Now().After(deadline) {
				s.t.Fatalf("%s %d is not healthy: %v\n%s\n%s", name, replica, err, out, s.said())
			}
		}
	}
}

// down is docker compose down: from the front, each within its time, and in order. It is
// deferred, for what a test cleans up ends with the processes.
func (s *stack) down() {
	for _, names := range [][]string{{"nginx"}, {"core", "sso-bridge"}, {"redis"}} {
		for _, name := range names {
			for _, p := range s.running[name] {
				p.Signal(syscall.SIGTERM)
			}
		}
		for _, name := range names {
			grace := 10 * time.Second // of the engine
			if own := s.p.Services[name].StopGracePeriod; own != nil {
				grace = time.Duration(*own)
			}
			for _, p := range s.running[name] {
				select {
				case <-p.Ended:
				case <-time.After(grace):
					s.t.Errorf("%s goes on %s after SIGTERM:\n%s", name, grace, p.Said)
					continue
				}
				if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
					s.t.Errorf("%s ended with %d:\n%s", name, code, p.Said)
				}
			}
		}
	}
}

func (s *stack) said() string {
	var b strings.Builder
	for name, list := range s.running {
		for i, p := range list {
			fmt.Fprintf(&b, "== %s %d\n%s\n", name, i, p.Said)
		}
	}
	return b.String()
}
