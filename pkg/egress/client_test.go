// SPDX-License-Identifier: Apache-2.0

package egress_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
)

// peer is a server under TLS that counts, and the options with which it is reached.
func peer(t *testing.T, h http.HandlerFunc) (base string, hits *atomic.Int32, o egress.Options) {
	t.Helper()
	hits = new(atomic.Int32)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		h(w, r)
	}))
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, hits, egress.Options{Allow: []string{"127.0.0.1"}, Roots: roots(s), Now: time.Now}
}

func roots(s *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.Certificate())
	return p
}

func json(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, `{}`)
}

var acceptJSON = http.Header{"Accept": {"application/json"}}

func TestGet(t *testing.T) {
	t.Run("an answer", func(t *testing.T) {
		base, _, o := peer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Cookie") != "" {
				t.Errorf("sent %v", r.Header)
			}
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			json(w, r)
		})
		c := client(t, o)
		for range 2 {
			r, err := c.Get(t.Context(), base, acceptJSON)
			if err != nil || r.Status != 200 || r.ContentType != "application/json" || string(r.Body) != "{}" || r.Date.IsZero() {
				t.Errorf("%+v %v", r, err)
			}
		}
	})
	t.Run("a document that has not changed since", func(t *testing.T) {
		base, _, o := peer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Last-Modified", strings.Repeat("x", 256))
			if r.Header.Get("If-None-Match") == `"v1"` || r.URL.Path == "/unasked" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			json(w, r)
		})
		c := client(t, o)
		r, err := c.Get(t.Context(), base, acceptJSON)
		if err != nil || r.ETag != `"v1"` || r.LastModified != "" {
			t.Fatalf("%+v %v", r, err)
		}
		r, err = c.Get(t.Context(), base, http.Header{"Accept": {"application/json"}, "If-None-Match": {r.ETag}})
		if err != nil || r.Status != http.StatusNotModified || len(r.Body) != 0 || r.ETag != `"v1"` {
			t.Errorf("%+v %v", r, err)
		}
		if _, err := c.Get(t.Context(), base+"/unasked", acceptJSON); err == nil {
			t.Error("a 304 that nobody asked for was taken")
		}
	})
	for _, tc := range []struct {
		name  string
		h     http.HandlerFunc
		phase egress.Phase
		hits  int32
	}{
		{"OIDC-07 a length of 200 MB", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "200000000")
			_, _ = w.Write(make([]byte, 1<<16))
		}, egress.TooLarge, 1},
		{"OIDC-07 a stream without end", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, egress.TooLarge, 1},
		{"OIDC-07 gzip", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 8<<20))
			_ = z.Close()
		}, egress.Encoding, 1},
		{"OIDC-07 another protocol, and silence", func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_, _ = c.Read(make([]byte, 1)) // until the client goes
			_ = c.Close()
		}, egress.Protocol, 1},
		{"OIDC-09 redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, egress.Redirect, 1},
		{"OIDC-28 another media type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/jwt")
			_, _ = io.WriteString(w, "eyJ")
		}, egress.ContentType, 1},
		{"OIDC-33 a connection that breaks is tried twice more", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, egress.Connect, 3},
		{"OIDC-33 a body that breaks is tried twice more", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "{}")
			panic(http.ErrAbortHandler)
		}, egress.Connect, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			base, hits, o := peer(t, tc.h)
			_, err := client(t, o).Get(t.Context(), base+"/x?secret=canary", acceptJSON)
			if phase(err) != tc.phase || hits.Load() != tc.hits {
				t.Errorf("%v after %d calls", err, hits.Load())
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the query: %v", err)
			}
		})
	}
	t.Run("OIDC-07 a byte at a time", func(t *testing.T) {
		base, _, o := peer(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte{' '}); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond) // the peer's slowness is the subject
			}
		})
		o.Total = 100 * time.Millisecond
		if _, err := client(t, o).Get(t.Context(), base, nil); phase(err) != egress.Timeout {
			t.Error(err)
		}
	})
	t.Run("OIDC-33 503 is tried twice more and then shown", func(t *testing.T) {
		base, hits, o := peer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		r, err := client(t, o).Get(t.Context(), base, acceptJSON)
		if err != nil || r.Status != 503 || hits.Load() != 3 {
			t.Errorf("%+v %v after %d calls", r, err, hits.Load())
		}
	})
	t.Run("403 is the peer's decision", func(t *testing.T) {
		base, hits, o := peer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
		if r, err := client(t, o).Get(t.Context(), base, acceptJSON); err != nil || r.Status != 403 || hits.Load() != 1 {
			t.Errorf("%+v %v after %d calls", r, err, hits.Load())
		}
	})
}

func TestPostFormIsSentOnce(t *testing.T) {
	form := url.Values{"code": {"canary"}}
	for _, tc := range []struct {
		name string
		h    http.HandlerFunc
		want egress.Phase
	}{
		{"OIDC-09 307 does not send the code again", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, egress.Redirect},
		{"OIDC-09 308", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusPermanentRedirect)
		}, egress.Redirect},
		{"OIDC-33 a connection that breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, egress.Connect},
		{"OIDC-33 503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			broken := false
			base, hits, o := peer(t, func(w http.ResponseWriter, r *http.Request) {
				if !broken {
					json(w, r)
					return
				}
				tc.h(w, r)
			})
			c := client(t, o)
			// The call that breaks uses a connection that was used before: net/http repeats
			// there what it may.
			if _, err := c.Get(t.Context(), base, nil); err != nil {
				t.Fatal(err)
			}
			broken = true
			_, err := c.PostForm(t.Context(), base+"/token", form, acceptJSON)
			if phase(err) != tc.want || hits.Load() != 2 {
				t.Errorf("%v after %d calls", err, hits.Load())
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the form: %v", err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Run("OIDC-08 a name is looked up once and its judged address is called", func(t *testing.T) {
		base, hits, o := peer(t, json)
		u, _ := url.Parse(base)
		dns := &names{answers: [][]netip.Addr{addrs("127.0.0.1"), addrs("10.0.0.1")}}
		o.Resolver = dns
		if _, err := client(t, o).Get(t.Context(), "https://example.com:"+u.Port(), acceptJSON); err != nil || dns.asked != 1 || hits.Load() != 1 {
			t.Errorf("%v after %d look-ups and %d calls", err, dns.asked, hits.Load())
		}
	})
	t.Run("OIDC-08 DNS to 127.0.0.1", func(t *testing.T) {
		base, hits, o := peer(t, json)
		u, _ := url.Parse(base)
		o.Allow, o.Resolver = nil, &names{answers: [][]netip.Addr{addrs("127.0.0.1")}}
		if _, err := client(t, o).Get(t.Context(), "https://example.com:"+u.Port(), nil); phase(err) != egress.Refused || hits.Load() != 0 {
			t.Errorf("%v after %d calls", err, hits.Load())
		}
	})
	t.Run("a name without address", func(t *testing.T) {
		if _, err := client(t, egress.Options{Resolver: &names{}}).Get(t.Context(), "https://idp.example", nil); phase(err) != egress.DNS {
			t.Error(err)
		}
	})
	t.Run("an address that does not answer is followed by the next", func(t *testing.T) {
		base, _, o := peer(t, json)
		u, _ := url.Parse(base)
		o.Allow = []string{"127.0.0.0/8"}
		o.Resolver = &names{answers: [][]netip.Addr{addrs("127.0.0.9", "127.0.0.1")}}
		if _, err := client(t, o).Get(t.Context(), "https://example.com:"+u.Port(), nil); err != nil {
			t.Error(err)
		}
	})
}

func TestTLS(t *testing.T) {
	base, hits, o := peer(t, json)
	t.Run("a certificate of nobody we trust", func(t *testing.T) {
		o := o
		o.Roots = x509.NewCertPool()
		if _, err := client(t, o).Get(t.Context(), base, nil); phase(err) != egress.TLS || hits.Load() != 0 {
			t.Error(err)
		}
	})
	t.Run("a certificate that is over", func(t *testing.T) {
		o := o
		o.Now = func() time.Time { return time.Now().AddDate(100, 0, 0) }
		if _, err := client(t, o).Get(t.Context(), base, nil); phase(err) != egress.TLS {
			t.Error(err)
		}
	})
	t.Run("a certificate for another name", func(t *testing.T) {
		o := o
		u, _ := url.Parse(base)
		o.Resolver = &names{answers: [][]netip.Addr{addrs("127.0.0.1")}}
		if _, err := client(t, o).Get(t.Context(), "https://idp.test:"+u.Port(), nil); phase(err) != egress.TLS {
			t.Error(err)
		}
	})
	t.Run("TLS 1.1", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(json))
		s.TLS, s.Config.ErrorLog = &tls.Config{MaxVersion: tls.VersionTLS11}, quiet
		s.StartTLS()
		defer s.Close()
		if _, err := client(t, egress.Options{Allow: []string{"127.0.0.1"}, Roots: roots(s)}).Get(t.Context(), s.URL, nil); phase(err) != egress.TLS {
			t.Error(err)
		}
	})
}

func TestProxy(t *testing.T) {
	t.Run("the environment's is ignored", func(t *testing.T) {
		t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
		t.Setenv("https_proxy", "http://127.0.0.1:1")
		base, _, o := peer(t, json)
		u, _ := url.Parse(base)
		o.Resolver = &names{answers: [][]netip.Addr{addrs("127.0.0.1")}}
		if _, err := client(t, o).Get(t.Context(), "https://example.com:"+u.Port(), nil); err != nil {
			t.Error(err)
		}
	})
	// A proxy that writes down what it is asked and connects all of it to one peer.
	base, _, o := peer(t, json)
	target, _ := url.Parse(base)
	asked := make(chan string, 8)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			req, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				_ = conn.Close()
				continue
			}
			asked <- req.Method + " " + req.RequestURI + " " + req.Header.Get("Proxy-Authorization")
			up, err := net.Dial("tcp", target.Host)
			if err != nil {
				_ = conn.Close()
				continue
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			go func() { _, _ = io.Copy(up, conn); _ = up.Close() }()
			go func() { _, _ = io.Copy(conn, up); _ = conn.Close() }()
		}
	}()
	o.Proxy = "http://u:p@" + l.Addr().String()
	t.Run("OIDC-08 the target is judged before the proxy is asked, and named by its judged address", func(t *testing.T) {
		o := o
		o.Resolver = &names{answers: [][]netip.Addr{addrs("1.1.1.1")}}
		if _, err := client(t, o).Get(t.Context(), "https://example.com/", nil); err != nil {
			t.Fatal(err)
		}
		if got := <-asked; got != "CONNECT 1.1.1.1:443 Basic dTpw" {
			t.Errorf("the proxy was asked %q", got)
		}
		o.Resolver = &names{answers: [][]netip.Addr{addrs("10.0.0.1")}}
		if _, err := client(t, o).Get(t.Context(), "https://example.com/", nil); phase(err) != egress.Refused || len(asked) != 0 {
			t.Errorf("%v", err)
		}
	})
}

func TestCircuit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	healthy := false
	base, hits, o := peer(t, func(w http.ResponseWriter, r *http.Request) {
		if !healthy {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		json(w, r)
	})
	circuits := egress.NewCircuits(client(t, o), func() time.Time { return now })
	post := func(key string) error {
		_, err := circuits.For(key).PostForm(context.Background(), base, nil, nil)
		return err
	}
	t.Run("OIDC-33 five failures in a row open it for thirty seconds, for this connection alone", func(t *testing.T) {
		for i := range egress.CircuitFailures {
			if err := post("a"); err != nil {
				t.Fatalf("call %d: %v", i+1, err)
			}
		}
		if err := post("a"); phase(err) != egress.Open || hits.Load() != egress.CircuitFailures {
			t.Errorf("%v after %d calls", err, hits.Load())
		}
		if err := post("b"); err != nil {
			t.Errorf("another connection: %v", err)
		}
		now = now.Add(egress.CircuitOpen - time.Second)
		if err := post("a"); phase(err) != egress.Open {
			t.Error(err)
		}
		now = now.Add(time.Second)
		if err := post("a"); err != nil {
			t.Error(err)
		}
		if err := post("a"); phase(err) != egress.Open {
			t.Errorf("one more failure opens it again: %v", err)
		}
		now = now.Add(egress.CircuitOpen)
		healthy = true
		for range 2 {
			if err := post("a"); err != nil {
				t.Error(err)
			}
		}
		healthy = false
		if err := errors.Join(post("a"), post("a")); err != nil {
			t.Errorf("a success closes it: %v", err)
		}
	})
}
