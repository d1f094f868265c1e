// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
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
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			res, err = nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
		default:
			panic(v)
		}
	}()
	in := req.Clone(req.Context())
	in.Host = req.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	in.Body = io.NopCloser(bytes.NewReader(body))
	w := httptest.NewRecorder()
	t.s.ServeHTTP(w, in)
	res = w.Result()
	res.Request = req
	return res, nil
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
