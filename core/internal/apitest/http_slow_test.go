// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// htDrip writes a byte at a time until the server hangs up.
func htDrip(c *htConn, pause time.Duration) {
	for c.send("x") {
		time.Sleep(pause)
	}
}

// Each of these would hold its connection for as long as the client likes.
func TestSlowClients(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited(), apitest.Set("READ_TIMEOUT", "1s"), apitest.Set("IDLE_TIMEOUT", "1s"))
	t.Run("HTTP-07 a header that drips in", func(t *testing.T) {
		c := htDial(t, s.URL)
		c.send("GET " + htHealth + " HTTP/1.1\r\nHost: x\r\nX-Note: ")
		go htDrip(c, 100*time.Millisecond)
		wantAnswer(t, c.read("GET"), http.StatusBadRequest, "bad_request")
		c.wantClosed()
	})
	t.Run("HTTP-07 a body that drips in", func(t *testing.T) {
		c := htDial(t, s.URL)
		c.send(htHead("Content-Length: 60000") + htStart)
		go htDrip(c, 100*time.Millisecond)
		wantAnswer(t, c.read("POST"), http.StatusBadRequest, "bad_request")
		c.wantClosed()
	})
	t.Run("HTTP-07 chunks that drip in", func(t *testing.T) {
		c := htDial(t, s.URL)
		c.send(htHead("Transfer-Encoding: chunked") + "ffff\r\n")
		go htDrip(c, 100*time.Millisecond)
		wantAnswer(t, c.read("POST"), http.StatusBadRequest, "bad_request")
		c.wantClosed()
	})
	t.Run("HTTP-07 nothing at all", func(t *testing.T) {
		c := htDial(t, s.URL)
		wantAnswer(t, c.read("GET"), http.StatusBadRequest, "bad_request")
		c.wantClosed()
	})
	t.Run("HTTP-07 an idle connection after an answer", func(t *testing.T) {
		c := htDial(t, s.URL)
		c.send("GET " + htHealth + " HTTP/1.1\r\nHost: x\r\n\r\n")
		wantAnswer(t, c.read("GET"), http.StatusOK, "")
		c.wantClosed()
	})
}

func TestCapOfConnections(t *testing.T) {
	const most = 16
	s := apitest.Start(t, unlimited(), apitest.Set("MAX_CONNECTIONS", fmt.Sprint(most)))
	ask := func(c *htConn) apitest.Answer {
		c.send("GET " + htHealth + " HTTP/1.1\r\nHost: x\r\n\r\n")
		return c.read("GET")
	}
	t.Run("HTTP-07 a connection above the cap is refused, one below is served", func(t *testing.T) {
		held := make([]*htConn, most)
		for i := range held {
			held[i] = htDial(t, s.URL)
			wantAnswer(t, ask(held[i]), http.StatusOK, "")
		}
		over := htDial(t, s.URL)
		a := over.read("GET") // nothing was asked
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
		wantFailureShape(t, a)
		wantFrameless(t, a)
		if a.Header.Get("Retry-After") == "" {
			t.Errorf("%v", a.Header)
		}
		over.wantClosed()
		wantAnswer(t, ask(held[0]), http.StatusOK, "")
		_ = held[0].conn.Close()
		eventually(t, func() (bool, string) {
			c := htDial(t, s.URL)
			defer func() { _ = c.conn.Close() }()
			return ask(c).Status == http.StatusOK, "a place that became free is not given"
		})
	})
}
