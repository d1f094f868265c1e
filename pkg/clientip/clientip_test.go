// SPDX-License-Identifier: Apache-2.0

package clientip_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/clientip"
)

func TestClient(t *testing.T) {
	r := clientip.New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")})
	for _, tc := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "203.0.113.9", nil, "203.0.113.9"},
		{"LIM-3 HTTP-06 RL-01 a stranger's header is ignored", "203.0.113.9", []string{"198.51.100.1"}, "203.0.113.9"},
		{"one trusted hop", "10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"LIM-3 HTTP-06 RL-01 two trusted hops", "10.0.0.1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"LIM-3 HTTP-06 RL-01 what the client forged stands left of the truth", "10.0.0.1", []string{"192.0.2.66, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"several lines are one list", "10.0.0.1", []string{"192.0.2.66", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"garbage ends the walk at the last good one", "10.0.0.1", []string{"198.51.100.1, junk, 10.0.0.2"}, "10.0.0.2"},
		{"a port is garbage", "10.0.0.1", []string{"198.51.100.1:80"}, "10.0.0.1"},
		{"nothing but proxies", "10.0.0.1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"trusted without header", "10.0.0.1", nil, "10.0.0.1"},
		{"LIM-6 mapped IPv4 is IPv4", "::ffff:10.0.0.1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"IPv6 proxy", "2001:db8:1::5", []string{"2001:db8:2::7"}, "2001:db8:2::7"},
		{"zone dropped", "fe80::1%eth0", nil, "fe80::1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := r.Client(netip.MustParseAddr(tc.peer), tc.forwarded); got.String() != tc.want {
				t.Fatalf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestScope(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"IPv4 as it is", "192.0.2.1", "192.0.2.1"},
		{"LIM-6 RL-01 one IPv6 network is one bucket", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"LIM-6 RL-01 another host of it", "2001:db8:1:2::ffff", "2001:db8:1:2::/64"},
		{"LIM-6 RL-01 mapped", "::ffff:192.0.2.1", "192.0.2.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := clientip.Scope(netip.MustParseAddr(tc.in)); got != tc.want {
				t.Fatalf("got %s", got)
			}
		})
	}
}

func FuzzClientIP(f *testing.F) {
	f.Add("10.0.0.1", "198.51.100.1, 10.0.0.2")
	f.Add("203.0.113.9", "junk")
	f.Add("::1", ",,,")
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	r := clientip.New([]netip.Prefix{trusted})
	f.Fuzz(func(t *testing.T, peer, header string) {
		p, err := netip.ParseAddr(peer)
		if err != nil {
			return
		}
		got := r.Client(p, []string{header})
		own := p.Unmap().WithZone("")
		if got == own {
			return
		}
		// Any other answer stands in the header, and only a trusted peer is believed.
		if !trusted.Contains(own) {
			t.Fatalf("believed a stranger: %s", got)
		}
		for _, e := range strings.Split(header, ",") {
			if a, err := netip.ParseAddr(strings.TrimSpace(e)); err == nil && a.Unmap().WithZone("") == got {
				return
			}
		}
		t.Fatalf("%s stands nowhere in %q", got, header)
	})
}
