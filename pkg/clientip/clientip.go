// SPDX-License-Identifier: Apache-2.0

package clientip

import (
	"net/netip"
	"strings"
)

// Resolver knows which peers are our own proxies.
type Resolver struct{ trusted []netip.Prefix }

// New takes the networks of trusted proxies; none means that the peer is the client.
func New(trusted []netip.Prefix) *Resolver { return &Resolver{trusted: trusted} }

// Trusted reports whether a peer is one of our proxies.
func (r *Resolver) Trusted(peer netip.Addr) bool {
	peer = plain(peer)
	for _, p := range r.trusted {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// maxHops bounds the walk.
const maxHops = 32

// Client gives the client's address: the peer, unless it is trusted; then the
// X-Forwarded-For lines, joined in order, are walked from right to left past trusted
// addresses, and the first other one counts. An entry that does not parse ends the
// walk at the last good one.
func (r *Resolver) Client(peer netip.Addr, forwardedFor []string) netip.Addr {
	client := plain(peer)
	if !r.Trusted(client) {
		return client
	}
	entries := strings.Split(strings.Join(forwardedFor, ","), ",")
	for i, hops := len(entries)-1, 0; i >= 0 && hops < maxHops; i, hops = i-1, hops+1 {
		addr, err := netip.ParseAddr(strings.TrimSpace(entries[i]))
		if err != nil {
			return client
		}
		client = plain(addr)
		if !r.Trusted(client) {
			return client
		}
	}
	return client
}

// plain makes a mapped address IPv4 and drops a zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// v6Bits is the part of an IPv6 address that limits count: one customer usually holds
// a whole /64.
const v6Bits = 64

// Scope gives an address as rate limits count it: IPv4 as it is, IPv6 by its /64.
func Scope(a netip.Addr) string {
	a = plain(a)
	if a.Is6() {
		if p, err := a.Prefix(v6Bits); err == nil {
			return p.String()
		}
	}
	return a.String()
}
