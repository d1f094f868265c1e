// SPDX-License-Identifier: Apache-2.0

package testserver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// PostgresServer is a Postgres process of a test's own, to be stopped and killed.
type PostgresServer struct {
	bin, dir string
	port     string
	settings []string
	as       *syscall.Credential // nil: as this process

	mu     sync.Mutex
	proc   *os.Process
	ended  <-chan struct{}
	output *lockedBuffer
}

// StartPostgres starts a server on a port of its own that ends with the test. It is as
// durable as one in production, so that a fault test may count on what was committed.
func StartPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	s, err := newPostgresServer()
	if err != nil {
		Missing(t, "no Postgres can be started", err)
	}
	t.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(s.dir)
	})
	s.Start(t)
	return s
}

// URL is the address of the server's own database.
func (s *PostgresServer) URL() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable", s.port)
}

// Database gives a fresh, empty database on this server.
func (s *PostgresServer) Database(t testing.TB) (address string) {
	t.Helper()
	name := databaseName()
	if err := admin(s.URL(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("testserver: %v", err)
	}
	return onServer(s.URL(), name) // it goes with the server
}

// Start starts the server where it was left and waits until it answers.
func (s *PostgresServer) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("testserver: %v", err)
	}
}

// Stop ends the server as a restart in operation does: connections are cut, and what
// was committed is on disk.
func (s *PostgresServer) Stop(t testing.TB) {
	t.Helper()
	if !s.end(syscall.SIGINT) {
		t.Fatalf("testserver: Postgres did not stop\n%s", s.output.String())
	}
}

// Kill ends the server as a power switch does, as far as a process can.
func (s *PostgresServer) Kill() { s.end(syscall.SIGKILL) }

const stopLimit = 15 * time.Second

func (s *PostgresServer) end(signal os.Signal) (gone bool) {
	s.mu.Lock()
	proc, ended := s.proc, s.ended
	s.mu.Unlock()
	if proc == nil {
		return true
	}
	_ = proc.Signal(signal)
	select {
	case <-ended:
	case <-time.After(stopLimit):
		_ = proc.Kill()
		<-ended
		return false
	}
	return true
}

// startLimit also covers a recovery, and the time in which children of a killed
// server still hold its shared memory.
const startLimit = 30 * time.Second

func (s *PostgresServer) start() error {
	deadline := time.Now().Add(startLimit)
	var last error
	for time.Now().Before(deadline) {
		if last = s.startOnce(deadline); last == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return last
}

func (s *PostgresServer) startOnce(deadline time.Time) error {
	args := []string{"-D", s.dir, "-p", s.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...) //nolint:gosec // it was found where Postgres is installed
	output := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr, cmd.Dir = output, output, s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGKILL}
	ended, err := StartBound(cmd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc, s.ended, s.output = cmd.Process, ended, output
	s.mu.Unlock()
	for {
		err := answers(s.URL())
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("postgres ended: %s", output.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("postgres does not answer: %w\n%s", err, output.String())
		}
	}
}

const dataPrefix = "dify-sso-postgres-"

// newPostgresServer makes a data directory.
func newPostgresServer(settings ...string) (*PostgresServer, error) {
	bin, err := postgresBinaries()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	port, err := FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	sweepData()
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", dataPrefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D", dir) //nolint:gosec // as above
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out)), os.RemoveAll(dir))
	}
	return &PostgresServer{bin: bin, dir: dir, port: port, settings: settings, as: as}, nil
}

// sweepData removes what processes left that are gone: nothing runs at their end.
func sweepData() {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), dataPrefix+"*"))
	for _, dir := range old {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), dataPrefix+"%d-", &pid); err == nil && !alive(pid) {
			_ = os.RemoveAll(dir)
		}
	}
}

// alive reports whether a process of that id exists.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// postgresBinaries finds the folder that has them, the newest version first.
func postgresBinaries() (string, error) {
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	version := func(dir string) int { n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))); return n }
	slices.SortFunc(debian, func(a, b string) int { return version(b) - version(a) })
	candidates := append([]string{os.Getenv("PG_BIN")}, debian...)
	candidates = append(candidates, filepath.SplitList(os.Getenv("PATH"))...)
	for _, dir := range candidates {
		if dir == "" {
			continue
		}
		_, server := os.Stat(filepath.Join(dir, "postgres")) //nolint:gosec // the tester names the folder
		_, initdb := os.Stat(filepath.Join(dir, "initdb"))   //nolint:gosec // as above
		if server == nil && initdb == nil {
			return dir, nil
		}
	}
	return "", errors.New("no postgres and initdb in $PG_BIN, /usr/lib/postgresql or $PATH")
}

// unprivileged is whom the server runs as: it refuses root, and a user without a name.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // as this process
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("postgres refuses root, and there is neither a user postgres nor nobody")
}

// lockedBuffer keeps what a server says.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
