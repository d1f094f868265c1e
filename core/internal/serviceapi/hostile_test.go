// SPDX-License-Identifier: Apache-2.0

package serviceapi_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// wired is a peer that answers each request with bytes as they are, and then lets the
// connection stand until the test ends, or ends it.
func wired(t *testing.T, answer string, ends bool) run.Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			_ = c.Close()
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			go func() {
				in := bufio.NewReader(c)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					if _, err := io.WriteString(c, answer); err != nil || ends {
						_ = c.Close()
						return
					}
				}
			}()
		}
	}()
	return run.Target{AppID: "app", Mode: apps.Chat, Runtime: apps.RuntimeDify, URL: "http://" + l.Addr().String(), Key: secret.New(key)}
}

// Whatever a runtime sends, a call ends in its time, with a failure of this API.
func TestHostileAnswers(t *testing.T) {
	const canary = "what somebody has asked"
	const object = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	long := strings.Repeat("a", 100<<10)
	for name, answer := range map[string]string{
		"another protocol, and silence":  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"another protocol, unnamed":      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"a hundred answers before one":   strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <"+long[:1024]+">\r\n\r\n", 100),
		"a status of its own":            "HTTP/1.1 999 Odd\r\n\r\n",
		"a status below all":             "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
		"two lengths":                    object + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"a length that is none":          object + "Content-Length: " + key + "\r\n\r\n{}",
		"a negative length":              object + "Content-Length: -2\r\n\r\n{}",
		"a length of ever":               object + "Content-Length: 9223372036854775807\r\n\r\n{}",
		"compressed":                     object + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
		"compressed beside identity":     object + "Content-Encoding: identity, gzip\r\nContent-Length: 2\r\n\r\n{}",
		"compressed on the way":          object + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"a head that is too long":        object + "X-Long: " + long + "\r\nContent-Length: 2\r\n\r\n{}",
		"heads that are too many":        object + strings.Repeat("X-Some: "+long[:100]+"\r\n", 1000) + "Content-Length: 2\r\n\r\n{}",
		"a chunk that is none":           object + "Transfer-Encoding: chunked\r\n\r\n" + key + "\r\n",
		"a chunk of ever":                object + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
		"a header without a name":        object + ": " + key + "\r\nContent-Length: 2\r\n\r\n{}",
		"a header with a key for a name": object + key + "\x00: a\r\nContent-Length: 2\r\n\r\n{}",
		"no HTTP":                        "\x16\x03\x01" + key + "\r\n\r\n",
		"a line of ever":                 "HTTP/1.1 200 " + long + long,
		"a redirect to the cloud":        "HTTP/1.1 307 Off\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\n\r\n",
		"a redirect without a place":     "HTTP/1.1 302 Off\r\nContent-Length: 0\r\n\r\n",
		"what has not changed":           "HTTP/1.1 304 Not Modified\r\n\r\n",
		"a proxy that wants to know us":  "HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
		"a key in the reason":            "HTTP/1.1 500 " + key + "\r\nContent-Length: 0\r\n\r\n",
		"a length that was asked":        object + "Content-Length: " + canary + "\r\n\r\n{}",
		"a status that was asked":        "HTTP/1.1 " + canary + "\r\n\r\n",
		"a line that was asked":          object + canary + "\r\n\r\n",
		"a first line that was asked":    canary + "\r\n\r\n",
		"a coding that was asked":        object + "Transfer-Encoding: " + canary + "\r\n\r\n",
		"a trailer that was asked":       object + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n" + canary + "\r\n\r\n",
		"a chunk that was asked":         object + "Transfer-Encoding: chunked\r\n\r\n" + canary + "\r\n",
		"a type that was asked":          "HTTP/1.1 200 OK\r\nContent-Type: " + canary + "\r\nContent-Length: 2\r\n\r\n[]",
		"a code that was asked":          "HTTP/1.1 404 No\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n{\"code\":\"" + canary + "\"}",
		"JSON with a NUL":                object + "Content-Length: 3\r\n\r\n{}\x00",
		"two objects":                    object + "Content-Length: 4\r\n\r\n{}{}",
		"depth of 20 000":                object + "Content-Length: 120000\r\n\r\n" + strings.Repeat(`{"a":`, 20000) + strings.Repeat("}", 20000),
	} {
		at := wired(t, answer, false)
		for call, c := range calls {
			// The others read as one of these does.
			if call != "stream" && call != "block" && call != "upload" && call != "form" && call != "stop" && !strings.HasPrefix(name, "another protocol") {
				continue
			}
			t.Run("API-20 "+name+": "+call, func(t *testing.T) {
				t.Parallel()
				half := 300 * time.Millisecond
				asks := client(t, limits{header: half, answer: half, idle: half, blocking: half}, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}})
				done := make(chan error, 1)
				go func() { done <- c.do(t, asks, at) }()
				select {
				case err := <-done:
					// What asks for an act takes a success's body for nothing.
					if err == nil && call != "stop" && call != "submit" && call != "conversation" {
						t.Error("it is taken for an answer")
					}
					quiet(t, err, at)
					if err != nil && strings.Contains(err.Error(), canary) {
						t.Errorf("what it sent is in %q", err)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("the call has no end")
				}
			})
		}
	}
}
