// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// asked sends what a client of this version sends, and gives all that it gets until the
// connection ends.
func (s *streaming) asked(t *testing.T, version, header string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/"+version+"\r\nHost: x\r\n"+header+"\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%v after %q", err, got)
	}
	return string(got)
}

func TestFramingOfStreams(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 100<<10)
	events := func(c *fiber.Ctx) error {
		c.Set("X-Of-The-Answer", "1")
		return server.Attend(c).Stream(c, func(_ context.Context, to *server.Outlet) *fault.Error {
			for _, p := range [][]byte{[]byte("data: {}\n\n"), nil, long, []byte("data: {\"event\":\"ping\"}\n\n")} {
				if n, err := to.Write(p); n != len(p) || err != nil {
					t.Errorf("%d of %d, %v", n, len(p), err)
				}
			}
			return nil
		})
	}
	t.Run("HTTP-01 API-16 a client of HTTP/1.1 gets a chunk for each write, and a last one", func(t *testing.T) {
		head, body, _ := strings.Cut(newStreaming(t, events).asked(t, "1.1", "Connection: close\r\n"), "\r\n\r\n")
		if !strings.Contains(head, "\r\nTransfer-Encoding: chunked") || strings.Contains(head, "Content-Length") {
			t.Error(head)
		}
		if want := "a\r\ndata: {}\n\n\r\n19000\r\n" + string(long) + "\r\n18\r\ndata: {\"event\":\"ping\"}\n\n\r\n0\r\n\r\n"; body != want {
			t.Errorf("%d bytes, want %d: %.100q … %.100q", len(body), len(want), body, body[max(0, len(body)-100):])
		}
	})
	t.Run("HTTP-01 API-16 a client of HTTP/1.0 gets no transfer coding: the end of the connection is that of the stream", func(t *testing.T) {
		for _, header := range []string{"", "Connection: keep-alive\r\n"} {
			s := newStreaming(t, events)
			answer := s.asked(t, "1.0", header)
			head, body, _ := strings.Cut(answer, "\r\n\r\n")
			if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || !strings.Contains(head, "\r\nContent-Type: text/event-stream") || !strings.Contains(head, "\r\nX-Of-The-Answer: 1") ||
				!strings.Contains(head, "\r\nX-Request-Id: ") || !strings.Contains(head, "\r\nX-Accel-Buffering: no") || strings.Count(head, "\r\nDate: ") != 1 {
				t.Error(head)
			}
			if strings.Contains(head, "Transfer-Encoding") || strings.Contains(head, "Content-Length") || strings.Count(head, "Connection: ") != 1 || !strings.Contains(head, "\r\nConnection: close") {
				t.Error(head)
			}
			if want := "data: {}\n\n" + string(long) + "data: {\"event\":\"ping\"}\n\n"; body != want {
				t.Errorf("%d bytes, want %d: %.100q", len(body), len(want), body)
			}
			if status := <-s.observed; status != http.StatusOK || s.streams.Open() != 0 || strings.Count(s.log.String(), `"msg":"request"`) != 1 || !strings.Contains(s.log.String(), `"stream":"whole"`) {
				t.Errorf("%d, %d open: %s", status, s.streams.Open(), s.log)
			}
		}
	})
	t.Run("API-19 HTTP-18 a client of HTTP/1.0 that leaves, and a panic, end the stream too", func(t *testing.T) {
		for word, serve := range map[string]func(ctx context.Context, to *server.Outlet) *fault.Error{
			"left":   func(ctx context.Context, _ *server.Outlet) *fault.Error { <-ctx.Done(); return nil },
			"failed": func(context.Context, *server.Outlet) *fault.Error { panic("a defect") },
		} {
			s := newStreaming(t, func(c *fiber.Ctx) error { return server.Attend(c).Stream(c, serve) })
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			head(t, conn)
			_ = conn.Close()
			select {
			case <-s.observed:
			case <-time.After(5 * time.Second):
				t.Fatalf("%s: nobody notices", word)
			}
			if s.streams.Open() != 0 || !strings.Contains(s.log.String(), `"stream":"`+word+`"`) {
				t.Errorf("%d open: %s", s.streams.Open(), s.log)
			}
		}
	})
}
