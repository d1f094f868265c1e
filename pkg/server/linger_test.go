// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/server"
)

func TestRefusedBodiesAndTheirAnswers(t *testing.T) {
	f := serve(t, server.Config{MaxConnections: 50, ReadTimeout: 20 * time.Second}, func(app *fiber.App) {
		app.Post("/small", func(c *fiber.Ctx) error {
			if _, err := server.Body(c, 1<<10); err != nil {
				return err
			}
			return c.SendString("read")
		})
	})
	dial := func(t *testing.T) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		return conn
	}
	const size = 512 << 10
	framings := map[string]string{
		"declared": fmt.Sprintf("Content-Length: %d\r\n\r\n", size) + strings.Repeat("x", size),
		"chunked":  fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", size) + strings.Repeat("x", size) + "\r\n0\r\n\r\n",
	}
	for framing, rest := range framings {
		t.Run("M-22 a sender who sends everything before it reads is not cut off, "+framing, func(t *testing.T) {
			for range 20 {
				conn := dial(t)
				request := "POST /small HTTP/1.1\r\nHost: x\r\n" + rest
				const first = 16 << 10
				if _, err := io.WriteString(conn, request[:first]); err != nil {
					t.Fatal(err)
				}
				in := bufio.NewReader(conn)
				if _, err := in.Peek(1); err != nil { // the server has answered and is closing
					t.Fatal(err)
				}
				for left := request[first:]; left != ""; left = left[min(len(left), 4<<10):] {
					if _, err := io.WriteString(conn, left[:min(len(left), 4<<10)]); err != nil {
						t.Fatalf("cut off with %d bytes to send: %v", len(left), err)
					}
				}
				res, err := http.ReadResponse(in, nil)
				if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Fatalf("%v, %v", res, err)
				}
				if rest, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(rest), "request_entity_too_large") {
					t.Fatalf("%q, %v", rest, err)
				}
			}
		})
	}
	t.Run("M-22 the answer does not wait for the rest", func(t *testing.T) {
		conn := dial(t)
		_, _ = io.WriteString(conn, fmt.Sprintf("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)+strings.Repeat("x", 8<<10)) // which the framework takes first
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("%v, %v", res, err)
		}
		_, _ = io.ReadAll(res.Body)
		if _, err := in.ReadByte(); err != io.EOF {
			t.Fatalf("not closed: %v", err)
		}
	})
	t.Run("HTTP-08 a sender without an end is cut off", func(t *testing.T) {
		conn := dial(t)
		_, _ = io.WriteString(conn, "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
		block := make([]byte, 64<<10)
		for sent := 0; ; sent += len(block) {
			if _, err := conn.Write(block); err != nil {
				return
			}
			if sent > 64<<20 {
				t.Fatal("all of it is read")
			}
		}
	})
}
