// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// After a stream, its connection.
func TestAConnectionAfterItsStream(t *testing.T) {
	const one = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	events := func(c *fiber.Ctx) error {
		return server.Attend(c).Stream(c, func(_ context.Context, to *server.Outlet) *fault.Error {
			_, _ = io.WriteString(to, "data: {}\n\n")
			return nil
		})
	}
	next := func(t *testing.T, in *bufio.Reader) {
		t.Helper()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "data: {}\n\n" || res.Close {
			t.Fatalf("%q, %v, %v", body, err, res.Header)
		}
	}
	both := map[string]func(t *testing.T) net.Conn{
		"in clear": func(t *testing.T) net.Conn {
			conn, err := net.Dial("tcp", newStreaming(t, events).addr)
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
		"TLS": func(t *testing.T) net.Conn { return secure(t, events) },
	}
	for name, dial := range both {
		t.Run("API-16 HTTP-01 it serves the next request, and one that was sent ahead, "+name, func(t *testing.T) {
			conn := dial(t)
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			in := bufio.NewReader(conn)
			for _, sent := range []string{one, one + one + one, one} {
				if _, err := io.WriteString(conn, sent); err != nil {
					t.Fatal(err)
				}
				for range strings.Count(sent, one) {
					next(t, in)
				}
			}
		})
	}
	t.Run("HTTP-01 a body that nobody has read is not taken for a request", func(t *testing.T) {
		s := newStreaming(t, events)
		for _, framing := range []string{"Content-Length: 27\r\n\r\n" + one, "Transfer-Encoding: chunked\r\n\r\n1b\r\n" + one + "\r\n0\r\n\r\n"} {
			answer := s.asked(t, "1.1", framing)
			if strings.Count(answer, "HTTP/1.1 ") != 1 || !strings.HasSuffix(answer, "\r\n0\r\n\r\n") {
				t.Errorf("%q is answered with %q", framing, answer)
			}
			<-s.observed
		}
	})
	t.Run("HTTP-07 a connection counts while its stream goes on, and no longer", func(t *testing.T) {
		streams, release := server.NewStreams(), make(chan struct{})
		app, err := server.New(server.Config{Log: slog.New(slog.DiscardHandler), Now: time.Now, Addresses: clientip.New(nil), Streams: streams})
		if err != nil {
			t.Fatal(err)
		}
		app.Get("/", server.Enter(server.Route{Pattern: "/"}), func(c *fiber.Ctx) error {
			return server.Attend(c).Stream(c, func(ctx context.Context, _ *server.Outlet) *fault.Error {
				select {
				case <-release:
				case <-ctx.Done():
				}
				return nil
			})
		})
		addr := serving(t, app, streams, func(l net.Listener) net.Listener { return server.Bounded(app, l, 2) })
		ask := func() (net.Conn, int) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, one)
			res, _ := head(t, conn)
			return conn, res.StatusCode
		}
		first, a := ask()
		second, b := ask()
		third, c := ask()
		if a != 200 || b != 200 || c != 503 {
			t.Errorf("%d, %d, %d", a, b, c)
		}
		_ = third.Close()
		_ = first.Close() // its stream hears of it
		close(release)
		_ = second.Close()
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			conn, status := ask()
			_ = conn.Close()
			if status == 200 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("connections that have ended are counted")
			}
		}
	})
}

// serving serves app on a listener of its own until the test ends.
func serving(t *testing.T, app *fiber.App, streams *server.Streams, wrap func(net.Listener) net.Listener) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = app.Listener(wrap(l)) }()
	t.Cleanup(func() {
		streams.End()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = app.ShutdownWithContext(ctx)
		<-served
	})
	return l.Addr().String()
}

// secure serves handle by TLS, and gives a client's connection.
func secure(t *testing.T, handle fiber.Handler) net.Conn {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"x"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, private := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, private: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	pair, err := server.LoadCertificate(cert, private, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	streams := server.NewStreams()
	app, err := server.New(server.Config{Log: log, Now: time.Now, Addresses: clientip.New(nil), Streams: streams})
	if err != nil {
		t.Fatal(err)
	}
	app.Get("/", server.Enter(server.Route{Pattern: "/"}), handle)
	addr := serving(t, app, streams, func(l net.Listener) net.Listener { return server.BoundedTLS(app, l, 10, pair) })
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
