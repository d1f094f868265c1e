// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/trace"
)

// Config is what a listener needs. Log, Now and Addresses are required.
type Config struct {
	Log       *slog.Logger
	Now       func() time.Time
	Addresses *clientip.Resolver
	// HSTS adds Strict-Transport-Security: the public address is https.
	HSTS bool
	// Page writes a failure as HTML; nil means that this listener has no pages.
	Page func(c *fiber.Ctx, f *fault.Error) error
	// IsPage says whether a request that no route takes came from a browser's address
	// bar.
	IsPage func(c *fiber.Ctx) bool
	// Observe counts a finished request; nil counts nothing.
	Observe func(route string, status int, took time.Duration)

	ReadTimeout    time.Duration
	WriteTimeout   time.Duration // for one answer; zero takes 30 s
	IdleTimeout    time.Duration
	RequestTimeout time.Duration // deadline of a request's context; zero takes 30 s
	MaxHeaderBytes int
	// MaxConnections is the most that are served at once; Bounded refuses the others.
	MaxConnections int
	// Streams are the answers that go on; nil takes streams that nobody ends.
	Streams *Streams
	// Tracer takes a span of each request; nil records none.
	Tracer *trace.Tracer
}

// Route is what the writer of answers needs to know of a route.
type Route struct {
	// Pattern stands in logs and metrics instead of the address, which may hold a code.
	Pattern string
	Shape   Shape
	// Pragma adds no-cache to the no-store that every answer carries.
	Pragma bool
	// Challenge gives the WWW-Authenticate of a failure; nil or empty means none.
	Challenge func(f *fault.Error) string
	// Quiet is of probes, which come every few seconds: they have no span.
	Quiet bool
}

type localKey int

const (
	routeKey localKey = iota
	requestKey
	failureKey
	attendedKey
	streamKey
)

// request is what the first middleware notes of a request.
type request struct {
	trace.Carrier
	base  *base
	start time.Time
	id    string
	peer  netip.Addr
	ip    netip.Addr
	app   string // empty: of none
}

// unmatched stands for requests that no route took.
const unmatched = "unmatched"

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

// defaultTimeout bounds a request's work and the writing of its answer.
const defaultTimeout = 30 * time.Second

// New gives a fiber app whose defaults are overridden where they are risky: strings
// that outlive a request are copies, paths are taken as sent, forwarded headers of
// strangers mean nothing, bodies are streamed and bounded by the reader.
func New(cfg Config) (*fiber.App, error) {
	if cfg.Log == nil || cfg.Now == nil || cfg.Addresses == nil {
		return nil, errors.New("server: log, clock and address resolver are required")
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = defaultTimeout
	}
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = defaultTimeout
	}
	if cfg.Streams == nil {
		cfg.Streams = NewStreams()
	}
	b := &base{cfg: cfg}
	app := fiber.New(fiber.Config{
		Immutable: true, CaseSensitive: true, StrictRouting: true, UnescapePath: false,
		DisableStartupMessage: true, DisableHeaderNormalizing: false, DisablePreParseMultipartForm: true,
		EnableTrustedProxyCheck: true, GETOnly: false, StreamRequestBody: true,
		ReadTimeout: cfg.ReadTimeout, WriteTimeout: cfg.WriteTimeout, IdleTimeout: cfg.IdleTimeout, ReadBufferSize: cfg.MaxHeaderBytes,
		Concurrency:  concurrency(cfg.MaxConnections),
		ErrorHandler: func(c *fiber.Ctx, err error) error { return b.outside(c, err) },
	})
	app.Use(b.handle)
	app.Server().Handler = b.strictly(app, app.Server().Handler)
	return app, nil
}

// concurrency leaves fasthttp room above the cap: it counts a connection for a moment
// longer than it is open, and refuses in words of its own.
func concurrency(most int) int {
	const room = 1024
	if most <= 0 {
		return 0 // fasthttp's default
	}
	return most + room
}

type base struct{ cfg Config }

// handle wraps every request: identity, deadline, headers, one writer of failures,
// one line in the log.
func (b *base) handle(c *fiber.Ctx) error {
	r := b.begin(c, b.cfg.Now())
	ctx, cancel := context.WithTimeout(audit.WithRequest(r.traced(c), audit.Request{
		ID: r.id, IP: r.ip.String(), UserAgent: c.Get(fiber.HeaderUserAgent),
	}), b.cfg.RequestTimeout)
	defer cancel()
	c.SetUserContext(ctx)

	err := guarded(c)
	dismiss(c)
	stream, _ := c.Locals(streamKey).(*streamBody)
	if err == nil && stream != nil {
		return nil // it is not over yet
	}
	var f *fault.Error
	if err != nil {
		if stream != nil {
			stream.replaced = true
		}
		f = classify(err)
		b.write(c, f)
	}
	b.end(c, f)
	return nil
}

// guarded runs the rest of the chain; a panic becomes a failure with its stack for
// the log.
func guarded(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.ErrInternal.Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return c.Next()
}

func (b *base) begin(c *fiber.Ctx, start time.Time) *request {
	peer, _ := netip.ParseAddr(c.Context().RemoteIP().String())
	var forwarded []string
	for _, line := range c.Request().Header.PeekAll(fiber.HeaderXForwardedFor) {
		forwarded = append(forwarded, string(line))
	}
	r := &request{base: b, start: start, id: uuid.NewString(), peer: peer, ip: b.cfg.Addresses.Client(peer, forwarded)}
	if given := c.Get(fiber.HeaderXRequestID); given != "" && b.cfg.Addresses.Trusted(peer) && requestID.MatchString(given) {
		r.id = given
	}
	c.Locals(requestKey, r)
	b.headers(c, r.id)
	return r
}

// headers sets what every answer carries, whatever becomes of the request.
func (b *base) headers(c *fiber.Ctx, id string) {
	c.Set(fiber.HeaderXRequestID, id)
	c.Set(fiber.HeaderXFrameOptions, "DENY")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderContentSecurityPolicy, "frame-ancestors 'none'")
	c.Set(fiber.HeaderCacheControl, "no-store")
	if b.cfg.HSTS {
		c.Set(fiber.HeaderStrictTransportSecurity, "max-age=31536000")
	}
}

// write is the only writer of failures.
func (b *base) write(c *fiber.Ctx, f *fault.Error) {
	route := routeOf(c)
	// What a handler had begun to answer is dropped: a failure never carries a
	// cookie or a body of the success it did not become.
	c.Response().ResetBody()
	c.Response().Header.Del(fiber.HeaderLocation)
	setRetryAfter(c, f)
	if f.Kind() == fault.Unauthenticated || f.Kind() == fault.Forbidden {
		c.Set(fiber.HeaderPragma, "no-cache")
	}
	if route.Challenge != nil {
		if challenge := route.Challenge(f); challenge != "" {
			c.Set(fiber.HeaderWWWAuthenticate, challenge)
		}
	}
	if f.Kind() == fault.TooLarge || f.Kind() == fault.UnsupportedMedia {
		c.Context().SetConnectionClose() // the rest of the body is not read
		leavesUnread(c)
	}
	page := route.Shape == Page || route.Pattern == unmatched && b.cfg.IsPage != nil && b.cfg.IsPage(c)
	if page && b.cfg.Page != nil {
		c.Status(Status(f.Kind()))
		if b.cfg.Page(c, f) == nil {
			return
		}
		c.Response().ResetBody()
	}
	_ = writeFailure(c, f, route.Shape)
}

// outside answers what never reached handle: requests that nobody could read. Their
// id is on record too, for it is all that their sender can name.
func (b *base) outside(c *fiber.Ctx, err error) error {
	start, f := b.cfg.Now(), classify(err)
	peer, _ := netip.ParseAddr(c.Context().RemoteIP().String())
	r := &request{base: b, start: start, id: uuid.NewString(), peer: peer, ip: b.cfg.Addresses.Client(peer, nil)}
	c.Locals(requestKey, r)
	b.headers(c, r.id)
	c.Context().SetConnectionClose()
	err = writeFailure(c, f, Canonical)
	b.end(c, f)
	return err
}

func (b *base) end(c *fiber.Ctx, f *fault.Error) {
	if f == nil {
		f, _ = c.Locals(failureKey).(*fault.Error)
	}
	b.finish(b.line(c), f)
}

// line is what log and metrics say of a request, apart from how it ended.
type line struct {
	method, route, id, ip, app string
	status                     int
	start                      time.Time
	quiet                      bool
	record                     *trace.Record // nil for what nobody could read
}

func (b *base) line(c *fiber.Ctx) line {
	l := line{method: c.Method(), route: routeOf(c).Pattern, id: RequestID(c), ip: ClientIP(c).String(), status: c.Response().StatusCode()}
	if r, ok := c.Locals(requestKey).(*request); ok {
		l.start, l.app = r.start, r.app
		if r.Context != nil {
			l.record = r.Record()
		}
	}
	l.quiet = routeOf(c).Quiet
	if !known(l.method) {
		l.method = "other"
	}
	return l
}

func (b *base) finish(l line, f *fault.Error, more ...slog.Attr) {
	took := b.cfg.Now().Sub(l.start)
	level, worst := slog.LevelInfo, l.status
	attrs := append(make([]slog.Attr, 0, 24),
		slog.String("method", l.method), slog.String("route", l.route), slog.Int("status", l.status),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("request_id", l.id), slog.String("ip", l.ip),
	)
	if l.app != "" {
		attrs = append(attrs, slog.String("app", l.app))
	}
	attrs = append(attrs, more...)
	if f != nil {
		attrs = append(attrs, slog.String("code", f.Code()))
		if len(more) > 0 { // a stream's failure came after its 200
			worst = Status(f.Kind())
		}
		if worst >= fiber.StatusInternalServerError {
			level = slog.LevelError
			attrs = append(attrs, slog.String("error", f.Error()))
		}
	}
	if l.record != nil {
		attrs = l.record.Fields(attrs)
		l.span(took, worst, f)
	}
	b.cfg.Log.LogAttrs(context.Background(), level, "request", attrs...)
	if b.cfg.Observe != nil { // last: whoever is told of a request finds its line
		b.cfg.Observe(l.route, l.status, took)
	}
}

// Enter names the route that a request has reached; it is the first handler of every
// row.
func Enter(r Route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		c.Locals(routeKey, &r)
		if r.Pragma {
			c.Set(fiber.HeaderPragma, "no-cache")
		}
		return c.Next()
	}
}

// AnswerAs changes how the failures of this request are written: for a route that serves
// scripts and pages alike.
func AnswerAs(c *fiber.Ctx, shape Shape) {
	r := *routeOf(c)
	r.Shape = shape
	c.Locals(routeKey, &r)
}

// Failed notes for the log why a page answers what it does, when the page shows the
// failure in its own words instead of returning it.
func Failed(c *fiber.Ctx, err error) { c.Locals(failureKey, fault.Of(err)) }

var noRoute = &Route{Pattern: unmatched}

func routeOf(c *fiber.Ctx) *Route {
	if r, ok := c.Locals(routeKey).(*Route); ok {
		return r
	}
	return noRoute
}

// RequestID is the id under which a request is logged.
func RequestID(c *fiber.Ctx) string {
	if r, ok := c.Locals(requestKey).(*request); ok {
		return r.id
	}
	return ""
}

// Concerns has the request's line in the log name the app that it is about: whoever looks
// after apps finds by it whose runtime has failed.
func Concerns(c *fiber.Ctx, app string) {
	if r, ok := c.Locals(requestKey).(*request); ok {
		r.app = app
	}
}

// ClientIP is the client's address as far as trusted proxies vouch for it.
func ClientIP(c *fiber.Ctx) netip.Addr {
	if r, ok := c.Locals(requestKey).(*request); ok {
		return r.ip
	}
	return netip.Addr{}
}

// ClientScope is the client's address as rate limits count it.
func ClientScope(c *fiber.Ctx) string { return clientip.Scope(ClientIP(c)) }
