// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Resolver looks names up; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// system asks the machine's resolver. Of *net.Resolver itself behind an interface the linker
// keeps whatever else can be looked up.
type system struct{}

func (system) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, network, host)
}

// judge refuses an address that a host means, when its port must not be called there.
type judge func(host string, a netip.Addr, port string) error

// dialer connects to judged addresses alone.
type dialer struct {
	judge    judge
	resolver Resolver
	proxy    *url.URL
	tls      *tls.Config // towards an https proxy
	connect  time.Duration
}

// DialContext looks the host up once, judges every result and connects to one of them:
// a second answer of the name server changes nothing (DNS rebinding).
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.connect)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &phased{Refused, errShape}
	}
	host = strings.ToLower(host)
	judged, err := d.addresses(ctx, host, port)
	if err != nil {
		return nil, err
	}
	if d.proxy != nil && !judged[0].Unmap().IsLoopback() {
		// The proxy gets the judged address, not the name: it would look it up again.
		return d.throughProxy(ctx, net.JoinHostPort(judged[0].String(), port))
	}
	var last error
	for i, a := range judged {
		conn, err := d.one(ctx, network, a, port, len(judged)-i)
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

func (d *dialer) addresses(ctx context.Context, host, port string) ([]netip.Addr, error) {
	list := []netip.Addr{}
	if a, literal := literalOf(host); literal {
		list = append(list, a)
	} else {
		if !isName(host) {
			return nil, &phased{Refused, errLiteral}
		}
		found, err := d.resolver.LookupNetIP(ctx, "ip", host)
		if ctx.Err() != nil {
			return nil, &phased{DNS, ctx.Err()}
		}
		if err != nil {
			return nil, &phased{DNS, err}
		}
		list = append(list, found...)
	}
	if len(list) == 0 {
		return nil, &phased{DNS, errors.New("the name has no address")}
	}
	for i, a := range list {
		if err := d.judge(host, a, port); err != nil {
			return nil, &phased{Refused, err}
		}
		if host == "localhost" && !a.Unmap().IsLoopback() {
			return nil, &phased{Refused, errPlain} // http is taken for it
		}
		list[i] = a.Unmap()
	}
	return list, nil
}

// one connects to one address, which shares the time that is left with those after it.
func (d *dialer) one(ctx context.Context, network string, a netip.Addr, port string, left int) (net.Conn, error) {
	if until, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(until)/time.Duration(left))
		defer cancel()
	}
	plain := &net.Dialer{Control: func(_, real string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(real)
		if err != nil || to.Addr().Unmap() != a {
			return &phased{Refused, errRange}
		}
		return nil
	}}
	return plain.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
}

// throughProxy opens a tunnel (RFC 9110 section 9.3.6). The proxy is the operator's own
// setting, so its address is not judged.
func (d *dialer) throughProxy(ctx context.Context, target string) (net.Conn, error) {
	port := d.proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[d.proxy.Scheme]
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(d.proxy.Hostname(), port))
	if err != nil {
		return nil, err
	}
	if d.proxy.Scheme == "https" {
		c := d.tls.Clone()
		c.ServerName = d.proxy.Hostname()
		conn = tls.Client(conn, c)
	}
	if until, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(until)
	}
	if err := tunnel(conn, d.proxy, target); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, conn.SetDeadline(time.Time{})
}

func tunnel(conn net.Conn, proxy *url.URL, target string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		basic := &http.Request{Header: http.Header{}}
		basic.SetBasicAuth(u.Username(), password)
		req.Header.Set("Proxy-Authorization", basic.Header.Get("Authorization"))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	// The peer of a TLS tunnel speaks second, so nothing after the head is buffered away.
	answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 4096), req) //nolint:bodyclose // the connection becomes the tunnel, or is closed
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return &phased{Connect, fmt.Errorf("the proxy answers %d", answer.StatusCode)}
	}
	return nil
}
