// SPDX-License-Identifier: Apache-2.0

package egress_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/egress"
)

// told is a server that answers connections by hand: each of its texts answers one request.
func told(t *testing.T, texts ...string) (address string, opened *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	opened = &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			opened.Add(1)
			go func() {
				in := bufio.NewReader(conn)
				for _, text := range texts {
					q, err := http.ReadRequest(in)
					if err != nil {
						break
					}
					_, _ = io.Copy(io.Discard, q.Body)
					if _, err := io.WriteString(conn, text); err != nil {
						break
					}
				}
				_ = conn.Close()
			}()
		}
	}()
	return "http://" + l.Addr().String(), opened
}

func follow(t *testing.T, r *egress.Runtime, ctx context.Context, address string) (*http.Response, error) {
	t.Helper()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	return r.Follow(q)
}

// read gives what a followed answer says, and what ended it.
func read(t *testing.T, r *egress.Runtime, address string) (string, error) {
	t.Helper()
	answer, err := follow(t, r, t.Context(), address)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	return string(content), err
}

const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestWhatIsFollowed(t *testing.T) {
	options := egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}, Header: 10 * time.Second}
	for _, tc := range []struct {
		name, answer, want string
		fails              error // nil: none; errAny: some
	}{
		{"chunks", chunkedHead + "3\r\nabc\r\n0\r\n\r\n", "abc", nil},
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", nil},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\nabc", "abc", nil},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nabc", "abc", nil},
		{"answers of 1xx before it", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + chunkedHead + "1\r\na\r\n0\r\n\r\n", "a", nil},
		{"chunks that are cut", chunkedHead + "3\r\na", "a", io.ErrUnexpectedEOF},
		{"no last chunk", chunkedHead + "3\r\nabc\r\n", "abc", io.ErrUnexpectedEOF},
		{"a length that is not reached", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na", "a", io.ErrUnexpectedEOF},
		{"no HTTP", "SSH-2.0-x\r\n\r\n", "", errAny},
		{"nothing", "", "", errAny},
		{"a head that is cut", "HTTP/1.1 200 OK\r\nContent-", "", errAny},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "", errAny},
		{"a head without end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 100), "", errAny},
		{"answers of 1xx without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20), "", errAny},
	} {
		t.Run(tc.name, func(t *testing.T) {
			address, _ := told(t, tc.answer)
			got, err := read(t, runtime(t, options), address)
			if got != tc.want || (err == nil) != (tc.fails == nil) || tc.fails != nil && !errors.Is(tc.fails, errAny) && !errors.Is(err, tc.fails) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

var errAny = errors.New("any")

// A connection is used again when, and only when, nothing else can come on it.
func TestConnectionsOfFollowersAreUsedAgain(t *testing.T) {
	options := egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}}
	whole := chunkedHead + "1\r\na\r\n0\r\n\r\n"
	for _, tc := range []struct {
		name  string
		texts []string
		opens int64
	}{
		{"whole answers", []string{whole, whole, whole}, 1},
		{"the peer closes after each", []string{whole}, 3},
		{"the peer says that it will close", []string{strings.Replace(whole, "\r\n", "\r\nConnection: close\r\n", 1), whole, whole}, 3},
		{"bytes behind the end", []string{whole + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", whole, whole}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			address, opened := told(t, tc.texts...)
			r := runtime(t, options)
			for range 3 {
				if got, err := read(t, r, address); got != "a" || err != nil {
					t.Fatalf("%q, %v", got, err)
				}
				if tc.opens == 3 { // its end or its bytes are here when the next call begins
					time.Sleep(20 * time.Millisecond)
				}
			}
			if n := opened.Load(); n != tc.opens {
				t.Errorf("%d connections, want %d", n, tc.opens)
			}
		})
	}
	t.Run("not after a body that was not read", func(t *testing.T) {
		address, opened := told(t, whole, whole)
		r := runtime(t, options)
		for range 2 {
			answer, err := follow(t, r, t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
		}
		if n := opened.Load(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("over TLS", func(t *testing.T) {
		var opened atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a") }))
		s.Config.ErrorLog = quiet
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		s.StartTLS()
		t.Cleanup(s.Close)
		r := runtime(t, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}, Roots: roots(s)})
		for range 3 {
			if got, err := read(t, r, s.URL); got != "a" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
		}
		if n := opened.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// The end of a context is that of the call, wherever it is, with its cause.
func TestFollowersWhoseContextEnds(t *testing.T) {
	gone := errors.New("gone")
	r := runtime(t, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}})
	t.Run("before the head", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
			_, _ = io.Copy(io.Discard, q.Body) // else nobody looks for the client's leaving
			cancel(gone)
			<-q.Context().Done()
		}))
		t.Cleanup(s.Close)
		if _, err := follow(t, r, ctx, s.URL); !errors.Is(err, gone) {
			t.Error(err)
		}
	})
	t.Run("within the body", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		left := make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			_, _ = io.Copy(io.Discard, q.Body)
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
			<-q.Context().Done()
			close(left)
		}))
		t.Cleanup(s.Close)
		answer, err := follow(t, r, ctx, s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := answer.Body.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		cancel(gone)
		if _, err := io.ReadAll(answer.Body); !errors.Is(err, gone) {
			t.Error(err)
		}
		<-left
		_ = answer.Body.Close()
	})
	t.Run("before anything", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		address, _ := told(t, chunkedHead)
		if _, err := follow(t, r, ctx, address); err == nil {
			t.Error("called")
		}
	})
}

// Many at once, some of whom leave: everyone reads what is theirs.
func TestManyFollowersAtOnce(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		for range 3 {
			_, _ = fmt.Fprintf(w, "%s\n", q.URL.Path)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(s.Close)
	r := runtime(t, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 40 {
				ctx, cancel := context.WithCancel(t.Context())
				path := fmt.Sprintf("/%d/%d", i, j)
				answer, err := follow(t, r, ctx, s.URL+path)
				if err != nil {
					t.Error(err)
					cancel()
					return
				}
				if j%4 == 0 { // who leaves in mid-answer
					cancel()
					_ = answer.Body.Close()
					continue
				}
				content, err := io.ReadAll(answer.Body)
				if want := strings.Repeat(path+"\n", 3); err != nil || string(content) != want {
					t.Errorf("%q, want %q: %v", content, want, err)
				}
				_ = answer.Body.Close()
				cancel()
			}
		})
	}
	wg.Wait()
}
