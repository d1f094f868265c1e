// SPDX-License-Identifier: Apache-2.0

package serve_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/lifecycle"
	"github.com/dify-sso/dify-sso/pkg/serve"
)

// manager is what systemd is for a service: a socket that hears.
func manager(t *testing.T, name string) (hears func() string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return func() string {
		t.Helper()
		b := make([]byte, 4096)
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestSystemdIsTold(t *testing.T) {
	names := map[string]string{"a path": filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		names["an abstract name"] = fmt.Sprintf("@dify-sso-serve-%d", os.Getpid())
	}
	for kind, name := range names {
		t.Run(kind, func(t *testing.T) {
			hears := manager(t, name)
			var draining, ready atomic.Bool
			s, l := service(t, &draining, nil)
			s.Ready = func(context.Context) bool { return ready.Load() }
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Until(ctx, l) }()
			if got := hears(); !strings.HasPrefix(got, "STATUS=Waiting") {
				t.Fatalf("before it is ready: %q", got)
			}
			if got, err := get(l.Public); got != "public" || err != nil {
				t.Errorf("it listens meanwhile: %q %v", got, err)
			}
			ready.Store(true)
			got := hears()
			for strings.HasPrefix(got, "STATUS=Waiting") {
				got = hears()
			}
			if !strings.HasPrefix(got, "READY=1\n") {
				t.Fatalf("%q", got)
			}
			done := serve.Reloading()
			at, found := strings.CutPrefix(hears(), "RELOADING=1\nMONOTONIC_USEC=")
			if n, err := strconv.ParseInt(at, 10, 64); !found || err != nil || n <= 0 {
				t.Errorf("the time of a reload is %q", at)
			}
			done()
			if got := hears(); got != "READY=1" {
				t.Errorf("%q", got)
			}
			stop()
			if got := hears(); !strings.HasPrefix(got, "STOPPING=1\n") {
				t.Errorf("%q", got)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNobodyIsToldWhereNobodyAsked(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	var draining atomic.Bool
	s, l := service(t, &draining, nil)
	s.Workers = append(s.Workers, lifecycle.Worker{Name: "waits", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }})
	s.Ready = func(context.Context) bool { t.Error("asked"); return true }
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Until(ctx, l); err != nil {
		t.Error(err)
	}
}

func TestAManagerThatDoesNotListenIsNoFailure(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	var draining atomic.Bool
	s, l := service(t, &draining, nil)
	asked := make(chan struct{})
	s.Ready = func(context.Context) bool { close(asked); return true }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Until(ctx, l) }()
	<-asked
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
