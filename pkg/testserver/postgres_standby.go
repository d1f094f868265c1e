// SPDX-License-Identifier: Apache-2.0

package testserver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Standby starts a hot standby of the server that ends with the test. From then on the
// server acknowledges no commit that the standby has not on its disk (synchronous
// replication), so that Promote loses none.
func (s *PostgresServer) Standby(t testing.TB) *PostgresServer {
	t.Helper()
	port, err := FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", dataPrefix, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	b := &PostgresServer{bin: s.bin, dir: dir, port: port, as: s.as}
	t.Cleanup(func() {
		b.Kill()
		_ = os.RemoveAll(dir)
	})
	if s.as != nil {
		if err := os.Chown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	copied := exec.Command(filepath.Join(s.bin, "pg_basebackup"), "-h", "127.0.0.1", "-p", s.port, "-U", "postgres", "-c", "fast", "-R", "-D", dir) //nolint:gosec // found where Postgres is installed
	copied.Dir, copied.SysProcAttr = dir, &syscall.SysProcAttr{Credential: s.as}
	out, err := copied.CombinedOutput()
	if errors.Is(err, os.ErrNotExist) {
		Missing(t, "pg_basebackup", err)
	}
	if err != nil {
		t.Fatalf("testserver: pg_basebackup: %v: %s", err, bytes.TrimSpace(out))
	}
	b.Start(t)
	// Only now, so that the copy does not have it: nobody stands by for a promoted server.
	if err := admin(s.URL(), "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"); err != nil {
		t.Fatalf("testserver: %v", err)
	}
	return b
}

// Promote ends a standby's recovery, so that it takes writes.
func (s *PostgresServer) Promote(t testing.TB) {
	t.Helper()
	if err := admin(s.URL(), fmt.Sprintf("SELECT pg_promote(true, %d)", int(startLimit/time.Second))); err != nil {
		t.Fatalf("testserver: %v", err)
	}
}

// Host is host:port, for an address of several servers.
func (s *PostgresServer) Host() string { return "127.0.0.1:" + s.port }
