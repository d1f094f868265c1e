// SPDX-License-Identifier: Apache-2.0

package followed

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// front stands before the processes of a service, as a proxy or a Service of Kubernetes
// does: they take turns, and one that is about to stop gets nothing more.
type front struct {
	address string
	hosts   []*host
	next    atomic.Int64
	through *http.Transport

	listener net.Listener
	server   *http.Server
}

type host struct {
	url  *url.URL
	out  atomic.Bool
	busy atomic.Int64
}

// newFront listens at a name of its own, so that the two services are two sites. Its
// address is kept from here on.
func newFront(t testing.TB, name string) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f := &front{listener: l, address: "http://" + net.JoinHostPort(name, port), through: insecure()}
	f.server = &http.Server{Handler: http.HandlerFunc(f.pass), ReadHeaderTimeout: time.Minute}
	t.Cleanup(func() { _ = f.server.Close() })
	return f
}

// open begins to serve, by https with a pair.
func (f *front) open(cert, key string) {
	if cert == "" {
		go func() { _ = f.server.Serve(f.listener) }()
		return
	}
	f.address = strings.Replace(f.address, "http:", "https:", 1)
	go func() { _ = f.server.ServeTLS(f.listener, cert, key) }()
}

// clients is the one transport of all people and services: cookies are what tells them
// apart, and a transport for each would keep its connections.
var clients = insecure()

// insecure is how a test reaches a pair that it has made.
func insecure() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 64, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
}

// failed tells the client, whose test tells us.
func failed(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, err.Error(), http.StatusBadGateway)
}

func (f *front) pass(w http.ResponseWriter, r *http.Request) {
	h := f.take()
	if h == nil {
		http.Error(w, "no process", http.StatusBadGateway)
		return
	}
	defer h.busy.Add(-1)
	// Whole before it is sent on: a process may answer before it has read all of it.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "no body", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	proxy := &httputil.ReverseProxy{Transport: f.through, ErrorHandler: failed, Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(h.url)
		p.Out.Host = p.In.Host
	}}
	proxy.ServeHTTP(w, r)
}

// take chooses a process and counts the call on it before it looks whether it still may.
func (f *front) take() *host {
	for range 2 * len(f.hosts) {
		h := f.hosts[f.next.Add(1)%int64(len(f.hosts))]
		h.busy.Add(1)
		if !h.out.Load() {
			return h
		}
		h.busy.Add(-1)
	}
	return nil
}

// leave takes a process out and returns when its calls are answered.
func (f *front) leave(i int) {
	h := f.hosts[i]
	h.out.Store(true)
	for deadline := time.Now().Add(time.Minute); h.busy.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
}

func (f *front) join(i int) {
	f.through.CloseIdleConnections() // to the process before
	f.hosts[i].out.Store(false)
}
