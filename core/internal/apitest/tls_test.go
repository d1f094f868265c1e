// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

const tlLife = 90 * 24 * time.Hour

// tlShown is the serial number that a new connection is shown.
func tlShown(t testing.TB, base string) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(base, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func tlAwait(t testing.TB, what string, ask func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !ask(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func tlClient(t testing.TB) *http.Client {
	t.Helper()
	ca, err := os.ReadFile(apitest.AuthorityFile(t))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

func TestServingHTTPS(t *testing.T) {
	cert := apitest.NewCertificate(t, 7, tlLife)
	s := apitest.Start(t, unlimited(), apitest.OverTLS(cert), apitest.Set("READ_TIMEOUT", "1s"))
	address := strings.TrimPrefix(s.URL, "https://")
	t.Run("M-34 a login from end to end, with the headers and cookies of https", func(t *testing.T) {
		b := s.SignedIn(t)
		if b.Page.Header.Get("Strict-Transport-Security") == "" || b.Cookie("__Host-console_session") == "" {
			t.Fatalf("%v, cookies %v", b.Page.Header, b.Page.Cookies)
		}
		client := &deviceauth.Client{Host: s.URL, ClientID: "difyauth", HTTPClient: tlClient(t)}
		a, err := client.Start(t.Context(), "laptop")
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Decide("approve", a.UserCode); got.Status != http.StatusOK {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		token, err := client.Wait(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, s.Bearer(t, token.Access.Reveal(), http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
	})
	t.Run("M-34 the second listener too", func(t *testing.T) {
		client := tlClient(t)
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			res, err := client.Get(s.Inner + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		}
	})
	t.Run("M-34 TLS 1.2 or newer, and HTTP/1.1 alone", func(t *testing.T) {
		old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		if c, err := tls.Dial("tcp", address, old); err == nil {
			_ = c.Close()
			t.Error("TLS 1.1 is spoken")
		}
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
			t.Errorf("protocol %q", got)
		}
	})
	t.Run("M-34 who speaks plain http is told", func(t *testing.T) {
		for _, base := range []string{s.URL, s.Inner} {
			a := s.At(strings.Replace(base, "https://", "http://", 1)).Call(t, http.MethodGet, "/signin", "")
			wantAnswer(t, a, http.StatusBadRequest, "https_required")
			wantFailureShape(t, a)
		}
	})
	t.Run("HTTP-07 a handshake that is never made, or stops in the middle, is ended", func(t *testing.T) {
		for _, first := range []string{"", "\x16\x03\x01\x02\x00\x01"} {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(15 * time.Second))
			_, _ = c.Write([]byte(first))
			if _, err := bufio.NewReader(c).ReadString('~'); os.IsTimeout(err) {
				t.Errorf("%q: still open after 15 s", first)
			}
			_ = c.Close()
		}
		if strings.Contains(s.Log.String(), `"route":"unmatched"`) {
			t.Error("a handshake is logged as a request")
		}
	})
	t.Run("HTTP-07 a connection above the cap is closed, one below is served", func(t *testing.T) {
		// On a server of its own, which closes none of them for its silence meanwhile.
		s := apitest.Start(t, unlimited(), apitest.OverTLS(cert), apitest.Set("MAX_CONNECTIONS", "16"), apitest.Set("READ_TIMEOUT", "5m"), apitest.Set("IDLE_TIMEOUT", "5m"))
		address := strings.TrimPrefix(s.URL, "https://")
		var held []net.Conn
		defer func() {
			for _, c := range held {
				_ = c.Close()
			}
		}()
		tlAwait(t, "a refused handshake", func() bool {
			c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				return true
			}
			held = append(held, c)
			return false
		})
		if len(held) > 16 {
			t.Errorf("%d connections under a cap of 16", len(held))
		}
	})
}

func TestCertificatesAreReplaced(t *testing.T) {
	slow(t)
	cert := apitest.NewCertificate(t, 100, tlLife)
	s := apitest.Start(t, unlimited(), apitest.OverTLS(cert))
	var stop atomic.Bool
	var asked, refused atomic.Int64
	var clients sync.WaitGroup
	for range 4 { // a new connection for each request, all the time
		clients.Go(func() {
			client := tlClient(t)
			client.Transport.(*http.Transport).DisableKeepAlives = true
			for !stop.Load() {
				res, err := client.Get(s.URL + htHealth)
				if err != nil {
					refused.Add(1)
					t.Errorf("refused: %v", err)
					return
				}
				_ = res.Body.Close()
				asked.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	t.Run("M-34 files that are replaced are noticed", func(t *testing.T) {
		cert.Renew(t, 101, tlLife)
		tlAwait(t, "the new certificate", func() bool { return tlShown(t, s.URL) == 101 && tlShown(t, s.Inner) == 101 })
	})
	t.Run("M-34 a certificate without its key is waited for, then told of, and the former one stays", func(t *testing.T) {
		other := apitest.NewCertificate(t, 102, tlLife)
		content, err := os.ReadFile(other.CertFile)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cert.CertFile, content, 0o600); err != nil {
			t.Fatal(err)
		}
		tlAwait(t, "an error in the log", func() bool { return strings.Contains(s.Log.String(), "the TLS certificate was not replaced") })
		if got := tlShown(t, s.URL); got != 101 {
			t.Errorf("certificate %d is shown", got)
		}
		if n := strings.Count(s.Log.String(), "the TLS certificate was not replaced"); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
	t.Run("M-34 asked to, core reads them at once", func(t *testing.T) {
		cert.Renew(t, 103, tlLife)
		s.App.Reload()
		if got := tlShown(t, s.URL); got != 103 {
			t.Errorf("certificate %d is shown", got)
		}
	})
	t.Run("M-34 one that is over does not replace one that is good", func(t *testing.T) {
		cert.Renew(t, 104, -time.Hour)
		s.App.Reload()
		if got := tlShown(t, s.URL); got != 103 || !strings.Contains(s.Log.String(), "of another time") {
			t.Errorf("certificate %d is shown", got)
		}
	})
	t.Run("M-34 one that ends soon is warned of", func(t *testing.T) {
		cert.Renew(t, 105, 10*24*time.Hour)
		tlAwait(t, "a warning", func() bool { return strings.Contains(s.Log.String(), "the TLS certificate ends soon") })
	})
	stop.Store(true)
	clients.Wait()
	if asked.Load() < 20 || refused.Load() > 0 {
		t.Errorf("M-34: %d connections served, %d refused", asked.Load(), refused.Load())
	}
}

func TestHangup(t *testing.T) {
	aboutEmbedded(t)
	t.Run("M-34 SIGHUP reads the certificate again and ends nothing", func(t *testing.T) {
		cert := apitest.NewCertificate(t, 200, tlLife)
		p := dvServeTLS(t, t.TempDir(), cert)
		cert.Renew(t, 201, tlLife)
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for tlShown(t, p.URL) != 201 {
			if ctx.Err() != nil {
				t.Fatalf("the former certificate is shown: %s", p.stderr)
			}
			time.Sleep(20 * time.Millisecond)
		}
		p.stop(t)
	})
}
