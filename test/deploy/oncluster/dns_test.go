// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// serveNames is the cluster's name server, by UDP: lookup gives the addresses of a name
// without its last dot, or false where there is no such name.
func serveNames(t testing.TB, listen string, lookup func(name string) ([]string, bool)) {
	t.Helper()
	l, err := net.ListenPacket("udp", listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for buffer := make([]byte, 4096); ; {
			n, from, err := l.ReadFrom(buffer)
			if err != nil {
				return
			}
			if reply, ok := answer(buffer[:n], lookup); ok {
				_, _ = l.WriteTo(reply, from)
			}
		}
	}()
}

func answer(asked []byte, lookup func(string) ([]string, bool)) ([]byte, bool) {
	var m dnsmessage.Message
	if err := m.Unpack(asked); err != nil || len(m.Questions) != 1 {
		return nil, false
	}
	q := m.Questions[0]
	addresses, known := lookup(strings.ToLower(strings.TrimSuffix(q.Name.String(), ".")))
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionDesired: m.RecursionDesired, RecursionAvailable: true}, Questions: m.Questions}
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	if q.Type == dnsmessage.TypeA {
		for _, a := range addresses {
			reply.Answers = append(reply.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 5},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()},
			})
		}
	}
	packed, err := reply.Pack()
	return packed, err == nil
}
