// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// buffer is a log that is written while a test reads it.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type frame struct {
	app     *fiber.App
	address string
	log     *buffer
}

// serve starts a listener until the test ends.
func serve(t *testing.T, cfg server.Config, routes func(app *fiber.App)) frame {
	t.Helper()
	f := frame{log: &buffer{}}
	cfg.Log, cfg.Now, cfg.Addresses = slog.New(slog.NewJSONHandler(f.log, nil)), time.Now, clientip.New(nil)
	app, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	routes(app)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.Listener(server.Bounded(app, l, 1000)) }()
	t.Cleanup(func() {
		if err := errors.Join(app.ShutdownWithTimeout(time.Second), <-done); err != nil {
			t.Error(err)
		}
	})
	f.app, f.address = app, l.Addr().String()
	return f
}

func (f frame) ask(t *testing.T, request string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(content)
}

func TestSlowReader(t *testing.T) {
	const size = 64 << 20 // more than the sockets of both ends hold
	answered := make(chan struct{})
	f := serve(t, server.Config{WriteTimeout: 100 * time.Millisecond}, func(app *fiber.App) {
		app.Get("/large", func(c *fiber.Ctx) error { defer close(answered); return c.Send(make([]byte, size)) })
	})
	t.Run("HTTP-07 a client that does not read is hung up on", func(t *testing.T) {
		conn, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-answered
		for end := time.Now().Add(10 * time.Second); f.app.Server().GetOpenConnectionsCount() > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the connection is held")
			}
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if n, _ := io.Copy(io.Discard, conn); n >= size {
			t.Errorf("all of it was waiting: %d bytes", n)
		}
	})
}

func TestLastRecover(t *testing.T) {
	f := serve(t, server.Config{
		Page:   func(*fiber.Ctx, *fault.Error) error { panic("page canary") },
		IsPage: func(*fiber.Ctx) bool { return true },
	}, func(app *fiber.App) {
		app.Get("/panics", func(*fiber.Ctx) error { panic("handler canary") })
		app.Get("/fine", func(c *fiber.Ctx) error { return c.SendString("fine") })
	})
	const want = `{"code":"internal_server_error","message":"Something went wrong on our side.","status":500}`
	for _, tc := range []struct{ name, path string }{
		{"HTTP-18 M-28 the writer of failures panics after a handler did", "/panics"},
		{"HTTP-18 M-28 the writer of failures panics where nothing is", "/nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, body := f.ask(t, "GET "+tc.path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if status != http.StatusInternalServerError || body != want {
				t.Errorf("%d %s", status, body)
			}
			if status, body := f.ask(t, "GET /fine HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); status != http.StatusOK || body != "fine" {
				t.Errorf("the process does not live: %d %s", status, body)
			}
			if !strings.Contains(f.log.String(), "page canary") {
				t.Error("the cause is on no record")
			}
		})
	}
}

func TestNewWantsWhatItCannotDoWithout(t *testing.T) {
	if _, err := server.New(server.Config{}); err == nil {
		t.Error("a listener without log, clock and addresses")
	}
}
