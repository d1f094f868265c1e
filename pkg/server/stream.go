// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/trace"
)

// ErrLeft is why the context of an attended request ended whose client has left.
var ErrLeft = errors.New("server: the client has left")

// Streams are the answers of a listener that go on after their handlers have returned.
type Streams struct {
	ctx  context.Context
	end  context.CancelCauseFunc
	open atomic.Int64
}

// NewStreams gives the streams of a listener that begins.
func NewStreams() *Streams {
	s := &Streams{}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	return s
}

// Open counts those that go on.
func (s *Streams) Open() int { return int(s.open.Load()) }

// End tells all of them, and attended requests too, that the service ends:
// fault.ErrUnavailable is the cause of their contexts.
func (s *Streams) End() { s.end(fault.ErrUnavailable) }

// Attended is a request whose work is given up when its client leaves. Its context
// outlives the handler and has no deadline.
type Attended struct {
	base   *base
	conn   net.Conn
	ctx    context.Context
	cancel context.CancelCauseFunc
	gone   chan struct{} // closed when nobody looks any more; nil where nobody can
	once   sync.Once
	// streams: the answer goes on after the handler, and its end is that of the looking.
	streams bool
}

// Attend begins to look for the client's leaving. The body of the request has been read.
// Where the handler returns, or panics, without a Stream, the looking ends by itself: who
// looks holds the reading side of the connection, and its next request would not be read.
func Attend(c *fiber.Ctx) *Attended {
	a := &Attended{base: c.Locals(requestKey).(*request).base, conn: c.Context().Conn()} // handle comes first
	ctx := c.UserContext()
	a.ctx, a.cancel = context.WithCancelCause(trace.With(audit.WithRequest(a.base.cfg.Streams.ctx, audit.RequestOf(ctx)), trace.Of(ctx)))
	raw := socketOf(a.conn)
	if raw == nil || a.conn.SetReadDeadline(time.Time{}) != nil { // READ_TIMEOUT was for the request
		return a
	}
	a.gone = make(chan struct{})
	go func() {
		defer close(a.gone)
		defer func() { _ = recover() }() // then pings find out
		if left(raw) {
			a.cancel(ErrLeft)
		}
	}()
	c.Locals(attendedKey, a)
	return a
}

// dismiss ends the looking of a request that has been answered.
func dismiss(c *fiber.Ctx) {
	if a, ok := c.Locals(attendedKey).(*Attended); ok && !a.streams {
		a.Leave()
	}
}

// Context ends with ErrLeft as its cause when the client leaves, and with a fault when the
// service ends.
func (a *Attended) Context() context.Context { return a.ctx }

// Leave ends the looking, and the context.
func (a *Attended) Leave() {
	a.once.Do(func() {
		if a.gone != nil {
			// Whoever looks holds the reading side of the connection.
			_ = a.conn.SetReadDeadline(time.Unix(1, 0))
			<-a.gone
			_ = a.conn.SetReadDeadline(time.Now().Add(defaultTimeout)) // fasthttp sets its own for the next request
		}
		a.cancel(nil)
	})
}

// Outlet is where a stream goes. One goroutine writes at a time.
type Outlet struct {
	to      io.Writer
	conn    net.Conn
	chunked bool
	limit   time.Duration
	n       int64
	err     error

	mu      sync.Mutex // of the deadline
	hurried bool
}

// hurry is what a client gets that is told the end of its stream.
const hurry = time.Second

// Write sends p at once, within the time for one answer. What is written in one call
// leaves in one piece.
func (o *Outlet) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	o.mu.Lock()
	limit := o.limit
	if o.hurried {
		limit = hurry
	}
	o.err = o.conn.SetWriteDeadline(time.Now().Add(limit))
	o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	if !o.chunked {
		n, err := o.to.Write(p)
		o.n += int64(n)
		o.err = err
		return n, err
	}
	if len(p) == 0 { // as a chunk it would be the last
		return 0, nil
	}
	b := chunks.Get().(*[]byte)
	*b = append(strconv.AppendUint((*b)[:0], uint64(len(p)), 16), "\r\n"...)
	*b = append(append(*b, p...), "\r\n"...)
	_, o.err = o.to.Write(*b)
	if cap(*b) <= largestChunk {
		chunks.Put(b)
	}
	if o.err != nil {
		return 0, o.err
	}
	o.n += int64(len(p))
	return len(p), nil
}

// renew gives what ends the body a time of its own: serve may have been at work since it
// wrote for the last time, and a whole stream must not end as if it had broken off.
func (o *Outlet) renew() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		_ = o.conn.SetWriteDeadline(time.Now().Add(hurry))
	}
}

// chunks lends the room in which a chunk gets its length and its end (RFC 9112 section
// 7.1). Through the connection's buffer, which is smaller than events are when they come
// fast, a chunk would leave in three writes.
var chunks = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

const largestChunk = 80 << 10

// Hurry leaves whoever does not read a moment for what is being written and for all that
// follows. It may be called while Write waits.
func (o *Outlet) Hurry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.hurried {
		o.hurried = true
		_ = o.conn.SetWriteDeadline(time.Now().Add(hurry))
	}
}

// Stream answers 200 with the events that serve writes. The headers leave before the first
// of them, and each Write leaves at once. serve runs after the handler has returned, once,
// and also where nothing can be written any more: its context has ended then. What it
// returns is what the client was told to have gone wrong, for the log. The request ends,
// for log and metrics, when the stream does.
func (a *Attended) Stream(c *fiber.Ctx, serve func(ctx context.Context, to *Outlet) *fault.Error) error {
	c.Status(fiber.StatusOK)
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Set("X-Accel-Buffering", "no") // nginx would hold events back
	a.streams = true
	b := &streamBody{Attended: a, serve: serve, line: a.base.line(c)}
	a.base.cfg.Streams.open.Add(1)
	if !c.Request().Header.IsHTTP11() {
		b.bare(c)
		return nil
	}
	res := c.Response()
	res.ImmediateHeaderFlush = true
	res.SetBodyStream(b, -1)
	c.Locals(streamKey, b)
	return nil
}

// streamBody is the body of such an answer. fasthttp has it write itself, on the
// connection's own goroutine: no pipe and no second goroutine stand between an event and
// its flush, and 400 streams need no buffer beside the connection's.
type streamBody struct {
	*Attended
	serve func(ctx context.Context, to *Outlet) *fault.Error
	line  line

	began    bool
	closed   sync.Once
	failure  *fault.Error
	panicked error
	replaced bool // another answer was given: it has its own line
}

// Read implements io.Reader, which nobody asks for.
func (b *streamBody) Read([]byte) (int, error) {
	return 0, errors.New("server: a stream writes itself")
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (b *streamBody) SupportsBodyWriteTo() bool { return true }

// WriteTo implements io.WriterTo. An error keeps fasthttp from ending the body as if it
// were whole. The head has been flushed, so that nothing is left in the writer: chunks go
// to the connection itself, each in one write.
func (b *streamBody) WriteTo(io.Writer) (int64, error) {
	out := &Outlet{to: b.conn, conn: b.conn, chunked: true, limit: b.base.cfg.WriteTimeout}
	b.run(out)
	out.renew()
	switch {
	case b.panicked != nil:
		return out.n, b.panicked
	case out.err == nil && context.Cause(b.ctx) == ErrLeft: //nolint:errorlint // it is the cause itself
		return out.n, ErrLeft
	}
	return out.n, out.err
}

func (b *streamBody) run(out *Outlet) {
	b.began = true
	defer func() {
		if p := recover(); p != nil {
			b.panicked = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			b.failure = fault.ErrInternal.Because(b.panicked)
		}
	}()
	b.failure = b.serve(b.ctx, out)
}

// bare answers a client of HTTP/1.0, such as an old proxy: no transfer coding may be sent to
// it (RFC 9112 section 6.1), and the end of the connection is that of the body. fasthttp
// knows no such answer, so it is written here, before the handler returns, and fasthttp
// then closes the connection without a word.
func (b *streamBody) bare(c *fiber.Ctx) {
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(net.Conn) {})
	c.Locals(streamKey, b)
	head := []byte("HTTP/1.1 200 OK\r\nDate: " + b.base.cfg.Now().UTC().Format(http.TimeFormat) + "\r\n")
	for name, value := range c.Response().Header.All() {
		switch string(name) {
		case fiber.HeaderContentLength, fiber.HeaderTransferEncoding, fiber.HeaderConnection, fiber.HeaderDate:
		default:
			head = append(append(append(append(head, name...), ": "...), value...), "\r\n"...)
		}
	}
	head = append(head, "Connection: close\r\n\r\n"...)
	out := &Outlet{to: b.conn, conn: b.conn, limit: b.base.cfg.WriteTimeout}
	if _, err := out.Write(head); err == nil {
		b.run(out)
	}
	_ = b.Close()
}

// Close implements io.Closer. fasthttp calls it also for a body that it could not begin to
// write.
func (b *streamBody) Close() error {
	b.closed.Do(func() {
		if !b.began {
			b.cancel(ErrLeft)
			b.run(&Outlet{to: io.Discard, conn: b.conn, limit: hurry})
		}
		outcome := b.outcome()
		b.Leave()
		b.base.cfg.Streams.open.Add(-1)
		if !b.replaced {
			b.base.finish(b.line, b.failure, outcome)
		}
	})
	return nil
}

// outcome says in a word how a stream ended.
func (b *streamBody) outcome() slog.Attr {
	word := "whole"
	switch {
	case b.failure != nil:
		word = "failed"
	case context.Cause(b.ctx) == ErrLeft: //nolint:errorlint // it is the cause itself
		word = "left"
	}
	return slog.String("stream", word)
}
