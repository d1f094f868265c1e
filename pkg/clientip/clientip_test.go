// SPDX-License-Identifier: Apache-2.0

package clientip_test

import (
	"net/netip"
	"slices"
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

// FuzzClientIP compares the walk with a slow one written from the rule: the peers that
// are believed are, from the right, the unbroken run of our own proxies.
func FuzzClientIP(f *testing.F) {
	f.Add("10.0.0.1", "198.51.100.1, 10.0.0.2", "")
	f.Add("203.0.113.9", "junk", "198.51.100.1")
	f.Add("::1", ",,,", "10.0.0.1")
	f.Add("10.0.0.1", "192.0.2.66", "198.51.100.1,10.0.0.2")
	f.Add("::ffff:10.0.0.1", "2001:db8:2::7%eth0", "2001:db8:1::5")
	f.Add("2001:db8:1::1", "198.51.100.1:80", "10.0.0.3,\t10.0.0.2 ")
	f.Add("10.0.0.1", "198.51.100.1", strings.Repeat("10.0.0.2,", 31)+"10.0.0.2")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	r := clientip.New(trusted)
	f.Fuzz(func(t *testing.T, peer, first, second string) {
		p, err := netip.ParseAddr(peer)
		if err != nil {
			return
		}
		got := r.Client(p, []string{first, second})
		if want := slowWalk(trusted, p, first+","+second); got != want {
			t.Fatalf("%s with %q and %q is %s, want %s", peer, first, second, got, want)
		}
		scope := clientip.Scope(got)
		network, err := netip.ParsePrefix(scope)
		if own := scope == got.String(); own != got.Is4() || !own && (err != nil || network.Bits() != 64 || network != network.Masked() || !network.Contains(got)) {
			t.Fatalf("%s is counted as %s", got, scope)
		}
	})
}

// slowWalk gives the leftmost address that a chain of proxies vouches for: an entry
// counts when everything to its right, the peer included, is a proxy of ours.
func slowWalk(trusted []netip.Prefix, peer netip.Addr, header string) netip.Addr {
	ours := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	chain := []netip.Addr{peer.Unmap().WithZone("")}
	entries := strings.Split(header, ",")
	slices.Reverse(entries)
	for _, e := range entries[:min(len(entries), 32)] {
		a, err := netip.ParseAddr(strings.TrimSpace(e))
		if err != nil {
			break
		}
		chain = append(chain, a.Unmap().WithZone(""))
	}
	for i, a := range chain {
		if !ours(a) {
			return chain[i]
		}
	}
	return chain[len(chain)-1]
}
