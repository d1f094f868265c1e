// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"sync"
	"time"
)

// The connections of followers that wait for their next use, as net/http keeps them.
const (
	mostIdle        = 256
	mostIdlePerHost = 64
	idleTime        = 30 * time.Second
	mostInterim     = 5 // answers of 1xx before the one that counts
)

var (
	errHead    = errors.New("the head of the answer is too long")
	errInterim = errors.New("too many answers of 1xx")
	errNoHTTP  = errors.New("the answer is no HTTP/1.1") // net/http quotes what it could not read
)

// Follow is Do for an answer that is read for as long as a run goes on. net/http keeps two
// goroutines and two buffers beside each connection, and hands a request from one to the
// other: of hundreds of streams that is most of their memory, and of a first byte much of its
// time. Here whoever reads owns the connection. Requests are written and answers read by
// net/http's own code.
func (r *Runtime) Follow(req *http.Request) (*http.Response, error) {
	return send(roundTrip(r.lines.roundTrip), req)
}

// roundTrip makes a function a http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// lines are the connections of followers, by scheme and host.
type lines struct {
	dial            func(ctx context.Context, network, address string) (net.Conn, error)
	secure          *tls.Config
	connect, header time.Duration

	mu   sync.Mutex
	idle map[string][]*line
	n    int
}

// line is one connection. One goroutine reads and writes; any may close it.
type line struct {
	net.Conn
	raw   net.Conn // below TLS
	key   string
	in    *bufio.Reader
	head  int   // bytes that the head of an answer may still have; negative while none is read
	err   error // of the last reading: a connection with one is not used again
	timer *time.Timer
}

// Read implements io.Reader.
func (l *line) Read(p []byte) (int, error) {
	if l.head == 0 {
		l.err = errHead
		return 0, errHead
	}
	if l.head > 0 {
		p = p[:min(len(p), l.head)]
	}
	var n int
	n, l.err = l.Conn.Read(p)
	if l.head > 0 {
		l.head -= n
	}
	return n, l.err
}

// drained reports whether TLS holds nothing that came beside the end of an answer: of a record
// that was decrypted, as much as somebody asked for is read. A reading whose time is over takes
// nothing from the network.
func (l *line) drained() bool {
	if l.Conn == l.raw {
		return true
	}
	if l.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	n, err := l.Conn.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && l.SetReadDeadline(time.Time{}) == nil
}

var writers = sync.Pool{New: func() any { return bufio.NewWriter(nil) }}

func (s *lines) roundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	l, err := s.take(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	answer, err := s.exchange(l, req)
	if err != nil {
		stop()
		_ = l.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	l.head = -1
	answer.Body = &followed{s: s, l: l, ctx: ctx, stop: stop, body: answer.Body, again: !answer.Close && !req.Close && answer.StatusCode >= 200}
	return answer, nil
}

// exchange writes a request and reads the head of its answer.
func (s *lines) exchange(l *line, req *http.Request) (*http.Response, error) {
	trace := httptrace.ContextClientTrace(req.Context())
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: l})
	}
	w := writers.Get().(*bufio.Writer)
	w.Reset(l.Conn)
	sent := req.Write(w)
	if sent == nil {
		sent = w.Flush()
	}
	w.Reset(nil)
	writers.Put(w)
	if trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: sent})
	}
	if err := l.SetReadDeadline(time.Now().Add(s.header)); err != nil {
		return nil, errors.Join(sent, err)
	}
	for range mostInterim + 1 {
		l.head = maxHeader
		answer, err := http.ReadResponse(l.in, req)
		if err != nil {
			switch l.err {
			case nil:
				err = errNoHTTP
			case io.EOF: //nolint:errorlint // connections return it bare; of a line that was cut net/http says that it is malformed
				err = io.ErrUnexpectedEOF
			default:
				err = l.err
			}
			return nil, errors.Join(err, sent)
		}
		// What is below 100 ends an exchange as well: it has a body, which is no head.
		if answer.StatusCode/100 != 1 || answer.StatusCode == http.StatusSwitchingProtocols {
			if sent != nil {
				answer.Close = true
			}
			return answer, l.SetReadDeadline(time.Time{})
		}
	}
	return nil, errInterim
}

// take gives a connection that waits, or a new one.
func (s *lines) take(req *http.Request) (*line, error) {
	key := req.URL.Scheme + "://" + req.URL.Host
	for {
		l := s.pop(key)
		if l == nil {
			return s.open(req, key)
		}
		// Nobody has read of it since: what has come meanwhile is no answer to what will be sent.
		if l.timer.Stop() && silent(l.raw) && l.drained() {
			return l, nil
		}
		_ = l.Close()
	}
}

func (s *lines) pop(key string) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.idle[key]
	if len(list) == 0 {
		return nil
	}
	l := list[len(list)-1]
	s.remove(l)
	return l
}

// remove takes a waiting connection off the list, and reports whether it was there. The
// caller holds mu.
func (s *lines) remove(l *line) bool {
	list := s.idle[l.key]
	i := slices.Index(list, l)
	if i < 0 {
		return false
	}
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(s.idle, l.key)
	} else {
		s.idle[l.key] = list
	}
	s.n--
	return true
}

func (s *lines) open(req *http.Request, key string) (*line, error) {
	ctx := req.Context()
	port := req.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[req.URL.Scheme]
	}
	raw, err := s.dial(ctx, "tcp", net.JoinHostPort(req.URL.Hostname(), port))
	if err != nil {
		return nil, err
	}
	l := &line{Conn: raw, raw: raw, key: key}
	if req.URL.Scheme == "https" {
		secure := s.secure.Clone()
		secure.ServerName = req.URL.Hostname()
		conn := tls.Client(raw, secure)
		limited, cancel := context.WithTimeout(ctx, s.connect)
		defer cancel()
		if err := conn.HandshakeContext(limited); err != nil {
			_ = raw.Close()
			return nil, err
		}
		l.Conn = conn
	}
	// A head's line may be longer, and events that come fast are read past it.
	l.in = bufio.NewReaderSize(l, 2<<10)
	return l, nil
}

// keep has a connection wait for its next use, and reports whether there was room. To close
// one says so to its peer, for which nobody waits who holds mu.
func (s *lines) keep(l *line) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n >= mostIdle || len(s.idle[l.key]) >= mostIdlePerHost {
		return false
	}
	l.timer = time.AfterFunc(idleTime, func() {
		s.mu.Lock()
		there := s.remove(l)
		s.mu.Unlock()
		if there {
			_ = l.Close()
		}
	})
	if s.idle == nil {
		s.idle = map[string][]*line{}
	}
	s.idle[l.key] = append(s.idle[l.key], l)
	s.n++
	return true
}

func (s *lines) closeIdle() {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.n = nil, 0
	s.mu.Unlock()
	for _, list := range idle {
		for _, l := range list {
			l.timer.Stop()
			_ = l.Close()
		}
	}
}

// followed is the body of an answer. One goroutine reads; any may close it.
type followed struct {
	s     *lines
	l     *line
	ctx   context.Context
	stop  func() bool
	body  io.Reader
	again bool // the connection can be used again after the body's end
	over  sync.Once
}

// Read implements io.Reader. Where the request's context has ended, so has the body, with
// the context's cause: a peer that hears of it may end its answer in order.
func (b *followed) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err == nil {
		return n, nil
	}
	whole := err == io.EOF && b.again //nolint:errorlint // readers return it bare
	if b.ctx.Err() != nil && !whole {
		err = context.Cause(b.ctx)
	}
	// After another error net/http's body may say that it ended.
	b.end(whole && b.l.in.Buffered() == 0 && b.l.err == nil)
	return n, err
}

// Close implements io.Closer: what has not been read by then is nobody's, and the connection
// with it. The body's own Close would read it.
func (b *followed) Close() error {
	b.end(false)
	return nil
}

func (b *followed) end(again bool) {
	b.over.Do(func() {
		if !b.stop() || !again || !b.s.keep(b.l) {
			_ = b.l.Close()
		}
	})
}
