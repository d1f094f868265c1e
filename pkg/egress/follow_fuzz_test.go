// SPDX-License-Identifier: Apache-2.0

package egress_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
)

const marker = "the answer to the second request"

// twofold is a server whose answer to /first is what somebody says, all of it in one write, and
// whose answer to anything else is marker. It serves http and https.
type twofold struct {
	first         atomic.Pointer[[]byte]
	plain, secure string // addresses
	roots         *x509.CertPool
}

func startTwofold(f testing.TB) *twofold {
	f.Helper()
	s := &twofold{}
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	f.Cleanup(certified.Close)
	s.roots = certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	s.plain = "http://" + s.listen(f, nil)
	s.secure = "https://" + s.listen(f, &tls.Config{
		Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12,
		DynamicRecordSizingDisabled: true, // one record holds an answer and what is beside it
	})
	return s
}

// listen serves, with TLS where it is told how, and gives the address.
func (s *twofold) listen(f testing.TB, secure *tls.Config) string {
	f.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if secure != nil {
				conn = tls.Server(conn, secure)
			}
			go s.serve(conn)
		}
	}()
	return l.Addr().String()
}

func (s *twofold) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		q, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, q.Body)
		answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" + marker)
		if q.URL.Path == "/first" {
			answer = *s.first.Load()
		}
		// Whoever waits for more than there is would wait for ever.
		if _, err := conn.Write(answer); err != nil || !whole(answer) {
			return
		}
	}
}

// whole reports whether net/http finds the end of an answer within the text.
func whole(text []byte) bool {
	in := bufio.NewReader(bytes.NewReader(text))
	for {
		answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodPost})
		if err != nil {
			return false
		}
		if answer.StatusCode/100 == 1 && answer.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return err == nil && !answer.Close
	}
}

// check asks twice, and compares the first answer with what net/http makes of it.
func (s *twofold) check(t *testing.T, text []byte, secure bool) {
	s.first.Store(&text)
	address := s.plain
	if secure {
		address = s.secure
	}
	r, err := egress.NewRuntime(egress.RuntimeOptions{
		Allowed: []string{"127.0.0.1"}, Connect: 10 * time.Second, Header: 10 * time.Second, Now: time.Now, Roots: s.roots,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.CloseIdle()
	said, status := whatIsSaid(t, address+"/first", r.Follow)
	if second, status := whatIsSaid(t, address+"/second", r.Follow); second != marker || status != http.StatusOK {
		t.Errorf("the second request was answered %d %q, after %q", status, second, text)
	}
	if status == 0 {
		return
	}
	standard := &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}}
	defer standard.CloseIdleConnections()
	if its, code := whatIsSaid(t, address+"/first", standard.RoundTrip); its != said || code != status {
		t.Errorf("%d %q, and by net/http %d %q, of %q", status, said, code, its, text)
	}
}

// whatIsSaid gives the body and the status of an answer that was read whole; 0 of another.
func whatIsSaid(t *testing.T, address string, do func(*http.Request) (*http.Response, error)) (body string, status int) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := do(q)
	if err != nil {
		return "", 0
	}
	defer func() { _ = answer.Body.Close() }()
	// At once: so net/http's readers pass over the buffer, and TLS keeps what nobody asked for.
	room, n := make([]byte, 64<<10), 0
	for err == nil {
		var more int
		more, err = answer.Body.Read(room[n:])
		n += more
	}
	if err != io.EOF { //nolint:errorlint // readers return it bare
		return "", 0
	}
	return string(room[:n]), answer.StatusCode
}

// seeds are answers, with what an attacker puts beside them.
func seeds() (list []string) {
	evil := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	large := strings.Repeat("a", 9000)
	list = []string{
		chunkedHead + "3\r\nabc\r\n0\r\n\r\n", chunkedHead + "3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", chunkedHead + "3\r\na", chunkedHead + "0\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\n\r\nabc", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + chunkedHead + "1\r\na\r\n0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\nContent-Length: 44\r\n\r\n" + evil, "HTTP/1.1 099 x\r\nContent-Length: 44\r\n\r\n" + evil,
		"HTTP/1.1 +20 x\r\n\r\n" + evil, "HTTP/1.1 101 x\r\n\r\n" + evil, "HTTP/1.1 204 x\r\nContent-Length: 44\r\n\r\n" + evil, "HTTP/1.1 304 x\r\n\r\n" + evil,
		"HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 500 x\r\nConnection: x, CLOSE\r\nContent-Length: 1\r\n\r\na",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 70<<10) + "\r\n\r\n", "SSH-2.0-x\r\n\r\n", "",
	}
	for _, first := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + large, chunkedHead + "2328\r\n" + large + "\r\n0\r\n\r\n"} {
		list = append(list, first, first+evil)
	}
	return list
}

// Whatever a runtime answers to one run, no other run reads a byte of it, and what is read is
// what net/http reads.
func FuzzFollow(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	s := startTwofold(f)
	f.Fuzz(func(t *testing.T, text []byte, secure bool) {
		if len(text) <= 60<<10 { // in one piece, on the loopback interface
			s.check(t, text, secure)
		}
	})
}
