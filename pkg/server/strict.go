// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"fmt"
	"runtime/debug"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// strictly stands between fasthttp and fiber. It refuses what a proxy before us could
// have read in another way, brings every method to the router, and is the last to
// recover: a panic in the writer of failures would end the process.
func (b *base) strictly(app *fiber.App, next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(fc *fasthttp.RequestCtx) {
		defer func() {
			if p := recover(); p != nil {
				fc.Response.Reset()
				b.answerOutside(app, fc, fault.ErrInternal.Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
			}
		}()
		if ambiguous(fc.Request.Header.RawHeaders()) {
			b.answerOutside(app, fc, ErrBadRequest)
			return
		}
		if !known(string(fc.Method())) {
			// Fiber answers an unknown method itself, in plain text. No route takes
			// TRACE, so as such it meets the router's 404 or 405.
			fc.Request.Header.SetMethod(fiber.MethodTrace)
		}
		next(fc)
	}
}

func (b *base) answerOutside(app *fiber.App, fc *fasthttp.RequestCtx, f *fault.Error) {
	c := app.AcquireCtx(fc)
	defer app.ReleaseCtx(c)
	_ = b.outside(c, f)
}

func known(method string) bool {
	for _, m := range fiber.DefaultMethods {
		if m == method {
			return true
		}
	}
	return false
}

var (
	contentLength    = []byte("content-length")
	transferEncoding = []byte("transfer-encoding")
	chunked          = []byte("chunked")
)

// ambiguous reports a header block whose end of the message, or whose values, two
// readers could find in different places: a folded line (RFC 9112 section 5.2), a
// transfer coding beside a length or another coding than chunked (section 6.1).
// fasthttp joins the one and only closes the connection after the other. Repeated
// lengths and hosts are its own refusal.
func ambiguous(raw []byte) bool {
	var length, coding bool
	for len(raw) > 0 {
		var line []byte
		line, raw, _ = bytes.Cut(raw, []byte("\n"))
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			return true
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == len(contentLength) && bytes.EqualFold(name, contentLength):
			length = true
		case len(name) == len(transferEncoding) && bytes.EqualFold(name, transferEncoding):
			if !bytes.EqualFold(bytes.TrimSpace(value), chunked) {
				return true
			}
			coding = true
		}
	}
	return length && coding
}
