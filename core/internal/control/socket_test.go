// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	commands "github.com/dify-sso/dify-sso/core/internal/control"
	"github.com/dify-sso/dify-sso/pkg/control"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func listen(t *testing.T, path string) *control.Listener {
	t.Helper()
	l, err := control.Listen(path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestTheSocketIsItsOwnersFromTheFirstMoment(t *testing.T) {
	t.Run("OUT-03 no other mode is ever seen", func(t *testing.T) {
		old := syscall.Umask(0) // nothing is left to the umask
		defer syscall.Umask(old)
		dir := t.TempDir()
		path := filepath.Join(dir, "control.sock")
		stop, seen := make(chan struct{}), make(chan int, 1)
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					seen <- n
					return
				default:
				}
				if info, err := os.Lstat(path); err == nil {
					n++
					if info.Mode() != fs.ModeSocket|0o600 {
						t.Errorf("mode %v", info.Mode())
					}
				}
			}
		}()
		for range 300 {
			l, err := control.Listen(path, quiet())
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		if n := <-seen; n == 0 {
			t.Log("the socket was never seen")
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
}

func TestASocketThatADeadProcessLeft(t *testing.T) {
	path := socket(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(path, 0o600), dead.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := commands.Connect(t.Context(), path, "1"); !errors.Is(err, control.ErrNoService) {
		t.Fatalf("err = %v", err)
	}
	serve(t, path)
	connect(t, path)
}

func TestASocketIsRemovedByItsOwnerAlone(t *testing.T) {
	path := socket(t)
	first, second := listen(t, path), listen(t, path)
	if err := first.Close(); err != nil || gone(path) {
		t.Fatalf("the first took the second's: %v", err)
	}
	if err := second.Close(); err != nil || !gone(path) {
		t.Fatalf("left behind: %v", err)
	}
	if err := second.Close(); err == nil || !errors.Is(err, net.ErrClosed) {
		t.Fatalf("err = %v", err)
	}
}

func TestALongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("a", 90), strings.Repeat("b", 90))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control.sock")
	serve(t, path)
	if _, err := connect(t, path).SetupCode(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "control.sock" {
		t.Errorf("%v %v", entries, err)
	}
}

func TestASocketThatIsNotTrusted(t *testing.T) {
	refused := func(t *testing.T, path string) {
		t.Helper()
		_, err := commands.Connect(t.Context(), path, "1")
		if err == nil || !strings.Contains(err.Error(), "not to be trusted") {
			t.Fatalf("err = %v", err)
		}
	}
	t.Run("OUT-03 others may open it", func(t *testing.T) {
		path := socket(t)
		serve(t, path)
		if err := os.Chmod(path, 0o660); err != nil {
			t.Fatal(err)
		}
		refused(t, path)
	})
	t.Run("it is a file", func(t *testing.T) {
		path := socket(t)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, path)
	})
	t.Run("it is a link to one", func(t *testing.T) {
		path, other := socket(t), socket(t)
		serve(t, other)
		if err := os.Symlink(other, path); err != nil {
			t.Fatal(err)
		}
		refused(t, path)
	})
	if os.Geteuid() != 0 {
		t.Log("left out without root: sockets and callers of another user")
		return
	}
	const nobody = 65534
	t.Run("OUT-03 it belongs to somebody else", func(t *testing.T) {
		path := socket(t)
		serve(t, path)
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		refused(t, path)
		t.Run("who is the owner of the directory too, and the process is ours", func(t *testing.T) {
			if err := os.Chown(filepath.Dir(path), nobody, nobody); err != nil {
				t.Fatal(err)
			}
			connect(t, path)
		})
	})
	t.Run("OUT-03 another user's call is not answered, whatever the mode", func(t *testing.T) {
		path := socket(t)
		s := serve(t, path)
		for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		answer, err := as(nobody, func() (string, error) { return raw(path) })
		if err != nil || answer != "" {
			t.Fatalf("answered %q, %v", answer, err)
		}
		if !strings.Contains(s.log.String(), "uid=65534") {
			t.Errorf("log %s", s.log)
		}
		if answer, err := raw(path); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("ours: %q, %v", answer, err)
		}
	})
	t.Run("OUT-03 another user cannot open it", func(t *testing.T) {
		path := socket(t)
		serve(t, path)
		_, err := as(nobody, func() (string, error) { return raw(path) })
		if !errors.Is(err, fs.ErrPermission) {
			t.Fatalf("err = %v", err)
		}
	})
}

// as runs f with the effective user of another one; the system counts by thread.
func as(uid int, f func() (string, error)) (text string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		const keep = ^uintptr(0)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
			err = errno
			return
		}
		text, err = f()
	}()
	<-done
	return text, err
}

// raw asks with plain system calls, all of them on this thread.
func raw(path string) (string, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return "", err
	}
	_, _ = syscall.Write(fd, []byte("GET /v1/ HTTP/1.1\r\nHost: core\r\n\r\n"))
	buf := make([]byte, 4096)
	n, err := syscall.Read(fd, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		err = nil
	}
	return string(buf[:max(n, 0)]), err
}
