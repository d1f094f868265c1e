// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
)

const (
	// lingerBytes and lingerTime bound what is thrown away of a body that was refused.
	lingerBytes = 1 << 20
	lingerTime  = 2 * time.Second
	// maxLingering bounds how many connections are at it; others are closed at once.
	maxLingering = 256
)

var lingerers atomic.Int32

// lingering is a connection that a refused body does not cut off from its answer. Where
// a connection is closed while bytes of the peer are unread, TCP resets it, and the peer,
// often a proxy that is still sending, loses the answer (RFC 9112 section 9.6). So it is
// closed for writing first, and what still comes is thrown away, within bounds.
type lingering struct {
	*net.TCPConn
	unread atomic.Bool
}

// linger wraps what a listener has accepted.
func linger(conn net.Conn) net.Conn {
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &lingering{TCPConn: tcp}
	}
	return conn
}

// Lingering gives a listener whose connections do not lose the answer to a body that was
// refused; Bounded gives the same beside its bound.
func Lingering(l net.Listener) net.Listener { return patient{l} }

type patient struct{ net.Listener }

// Accept implements net.Listener.
func (p patient) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return linger(conn), nil
}

// leavesUnread notes that the rest of a request's body stays on the connection.
func leavesUnread(c *fiber.Ctx) {
	conn := c.Context().Conn()
	for {
		switch outer := conn.(type) {
		case *lingering:
			outer.unread.Store(true)
			return
		case interface{ NetConn() net.Conn }: // TLS
			conn = outer.NetConn()
		default:
			return
		}
	}
}

// Close implements net.Conn.
func (c *lingering) Close() error {
	if !c.unread.Swap(false) {
		return c.TCPConn.Close()
	}
	if lingerers.Add(1) <= maxLingering && c.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c.TCPConn, lingerBytes)
	}
	lingerers.Add(-1)
	return c.TCPConn.Close()
}
