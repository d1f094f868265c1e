// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// The IPv4 ranges that are no part of the public network (IANA special-purpose
// registry). 192.88.99.0/24 is the relay of 6to4.
var special4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// Global unicast IPv6 is 2000::/3 alone; these ranges of it are not: protocol
// assignments with Teredo and benchmarking, documentation, and 6to4.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
	nat64    = netip.MustParsePrefix("64:ff9b::/96")
)

// The metadata services of clouds give credentials to whoever asks from the host. A
// range or a name in Allow does not open them, only the exact address does.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("169.254.169.254"): true, // AWS, Azure, Google and others
	netip.MustParseAddr("169.254.170.2"):   true, // tasks of AWS
	netip.MustParseAddr("169.254.170.23"):  true,
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba
	netip.MustParseAddr("168.63.129.16"):   true, // Azure's wire server
	netip.MustParseAddr("fd00:ec2::254"):   true,
	netip.MustParseAddr("fd00:ec2::23"):    true,
	netip.MustParseAddr("fd20:ce::254"):    true,
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

// guard decides where calls may go. It is immutable.
type guard struct {
	hosts     map[string]bool
	addresses map[netip.Addr]bool
	ranges    []netip.Prefix
}

// newGuard reads the entries of EGRESS_ALLOW: addresses, ranges and host names. It
// returns an error that names the position of an entry which is none of them.
func newGuard(allow []string) (guard, error) {
	g := guard{hosts: map[string]bool{}, addresses: map[netip.Addr]bool{}}
	for i, entry := range allow {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if p, err := netip.ParsePrefix(entry); err == nil {
			if p.IsSingleIP() {
				g.addresses[p.Addr().Unmap()] = true
			}
			g.ranges = append(g.ranges, p.Masked())
			continue
		}
		if a, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil && a.Zone() == "" {
			g.addresses[a.Unmap()] = true
			continue
		}
		if !isName(entry) {
			return guard{}, fmt.Errorf("egress: entry %d of the allowed hosts is no host, address or range", i+1)
		}
		g.hosts[entry] = true
	}
	return g, nil
}

var (
	errShape   = errors.New("the address is not an absolute https address without user information and fragment")
	errLiteral = errors.New("the host is neither a name nor an address in its usual notation")
	errPlain   = errors.New("http is for a loopback address that is allowed by name")
	errRange   = errors.New("the host has an address that is not public")
)

// target judges the form of an address, before any name is looked up.
func (g guard) target(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errShape // the parser's error repeats the address
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.Opaque != "", u.User != nil, u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, errShape
	}
	host := strings.ToLower(u.Hostname())
	address, literal := literalOf(host)
	if !literal && !isName(host) {
		return nil, errLiteral
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, errShape
		}
	}
	if literal {
		if err := g.judge(host, address); err != nil {
			return nil, err
		}
	}
	if u.Scheme == "http" && (!literal || !address.Unmap().IsLoopback()) && (host != "localhost" || !g.hosts[host]) {
		return nil, errPlain
	}
	return u, nil
}

// literalOf reads an address literal. Zones are refused, as they name an interface of
// this host; so is everything that some resolvers take for an address and others for a
// name: octal, hexadecimal, one decimal number.
func literalOf(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(host)
	return a, err == nil && a.Zone() == ""
}

// isName reports a host name of letters, digits, hyphens and underscores, at most 253
// bytes, whose last label is not a number in any notation.
func isName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return !strings.HasPrefix(last, "0x") && strings.Trim(last, "0123456789") != ""
}

// judge refuses an address that is not public, unless it or its host is allowed.
func (g guard) judge(host string, a netip.Addr) error {
	if a.Zone() != "" || !a.IsValid() {
		return errLiteral
	}
	a = a.Unmap()
	if g.addresses[a] {
		return nil
	}
	if metadata[a] || metadata[embedded(a)] {
		return errRange
	}
	for _, p := range g.ranges {
		if p.Contains(a) {
			return nil
		}
	}
	if g.hosts[host] || public(a) {
		return nil
	}
	return errRange
}

// public reports global unicast. A NAT64 address is judged by the one inside it.
func public(a netip.Addr) bool {
	if a.Is6() {
		if inside := embedded(a); inside.IsValid() {
			return public(inside)
		}
		return global6.Contains(a) && !in(special6, a)
	}
	return !in(special4, a)
}

// embedded gives the IPv4 address of a NAT64 address (RFC 6052 section 2.1).
func embedded(a netip.Addr) netip.Addr {
	if !nat64.Contains(a) {
		return netip.Addr{}
	}
	b := a.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

func in(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
