// SPDX-License-Identifier: Apache-2.0

package idptest

import (
	"net"
	"sync/atomic"
	"testing"
)

// Canary is an address that nobody may call: it counts connections and answers none.
type Canary struct {
	// URL is https, Plain the same address as http.
	URL, Plain string
	count      atomic.Int32
}

func newCanary(t testing.TB) *Canary {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Canary{URL: "https://" + l.Addr().String(), Plain: "http://" + l.Addr().String()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.count.Add(1)
			_ = conn.Close()
		}
	}()
	return c
}

// Count gives the connections so far.
func (c *Canary) Count() int { return int(c.count.Load()) }
