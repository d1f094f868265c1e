// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Reading is a request's body while a handler passes it on. Another goroutine may read it,
// and may be at it still when the handler is done: Close ends that before fiber takes the
// request back.
type Reading struct {
	ctx     *fasthttp.RequestCtx
	silence time.Duration
	until   time.Time
	closing atomic.Bool

	mu   sync.Mutex // held while the body is read
	from io.Reader
	left int64 // of what was declared; negative for an unknown length
	over bool
}

var errClosed = errors.New("server: the request is over")

// Read gives a request's body to be read as it comes; the client may be silent for so long
// between two of its bytes, and take no longer than whole for them all. A declared length above max is ErrTooLarge, any encoding but
// identity ErrUnsupportedMedia. What is longer than it said, or of no declared length, is
// the reader's to bound. The caller must Close it.
func Read(c *fiber.Ctx, max int64, silence, whole time.Duration) (*Reading, error) {
	if enc := c.Get(fiber.HeaderContentEncoding); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, ErrUnsupportedMedia
	}
	if int64(c.Request().Header.ContentLength()) > max {
		return nil, ErrTooLarge
	}
	r := &Reading{left: int64(c.Request().Header.ContentLength()), ctx: c.Context(), silence: silence, until: time.Now().Add(whole), from: c.Context().RequestBodyStream()}
	if r.from == nil {
		r.from = strings.NewReader("")
	}
	return r, nil
}

// Read implements io.Reader. The time for reading a request is for those that are read at
// once; here each read has its own.
func (r *Reading) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return 0, io.EOF
	}
	if r.from == nil {
		return 0, errClosed
	}
	deadline := time.Now().Add(r.silence)
	if deadline.After(r.until) {
		deadline = r.until
	}
	if err := r.ctx.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	if r.closing.Load() { // after the deadline: one that Close has set must not be put off
		return 0, errClosed
	}
	n, err := r.from.Read(p)
	if r.left >= 0 {
		r.left -= int64(n)
	}
	if err == io.EOF { // io.Reader returns it bare
		if r.left > 0 { // fasthttp takes the end of a connection for the end of a body
			return n, io.ErrUnexpectedEOF
		}
		r.over = true
	}
	return n, err
}

// Close ends a read that waits for the client, and every later one. Where the body was not
// read to its end the connection ends with the answer.
func (r *Reading) Close(c *fiber.Ctx) {
	r.closing.Store(true)
	if !r.mu.TryLock() {
		_ = r.ctx.SetReadDeadline(time.Unix(1, 0)) // long past
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	r.from = nil
	if !r.over {
		c.Context().SetConnectionClose()
		leavesUnread(c)
	}
}
