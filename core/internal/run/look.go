// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// watch looks after a stream until ctx ends. The caller then calls stop, which waits for a
// look under way.
func (l *Live) watch(ctx context.Context, end context.CancelCauseFunc) (stop func()) {
	var (
		mu    sync.Mutex // held while it looks
		timer *time.Timer
		b     = l.s.Bounds
		still = b.Pace.Still
	)
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(min(b.Max, b.Idle, b.Pace.Still, b.Pace.Ping), func() {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return // what is still said to the client is said by Serve
		}
		defer func() {
			if p := recover(); p != nil {
				end(fault.ErrInternal.Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
			}
		}()
		next, err := l.look(ctx, &still)
		if err != nil {
			end(err)
			return
		}
		timer.Reset(next - time.Since(l.began))
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		timer.Stop() // after a look, which has set it again
	}
}

// look does what is due, and gives when to look again, from began. still is when the token is
// asked for next.
func (l *Live) look(ctx context.Context, still *time.Duration) (next time.Duration, err error) {
	b, now := l.s.Bounds, time.Since(l.began)
	if now >= b.Max {
		return 0, ErrTimeout.Because(errors.New("run: it is longer than RUN_MAX_DURATION"))
	}
	next = b.Max
	if since := l.waiting.Load(); since >= 0 { // a client that reads slowly is no silence of the runtime
		if now-time.Duration(since) >= b.Idle {
			return 0, ErrTimeout.Because(errors.New("run: the runtime has been silent for RUNTIME_IDLE_TIMEOUT"))
		}
		next = min(next, time.Duration(since)+b.Idle)
	}
	if now >= *still {
		if err := l.still(ctx); err != nil {
			return 0, err
		}
		*still = time.Since(l.began) + b.Pace.Still
	}
	quiet := time.Duration(l.sent.Load()) + b.Pace.Ping
	if now >= quiet {
		if err := l.ping(); err != nil {
			return 0, err
		}
		quiet = now + b.Pace.Ping
	}
	// Silence may begin while nobody looks: never later than a ping from now.
	return min(next, *still, quiet, now+b.Idle), nil
}

// stillLimit bounds one look at the token: with its interval it stays within 5 s.
const stillLimit = 900 * time.Millisecond

// still asks whether the caller's token is good. That nobody can say is no verdict: the
// next look decides.
func (l *Live) still(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stillLimit)
	defer cancel()
	err := l.out.Still(ctx)
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Kind() == fault.Unauthenticated {
		return f
	}
	return nil
}

// ping writes, unless somebody writes already.
func (l *Live) ping() error {
	if !l.writing.TryLock() {
		return nil
	}
	defer l.writing.Unlock()
	l.sent.Store(int64(time.Since(l.began)))
	_, err := l.out.To.Write(pingFrame)
	return err
}
