// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Why an address of a runtime is refused.
var (
	// ErrAddress: it is no absolute http or https address, or has more than host, port and path.
	ErrAddress = errors.New("the address is not an absolute http or https address without user information, query and fragment")
	// ErrUnnamed: the host is this machine, link-local, or no single host, and not named.
	ErrUnnamed = errors.New("the host is an address of this machine, link-local or of no single host, and is not named as allowed")
	// ErrOwn: it is this service itself.
	ErrOwn = errors.New("this service listens there itself, and host and port are not named as allowed")
	// ErrOutside: there is a list, and it does not name the host.
	ErrOutside = errors.New("the host is not among those that are allowed")
)

// What is reached only under its own name: this machine, its link, and what is nobody's
// address or that of many. 0.0.0.0/8 and :: mean this machine to most systems. The second
// group has the former spellings of IPv4 in IPv6 and the tunnels, which hide another
// address.
var (
	loopback = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

	unnamed = prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/96", "fe80::/10", "fec0::/10", "ff00::/8")
	tunnels = prefixes("2001::/32", "64:ff9b:1::/48")
)

// place is an entry of the list: a name or a range, at one port or at all.
type place struct {
	name   string
	prefix netip.Prefix
	port   string
}

// runtimeGuard decides which runtimes may be called. It is immutable.
type runtimeGuard struct {
	allowed []place
	own     []place
	local   func() []netip.Addr
}

// RuntimeHosts checks the entries of RUNTIME_ALLOWED_HOSTS. Its error names the position of
// one that cannot be read.
func RuntimeHosts(list []string) error {
	_, err := newRuntimeGuard(list, nil, nil)
	return err
}

func newRuntimeGuard(allowed, own []string, local func() []netip.Addr) (g runtimeGuard, err error) {
	g.local = local
	for i, entry := range allowed {
		p, ok := placeOf(entry)
		if !ok {
			return g, fmt.Errorf("egress: entry %d of the allowed runtimes is no host, address or range", i+1)
		}
		g.allowed = append(g.allowed, p)
	}
	for _, entry := range own {
		host, port, err := net.SplitHostPort(entry)
		if err != nil {
			return g, errors.New("egress: an address of this service is no host and port")
		}
		p := place{port: port}
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
			p.prefix = single(a)
		} else if err != nil {
			p.name = strings.ToLower(host) // of ":5001" it is empty, as for every address
		}
		g.own = append(g.own, p)
	}
	return g, nil
}

func single(a netip.Addr) netip.Prefix {
	a = a.WithZone("").Unmap()
	return netip.PrefixFrom(a, a.BitLen())
}

func placeOf(entry string) (place, bool) {
	entry = strings.ToLower(strings.TrimSpace(entry))
	if p, err := netip.ParsePrefix(entry); err == nil {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return place{prefix: p.Masked()}, true
	}
	if a, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		return place{prefix: single(a)}, a.Zone() == ""
	}
	host, port := entry, ""
	if h, p, err := net.SplitHostPort(entry); err == nil {
		if !isPort(p) {
			return place{}, false
		}
		host, port = h, p
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return place{prefix: single(a), port: port}, a.Zone() == ""
	}
	return place{name: host, port: port}, isName(host)
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n <= 65535 && s == strconv.Itoa(n)
}

// target judges the form of an address, before any name is looked up.
func (g runtimeGuard) target(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, ErrAddress // the parser's error repeats the address
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.Opaque != "", u.User != nil, strings.ContainsAny(raw, "?#"):
		return nil, ErrAddress
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return nil, ErrAddress
		}
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	a, literal := literalOf(host)
	switch {
	case !literal && !isName(host), !isPort(port):
		return nil, ErrAddress
	case literal:
		return u, g.judge(host, a, port)
	case host == localhost:
		for _, a := range loopback {
			if err := g.judge(host, a, port); err != nil {
				return nil, err
			}
		}
		return u, nil
	}
	if g.isOwn(host, netip.Addr{}, port) && !g.opensOwn(host, netip.Addr{}, port) {
		return nil, ErrOwn
	}
	// A name that is on no list may still mean an address that is.
	onlyNames := !slices.ContainsFunc(g.allowed, func(p place) bool { return p.name == "" })
	if len(g.allowed) > 0 && onlyNames && !g.named(host, port) {
		return nil, ErrOutside
	}
	return u, nil
}

// judge refuses an address. What is this service's own comes first: an entry without a port
// does not mean it. Then come the metadata services of clouds, which only their exact
// address opens, and what must be named by its address.
func (g runtimeGuard) judge(host string, a netip.Addr, port string) error {
	if a.Zone() != "" || !a.IsValid() {
		return ErrAddress
	}
	a = a.Unmap()
	inside := hidden(a)
	named := g.named(host, port)
	if g.isOwn(host, a, port) || inside.IsValid() && g.isOwn(host, inside, port) {
		if g.opensOwn(host, a, port) {
			return nil
		}
		return ErrOwn
	}
	exact := g.contains(a, port, func(p netip.Prefix) bool { return p.IsSingleIP() })
	switch {
	case exact, host == localhost && a.IsLoopback() && (named || g.namesLoopback(port)):
		return nil
	case metadata[a] || metadata[inside]:
		return ErrUnnamed
	case in(unnamed, a):
		if g.contains(a, port, within) {
			return nil
		}
		return ErrUnnamed
	case inside.IsValid():
		if err := g.judge(host, inside, port); err != nil {
			return err
		}
	case in(tunnels, a):
		return ErrUnnamed
	}
	if len(g.allowed) == 0 || named || g.contains(a, port, func(netip.Prefix) bool { return true }) {
		return nil
	}
	return ErrOutside
}

// hidden gives the IPv4 address inside a NAT64 or 6to4 address (RFC 6052 section 2.1, RFC
// 3056 section 2).
func hidden(a netip.Addr) netip.Addr {
	if sixToFour.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return embedded(a)
}

var sixToFour = netip.MustParsePrefix("2002::/16")

const localhost = "localhost"

// namesLoopback reports an entry that means what localhost means, in either family.
func (g runtimeGuard) namesLoopback(port string) bool {
	return slices.ContainsFunc(loopback, func(a netip.Addr) bool { return g.contains(a, port, within) })
}

// within reports a range that lies in one of those that must be named: 0.0.0.0/0 holds
// loopback and does not name it.
func within(p netip.Prefix) bool {
	return slices.ContainsFunc(unnamed, func(u netip.Prefix) bool { return u.Contains(p.Addr()) && u.Bits() <= p.Bits() })
}

// named reports an entry of this name.
func (g runtimeGuard) named(host, port string) bool {
	return slices.ContainsFunc(g.allowed, func(p place) bool { return p.name != "" && p.name == host && (p.port == "" || p.port == port) })
}

// contains reports an entry whose range holds the address and passes.
func (g runtimeGuard) contains(a netip.Addr, port string, pass func(netip.Prefix) bool) bool {
	return slices.ContainsFunc(g.allowed, func(p place) bool {
		return p.name == "" && p.prefix.Contains(a) && (p.port == "" || p.port == port) && pass(p.prefix)
	})
}

// isOwn reports a place where this service listens: by its name, by its address, or, where it
// listens at every address, by each of this machine.
func (g runtimeGuard) isOwn(host string, a netip.Addr, port string) bool {
	return slices.ContainsFunc(g.own, func(p place) bool {
		switch {
		case p.port != port:
			return false
		case p.name != "" && (p.name == host || p.name == localhost && a.IsLoopback()):
			return true
		case p.name != "" || !a.IsValid():
			return false
		case p.prefix.IsValid():
			return p.prefix.Contains(a) || a.IsUnspecified() && p.prefix.Addr().IsLoopback()
		}
		return a.IsLoopback() || a.IsUnspecified() || slices.ContainsFunc(g.local(), func(l netip.Addr) bool { return l.WithZone("").Unmap() == a })
	})
}

// opensOwn reports an entry with this port that names the host or its address.
func (g runtimeGuard) opensOwn(host string, a netip.Addr, port string) bool {
	return slices.ContainsFunc(g.allowed, func(p place) bool {
		return p.port == port && (p.name != "" && p.name == host || p.name == "" && a.IsValid() && p.prefix.Contains(a))
	})
}
