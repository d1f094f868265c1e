// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
)

// Transport reaches the server without a socket, so that a test may run on the clock of
// testing/synctest.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(req *http.Request) (res *http.Response, err error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	ctx, leave := context.WithCancel(req.Context())
	in := req.Clone(ctx)
	in.Host = req.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		leave()
		return nil, err
	}
	in.Body = io.NopCloser(bytes.NewReader(body))
	out, w := io.Pipe()
	answer := &answer{header: http.Header{}, body: w, begun: make(chan struct{})}
	unread := context.AfterFunc(ctx, func() { _ = out.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer leave()
		defer func() {
			unread()
			switch v := recover(); v {
			case nil:
				answer.WriteHeader(http.StatusOK)
				_ = w.Close()
			case http.ErrAbortHandler:
				err := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
				answer.fail(err)
				_ = w.CloseWithError(err)
			default:
				panic(v)
			}
		}()
		t.s.ServeHTTP(answer, in)
	}()
	select {
	case <-answer.begun:
	case <-ctx.Done():
		select {
		case <-answer.begun: // it ended by itself
		default:
			return nil, context.Cause(ctx)
		}
	}
	if answer.err != nil {
		return nil, answer.err
	}
	return &http.Response{
		Status: http.StatusText(answer.status), StatusCode: answer.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.sent, Body: left{out, leave}, ContentLength: -1, Request: req,
	}, nil
}

// left is a body whose reader leaves: the request's context ends, as over a socket.
type left struct {
	*io.PipeReader
	leave context.CancelFunc
}

// Close implements io.Closer.
func (l left) Close() error {
	l.leave()
	return l.PipeReader.Close()
}

// answer hands out what a handler writes while it writes.
type answer struct {
	header, sent http.Header
	status       int
	body         *io.PipeWriter
	begun        chan struct{}
	once         sync.Once
	err          error
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.once.Do(func() {
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	})
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// Flush implements http.Flusher; everything is handed out at once.
func (a *answer) Flush() {}

func (a *answer) fail(err error) {
	a.once.Do(func() {
		a.err = err
		close(a.begun)
	})
}

// Unavailable is the answer of a server whose store is down.
func Unavailable(retryAfter string) *Fault {
	f := &Fault{Status: http.StatusServiceUnavailable, Header: http.Header{"Content-Type": {"application/json"}},
		Body: `{"code":"service_unavailable","message":"The service is not available","status":503,"error":"temporarily_unavailable"}`}
	if retryAfter != "" {
		f.Header.Set("Retry-After", retryAfter)
	}
	return f
}

// TooMany is the answer of a limit.
func TooMany(retryAfter string) *Fault {
	return &Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {retryAfter}},
		Body: `{"code":"too_many_requests","message":"Too many requests","status":429,"error":"slow_down"}`}
}

// Hostile gives faults for polls, drawn from seed: slow_down, 503 with and without
// Retry-After, 502 in HTML, 429, connections cut before and after the request was
// served, codes that have ended. Any other request passes.
func Hostile(seed uint64) func(*http.Request) *Fault {
	draw := rand.New(rand.NewPCG(seed, seed))
	verdict := func(word string) *Fault {
		return &Fault{Status: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"error":"` + word + `"}`}
	}
	return func(r *http.Request) *Fault {
		if !strings.HasSuffix(r.URL.Path, "/oauth/device/token") {
			return nil
		}
		switch n := draw.IntN(100); {
		case n < 12:
			return verdict("slow_down")
		case n < 24:
			return Unavailable([]string{"", "1", "2", "15", "120", "never"}[draw.IntN(6)])
		case n < 30:
			return &Fault{Status: http.StatusBadGateway, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<h1>Bad gateway</h1>"}
		case n < 34:
			return TooMany([]string{"0", "3", "40"}[draw.IntN(3)])
		case n < 46:
			return &Fault{Cut: true}
		case n < 52:
			return &Fault{Late: true}
		case n < 54:
			return verdict("expired_token")
		default:
			return nil
		}
	}
}

// Refusal is the answer of a server that does not do what it was asked.
func Refusal(status int, code, message string) *Fault {
	return &Fault{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: fmt.Sprintf(`{"code":%q,"message":%q,"status":%d}`, code, message, status)}
}
