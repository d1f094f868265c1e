// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// ErrNotHTTPS is what a client reads that speaks plain http to a port of https.
var ErrNotHTTPS = fault.New(fault.Invalid, "https_required", "This port speaks https. Write https:// in front of the address.")

// Listener gives l's connections as TLS with this certificate. Nobody is waited for in
// the accept loop: the handshake is the first thing that the connection's own goroutine
// does, within the time to read a request.
func (c *Certificate) Listener(l net.Listener) net.Listener {
	return &secured{Listener: l, config: &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"}, // fasthttp speaks nothing else
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}}
}

// BoundedTLS is Bounded with TLS. Connections beyond the bound are closed without a
// word: to say one, a handshake would have to be waited for.
func BoundedTLS(app *fiber.App, l net.Listener, most int, c *Certificate) net.Listener {
	return c.Listener(&bounded{Listener: l, app: app, most: most, silent: true})
}

type secured struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener.
func (s *secured) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &secureConn{Conn: tls.Server(conn, s.config)}, nil
}

// secureConn answers in clear those who speak in clear. fasthttp goes on to read after a
// handshake that failed, and would take the failure for a request that nobody can read.
type secureConn struct {
	*tls.Conn
	failed bool // written and read by the one goroutine that serves the connection
}

// Handshake implements what fasthttp asks of a TLS connection.
func (c *secureConn) Handshake() error {
	err := c.Conn.Handshake()
	if err == nil {
		return nil
	}
	c.failed = true
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil && looksLikeHTTP(plain.RecordHeader[:]) {
		_ = plain.Conn.SetDeadline(time.Now().Add(refusalLimit))
		_, _ = plain.Conn.Write(notHTTPS)
		// The rest of the request is read, within bounds, so that its sender is not reset
		// before it has read the answer.
		_, _ = io.CopyN(io.Discard, plain.Conn, 64<<10)
	}
	return err
}

// Read implements net.Conn.
func (c *secureConn) Read(p []byte) (int, error) {
	if c.failed {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// looksLikeHTTP judges the first five bytes.
func looksLikeHTTP(head []byte) bool {
	for _, method := range []string{"GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO"} {
		if bytes.Equal(head, []byte(method)) {
			return true
		}
	}
	return false
}

// notHTTPS is ErrNotHTTPS as it stands on the wire.
var notHTTPS = func() []byte {
	body := encode(ErrNotHTTPS, Canonical)
	head := "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) +
		"\r\nCache-Control: no-store\r\nX-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\nContent-Security-Policy: frame-ancestors 'none'\r\n\r\n"
	return append([]byte(head), body...)
}()

// hasPEM reports whether a file has a block whose type ends so.
func hasPEM(file []byte, kind string) bool {
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			return false
		}
		if strings.HasSuffix(block.Type, kind) && !strings.HasPrefix(block.Type, "ENCRYPTED") && block.Headers["DEK-Info"] == "" {
			return true
		}
		file = rest
	}
}

// firstBlock gives the first certificate of a file.
func firstBlock(file []byte) []byte {
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			return nil
		}
		if block.Type == "CERTIFICATE" {
			return block.Bytes
		}
		file = rest
	}
}
