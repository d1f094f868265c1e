// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// streaming serves one route that streams.
type streaming struct {
	app      *fiber.App
	streams  *server.Streams
	addr     string
	log      *buffer
	observed chan int
}

func newStreaming(t *testing.T, handle fiber.Handler) *streaming {
	t.Helper()
	s := &streaming{streams: server.NewStreams(), log: &buffer{}, observed: make(chan int, 8)}
	var err error
	s.app, err = server.New(server.Config{
		Log: slog.New(slog.NewJSONHandler(s.log, nil)), Now: time.Now, Addresses: clientip.New(nil), Streams: s.streams, ReadTimeout: 200 * time.Millisecond,
		WriteTimeout: 300 * time.Millisecond, Observe: func(_ string, status int, _ time.Duration) { s.observed <- status },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.app.Get("/", server.Enter(server.Route{Pattern: "/"}), handle)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	served := make(chan struct{})
	go func() { defer close(served); _ = s.app.Listener(server.Lingering(l)) }()
	t.Cleanup(func() {
		s.streams.End()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.app.ShutdownWithContext(ctx)
		<-served
	})
	return s
}

func (s *streaming) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

func head(t *testing.T, conn net.Conn) (*http.Response, *bufio.Reader) {
	t.Helper()
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res, in
}

func TestStreams(t *testing.T) {
	t.Run("API-16 HTTP-07 the head leaves first, and no time limit of requests ends a stream", func(t *testing.T) {
		release := make(chan struct{})
		s := newStreaming(t, func(c *fiber.Ctx) error {
			return server.Attend(c).Stream(c, func(ctx context.Context, to *server.Outlet) *fault.Error {
				<-release
				if ctx.Err() != nil {
					t.Error(context.Cause(ctx))
				}
				_, _ = io.WriteString(to, "data: {}\n\n")
				return nil
			})
		})
		res, _ := head(t, s.dial(t))
		if res.Header.Get("Content-Type") != "text/event-stream" || s.streams.Open() != 1 || len(s.observed) != 0 {
			t.Errorf("%v, %d open, %d observed", res.Header, s.streams.Open(), len(s.observed))
		}
		<-time.After(600 * time.Millisecond) // longer than both limits
		close(release)
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "data: {}\n\n" {
			t.Errorf("%q, %v", body, err)
		}
		if status := <-s.observed; status != http.StatusOK || !strings.Contains(s.log.String(), `"stream":"whole"`) {
			t.Errorf("%d: %s", status, s.log)
		}
	})
	t.Run("API-19 a client that leaves ends the context, also one that closes its side alone", func(t *testing.T) {
		for name, leave := range map[string]func(net.Conn){
			"closes":  func(c net.Conn) { _ = c.Close() },
			"resets":  func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() },
			"half":    func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() },
			"chatted": func(c net.Conn) { _, _ = io.WriteString(c, "GET / HT"); _ = c.(*net.TCPConn).CloseWrite() },
		} {
			cause := make(chan error, 1)
			s := newStreaming(t, func(c *fiber.Ctx) error {
				return server.Attend(c).Stream(c, func(ctx context.Context, _ *server.Outlet) *fault.Error {
					<-ctx.Done()
					cause <- context.Cause(ctx)
					return nil
				})
			})
			conn := s.dial(t)
			head(t, conn)
			leave(conn)
			select {
			case err := <-cause:
				if err != server.ErrLeft { //nolint:errorlint // it is the cause itself
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%s: nobody notices", name)
			}
		}
	})
	t.Run("API-16 the end of the service is a cause that can be told", func(t *testing.T) {
		s := newStreaming(t, func(c *fiber.Ctx) error {
			return server.Attend(c).Stream(c, func(ctx context.Context, to *server.Outlet) *fault.Error {
				<-ctx.Done()
				f := fault.Of(context.Cause(ctx))
				_, _ = io.WriteString(to, f.Code())
				return f
			})
		})
		res, _ := head(t, s.dial(t))
		s.streams.End()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "service_unavailable" {
			t.Errorf("%q, %v", body, err)
		}
	})
	t.Run("HTTP-18 a panic in a stream's writer cuts the stream off, and is logged", func(t *testing.T) {
		s := newStreaming(t, func(c *fiber.Ctx) error {
			return server.Attend(c).Stream(c, func(context.Context, *server.Outlet) *fault.Error { panic("a defect") })
		})
		res, _ := head(t, s.dial(t))
		if body, err := io.ReadAll(res.Body); err == nil || len(body) > 0 {
			t.Errorf("%q as if it were whole", body)
		}
		<-s.observed
		if log := s.log.String(); !strings.Contains(log, "a defect") || !strings.Contains(log, `"level":"ERROR"`) {
			t.Error(log)
		}
	})
	t.Run("HTTP-07 who does not read is given up, at once when the stream is to end", func(t *testing.T) {
		for name, hurry := range map[string]bool{"within the write limit": false, "in a hurry": true} {
			done := make(chan struct{})
			s := newStreaming(t, func(c *fiber.Ctx) error {
				return server.Attend(c).Stream(c, func(_ context.Context, to *server.Outlet) *fault.Error {
					if hurry {
						to.Hurry()
					}
					block := make([]byte, 1<<20)
					for writes := true; writes; {
						_, err := to.Write(block)
						writes = err == nil
					}
					close(done)
					return nil
				})
			})
			s.dial(t)
			select {
			case <-done:
			case <-time.After(5 * time.Second):
				t.Fatalf("%s: it still writes", name)
			}
		}
	})
	t.Run("API-16 a stream that was at work after its last event ends in order", func(t *testing.T) {
		s := newStreaming(t, func(c *fiber.Ctx) error {
			return server.Attend(c).Stream(c, func(_ context.Context, to *server.Outlet) *fault.Error {
				_, _ = to.Write([]byte("data: {}\n\n"))
				to.Hurry()
				time.Sleep(1100 * time.Millisecond) // a store is slow to write down how it went
				return nil
			})
		})
		res, _ := head(t, s.dial(t))
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "data: {}\n\n" {
			t.Errorf("%q %v", body, err)
		}
	})
	t.Run("API-19 a stream that cannot be written is told so, once, and counted out", func(t *testing.T) {
		calls := make(chan error, 4)
		s := newStreaming(t, func(c *fiber.Ctx) error {
			err := server.Attend(c).Stream(c, func(ctx context.Context, _ *server.Outlet) *fault.Error {
				calls <- context.Cause(ctx)
				return nil
			})
			if err != nil {
				return err
			}
			return fault.ErrInternal // an answer in its place
		})
		res, _ := head(t, s.dial(t))
		if res.StatusCode != http.StatusInternalServerError || <-calls != server.ErrLeft || s.streams.Open() != 0 { //nolint:errorlint // it is the cause itself
			t.Errorf("%d, %d open", res.StatusCode, s.streams.Open())
		}
		if n := <-s.observed; n != http.StatusInternalServerError || len(s.observed) != 0 || len(calls) != 0 {
			t.Errorf("%d, %d more observed, %d more calls", n, len(s.observed), len(calls))
		}
	})
	t.Run("API-19 a request that is attended and answered leaves the connection usable", func(t *testing.T) {
		s := newStreaming(t, func(c *fiber.Ctx) error {
			a := server.Attend(c)
			defer a.Leave()
			return c.SendString("ok")
		})
		conn := s.dial(t)
		in := bufio.NewReader(conn)
		for i := range 3 {
			if i > 0 {
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != "ok" {
				t.Fatalf("%q, %v", body, err)
			}
		}
	})
}
