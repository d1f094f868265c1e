// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// conns is how many connections send at once: with one the figures depend on how
// deeply idle cores sleep.
const conns = 16

// caller is one connection's client. It is used by one goroutine.
type caller struct {
	client *fasthttp.Client
	req    fasthttp.Request
	res    fasthttp.Response
}

func newCaller() *caller {
	return &caller{client: &fasthttp.Client{
		MaxConnsPerHost: 2, NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
		ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second, MaxIdleConnDuration: 20 * time.Second, // before core closes it
		MaxIdemponentCallAttempts: 1,                                                                          // a repeat would count as one request
		Dial:                      func(address string) (net.Conn, error) { return net.Dial("tcp", address) }, // the library's own shares a cache
	}}
}

// send sends one request with headers in pairs. The body of the answer is valid until
// the next call.
func (c *caller) send(method, url, body string, headers ...string) (status int, answer []byte, err error) {
	c.req.Reset()
	c.req.Header.SetMethod(method)
	c.req.SetRequestURI(url)
	if body != "" {
		c.req.SetBodyString(body)
	}
	for i := 0; i < len(headers); i += 2 {
		c.req.Header.Set(headers[i], headers[i+1])
	}
	if err := c.client.Do(&c.req, &c.res); err != nil {
		return 0, nil, err
	}
	return c.res.StatusCode(), c.res.Body(), nil
}

// op is one measured act, the i-th of its sample. An error is an answer other than the
// one that is measured, and ends the run.
type op func(c *caller, i int64) error

// amount is how long a sample lasts: so many acts, or so long.
type amount struct {
	count int64
	last  time.Duration
}

// load is all callers of a run.
type load struct {
	ctx     context.Context //nolint:containedctx // of the whole run
	callers []*caller
	shrink  int64 // divides all amounts, for a trial
}

func newLoad(ctx context.Context, shrink int64) *load {
	l := &load{ctx: ctx, shrink: shrink}
	for range conns {
		l.callers = append(l.callers, newCaller())
	}
	return l
}

// trial reports that figures mean nothing.
func (l *load) trial() bool { return l.shrink > 1 }

// some is a number of acts, or what a trial makes of it.
func (l *load) some(n int64) amount { return amount{count: (n + l.shrink - 1) / l.shrink} }

// drive keeps every caller busy with act until the amount is done.
func (l *load) drive(a amount, act op) (n int64, took time.Duration, err error) {
	var (
		next, done atomic.Int64
		over       atomic.Bool
		once       sync.Once
		wg         sync.WaitGroup
	)
	if a.last > 0 {
		timer := time.AfterFunc(a.last, func() { over.Store(true) })
		defer timer.Stop()
	}
	begun := time.Now()
	defer context.AfterFunc(l.ctx, func() { over.Store(true) })()
	for _, c := range l.callers {
		wg.Go(func() {
			for !over.Load() {
				i := next.Add(1) - 1
				if a.count > 0 && i >= a.count {
					return
				}
				if failure := act(c, i); failure != nil {
					once.Do(func() { err = failure })
					over.Store(true)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if err == nil {
		err = l.ctx.Err()
	}
	return done.Load(), time.Since(begun), err
}

// unexpected is an answer that spoils a run.
func unexpected(what string, status int, body []byte) error {
	return fmt.Errorf("%s answered %d: %.200s", what, status, body)
}
