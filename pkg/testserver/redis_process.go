// SPDX-License-Identifier: Apache-2.0

//go:build unix

package testserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a redis-server of a test's own, without persistence unless its
// arguments say otherwise.
type RedisServer struct {
	// Addr is host:port; it stays the same over Stop and Start.
	Addr string

	args []string
	dir  string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done <-chan struct{} // closed once the process is gone
}

// redisPatience bounds every wait for a server.
const redisPatience = 20 * time.Second

// StartRedis runs a redis-server on a free port with further arguments. It ends with
// the test, or with the test's process.
func StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	quietRedis()
	s, err := launchRedis(args...)
	if errors.Is(err, exec.ErrNotFound) {
		Missing(t, "Redis", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

// launchRedis starts a server that lives as long as this process, unless removed. A
// port may be taken between finding and binding it; then another is tried.
func launchRedis(args ...string) (s *RedisServer, err error) {
	for range 3 {
		if s, err = tryRedis(args...); !errors.Is(err, errGaveUp) {
			return s, err
		}
	}
	return nil, err
}

func tryRedis(args ...string) (*RedisServer, error) {
	dir, err := ownDir()
	if err != nil {
		return nil, err
	}
	port, err := FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	s := &RedisServer{
		Addr: net.JoinHostPort("127.0.0.1", port), dir: dir,
		args: append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir}, args...),
	}
	if err := s.start(s.args...); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

const dirPrefix = "redis-of-a-test-"

// ownDir makes a folder that names this process. Those of processes that are gone, whose
// shared servers went with them, are removed on the way.
func ownDir() (string, error) {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range old {
		name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		if pid, err := strconv.Atoi(name); err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
	return os.MkdirTemp("", dirPrefix+strconv.Itoa(os.Getpid())+"-")
}

// URL is the address as a setting holds it.
func (s *RedisServer) URL() string { return "redis://" + s.Addr }

// Start runs the server again on its port.
func (s *RedisServer) Start(t testing.TB) {
	t.Helper()
	if err := s.start(s.args...); err != nil {
		t.Fatal(err)
	}
}

// start runs redis-server and waits until it answers.
func (s *RedisServer) start(args ...string) error {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return err
	}
	cmd := exec.Command(binary, args...) //nolint:gosec // found on the path, for tests
	cmd.SysProcAttr = redisProcess()
	done, err := StartBound(cmd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.cmd, s.done = cmd, done
	s.mu.Unlock()

	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, Protocol: 2})
	defer func() { _ = client.Close() }()
	return until("redis-server on "+s.Addr+" to answer", func(ctx context.Context) error {
		select {
		case <-done:
			return errGaveUp
		default:
			return client.Ping(ctx).Err()
		}
	})
}

// Stop ends the server as an operator would, with SIGTERM.
func (s *RedisServer) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server at once, with SIGKILL.
func (s *RedisServer) Kill() { s.end(syscall.SIGKILL) }

// Pause keeps the server from answering; connections to it stand still.
func (s *RedisServer) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *RedisServer) Resume() { s.signal(syscall.SIGCONT) }

func (s *RedisServer) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(sig)
	}
}

func (s *RedisServer) end(sig syscall.Signal) {
	s.signal(sig)
	s.mu.Lock()
	done := s.done
	s.cmd, s.done = nil, nil
	s.mu.Unlock()
	if done != nil {
		<-done
	}
}

func (s *RedisServer) remove() {
	s.Resume()
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// errGaveUp ends a wait for what will not come.
var errGaveUp = errors.New("the process ended")

// until asks again and again until an answer is no error.
func until(what string, ask func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), redisPatience)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, errGaveUp) || ctx.Err() != nil {
			return fmt.Errorf("testserver: waited for %s: %w", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
