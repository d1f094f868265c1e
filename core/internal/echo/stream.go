// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// stream follows a job.
type stream struct {
	r      *Runtime
	ctx    context.Context //nolint:containedctx // it ends the stream, as run.Runtime says
	j      *job
	next   int  // event
	hold   bool // it stays through pauses
	over   bool
	closed chan struct{}
	close  sync.Once
}

func (r *Runtime) follow(ctx context.Context, j *job, from int, hold bool) *stream {
	return &stream{r: r, ctx: ctx, j: j, next: from, hold: hold, closed: make(chan struct{})}
}

var errClosed = errors.New("echo: the stream is closed")

// Next implements run.Stream.
func (s *stream) Next() (run.Event, error) {
	for {
		select {
		case <-s.closed:
			return run.Event{}, run.ErrUnavailable.Because(errClosed)
		default:
		}
		if err := broken(s.ctx); err != nil {
			return run.Event{}, err
		}
		if s.over {
			return run.Event{}, io.EOF
		}
		e, ok, changed, away := s.step()
		if ok {
			s.over = e.Name == "workflow_paused" && !s.hold
			return e, nil
		}
		if !s.over {
			s.wait(changed, away)
		}
	}
}

// step takes the next event if its time has come. Else it says what may bring one: a
// change, or time.
func (s *stream) step() (e run.Event, ok bool, changed <-chan struct{}, away time.Duration) {
	j := s.j
	j.mu.Lock()
	defer j.mu.Unlock()
	s.r.expire(j)
	n, away := j.sent(time.Now())
	switch {
	case s.next < n:
		s.next++
		return j.events[s.next-1].Event, true, nil, 0
	case n < len(j.events):
	case j.over:
		s.over = true
	default:
		away = max(j.form.expires.Sub(s.r.Now()), time.Millisecond)
	}
	return run.Event{}, false, j.changed, away
}

func (s *stream) wait(changed <-chan struct{}, away time.Duration) {
	timer := time.NewTimer(away)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-s.closed:
	case <-s.ctx.Done():
	}
}

// Ready implements run.Stream.
func (s *stream) Ready() bool {
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	n, _ := s.j.sent(time.Now())
	return !s.over && s.next < n
}

// Close implements run.Stream. A workflow goes on, as one at a runtime does.
func (s *stream) Close() error {
	s.close.Do(func() { close(s.closed) })
	return nil
}
