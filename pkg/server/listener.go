// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Bounded gives a listener that never has more than most connections open in app.
// Those beyond it are answered like any outage, and closed before a byte is read.
func Bounded(app *fiber.App, l net.Listener, most int) net.Listener {
	return &bounded{Listener: l, app: app, most: most}
}

type bounded struct {
	net.Listener
	app    *fiber.App
	most   int
	silent bool // a refusal says nothing
}

// refusalLimit bounds how long the accept loop waits for a peer that does not read.
const refusalLimit = 100 * time.Millisecond

// Accept implements net.Listener. Only the accept loop calls it, and connections are
// counted before it is called again.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if int(b.app.Server().GetOpenConnectionsCount()) < b.most {
			return linger(conn), nil
		}
		if !b.silent {
			_ = conn.SetWriteDeadline(time.Now().Add(refusalLimit))
			_, _ = conn.Write(refusal)
		}
		_ = conn.Close()
	}
}

// refusal is ErrUnavailable as it stands on the wire.
var refusal = func() []byte {
	body := encode(fault.ErrUnavailable, Canonical)
	head := "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) +
		"\r\nRetry-After: " + strconv.Itoa(RetrySeconds(fault.ErrUnavailable.Retry())) +
		"\r\nCache-Control: no-store\r\nX-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\nContent-Security-Policy: frame-ancestors 'none'\r\n\r\n"
	return append([]byte(head), body...)
}()
