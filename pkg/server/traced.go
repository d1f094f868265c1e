// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/trace"
)

const headerTraceparent = "Traceparent"

// traced gives the context under which a request is served. A trace is continued that one of
// our own proxies tells of; what a stranger sends would let them choose what is recorded, and
// put what they ask into traces of others, so it is passed over.
func (r *request) traced(c *fiber.Ctx) context.Context {
	var parent trace.Context
	if r.base.cfg.Addresses.Trusted(r.peer) {
		parent = traceparent(c)
	}
	return r.Over(context.Background(), r.base.cfg.Tracer, parent)
}

// traceparent reads the header, which counts when it stands there once.
func traceparent(c *fiber.Ctx) trace.Context {
	lines := c.Request().Header.PeekAll(headerTraceparent)
	if len(lines) != 1 {
		return trace.Context{}
	}
	parent, _ := trace.Parse(string(lines[0]))
	return parent
}

// ContinueTrace takes the trace that the sender of a request tells of, once it is known that
// this is the other service.
func ContinueTrace(c *fiber.Ctx) { trace.Of(c.UserContext()).Adopt(traceparent(c)) }

// CalledBy has the request's line in the log name who asks: a kind of subject, a client's id and
// the id of a token. What is empty stays as it was.
func CalledBy(c *fiber.Ctx, subject, client, token string) {
	trace.Of(c.UserContext()).Caller(subject, client, token)
}

// span ends the request's span.
func (l line) span(took time.Duration, worst int, f *fault.Error) {
	if l.quiet || !l.record.Recording() {
		return
	}
	attrs := []trace.Attr{
		trace.String("http.request.method", l.method), trace.String("http.route", l.route), trace.Int("http.response.status_code", l.status),
		trace.String("dify_sso.request_id", l.id),
	}
	if l.app != "" {
		attrs = append(attrs, trace.String("dify_sso.app", l.app))
	}
	if f != nil {
		attrs = append(attrs, trace.String("error.type", f.Code()))
	}
	l.record.Finish(trace.Span{
		Name: l.method + " " + l.route, Start: l.start, End: l.start.Add(took), Attrs: attrs, Failed: worst >= fiber.StatusInternalServerError,
	})
}
