// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"bytes"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

func TestStandardLog(t *testing.T) {
	was, flags := log.Writer(), log.Flags()
	t.Cleanup(func() { log.SetOutput(was); log.SetFlags(flags) })
	t.Run("LOG-01 LOG-02 what is quoted is left out, and a line is one", func(t *testing.T) {
		var b bytes.Buffer
		telemetry.TakeStandard(telemetry.NewLogger(&b, slog.LevelInfo, "json"))
		log.Printf("Unsolicited response starting with %q; err=%v", "app-canary", io.EOF)
		log.Print(strings.Repeat("a", 300) + "canary\n\xff\x1b[2J")
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != 2 || strings.Contains(b.String(), "canary") || !strings.Contains(lines[0], `"text":"Unsolicited response starting with "`) {
			t.Error(b.String())
		}
	})
	t.Run("LOG-01 bytes that a peer sends after its answer", func(t *testing.T) {
		b := &lines{some: make(chan struct{}, 1)}
		telemetry.TakeStandard(telemetry.NewLogger(b, slog.LevelInfo, "json"))
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 app-canary\r\n\r\n")
			_, _ = c.Read(make([]byte, 1))
		}()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		answer, err := transport.RoundTrip(must(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		select {
		case <-b.some:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is logged: the test proves nothing")
		}
		if text := b.String(); strings.Contains(text, "canary") || !strings.Contains(text, "Unsolicited response") {
			t.Error(text)
		}
	})
}

func must(r *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return r
}

// lines is a log that says when something came.
type lines struct {
	mu   sync.Mutex
	b    bytes.Buffer
	some chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.some <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
