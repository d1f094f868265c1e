// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// stream is a run's connection. Next and Ready belong to one goroutine, Close to any.
type stream struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	target run.Target
	body   io.ReadCloser
	reader *reader
	idle   time.Duration
	timer  *time.Timer
	// waiting: the timer runs, since this call of Next has begun to read.
	waiting bool
	closed  atomic.Bool
	err     error // what ended it
}

// stream sends a request for events, and returns once the answer has begun. absent is as for
// asked.
func (c *Client) stream(ctx context.Context, t run.Target, absent *fault.Error, build func(context.Context) (*http.Request, error)) (run.Stream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := build(ctx)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req, stop := c.sentWithin(req, cancel)
	defer stop()
	answer, err := c.Egress.Follow(req) // the stream closes it
	if err != nil {
		err = failure(ctx, t, err)
		cancel(nil)
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		defer cancel(nil)
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode == http.StatusOK {
			return nil, run.ErrUnavailable.Because(errors.New("the runtime answers 200 with something else than events"))
		}
		timer := time.AfterFunc(c.Answer, func() { cancel(errSlow) })
		defer timer.Stop()
		return nil, c.refusedBy(t, answer, absent)
	}
	s := &stream{ctx: ctx, cancel: cancel, target: t, body: answer.Body, idle: c.Idle}
	s.reader = newReader((*source)(s))
	s.timer = time.AfterFunc(c.Idle, func() { cancel(errSlow) })
	s.timer.Stop()
	return s, nil
}

// source is what a stream reads, watched by its timer: from the first read for an event to
// the event's end, whatever comes between.
type source stream

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if !s.waiting {
		s.waiting = true
		s.timer.Reset(s.idle)
	}
	return s.body.Read(p)
}

// Next implements run.Stream.
func (s *stream) Next() (run.Event, error) {
	if s.err != nil {
		return run.Event{}, s.err
	}
	e, err := s.reader.next()
	if s.waiting {
		s.timer.Stop()
		s.waiting = false
	}
	if err == nil {
		return e, nil
	}
	s.reader.release() // nobody holds an event of it any more
	switch {
	case s.closed.Load():
		s.err = context.Canceled
	case err == io.EOF: //nolint:errorlint // the reader returns it bare
		s.err = io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF) && s.ctx.Err() == nil:
		s.err = run.ErrUnavailable.Because(errCutOff)
	default:
		s.err = failure(s.ctx, s.target, fmt.Errorf("a stream: %w", err))
	}
	return run.Event{}, s.err
}

// Ready implements run.Stream.
func (s *stream) Ready() bool { return s.err == nil && s.reader.ready() }

// Close implements run.Stream.
func (s *stream) Close() error {
	s.closed.Store(true)
	s.timer.Stop()
	s.cancel(nil)
	return s.body.Close()
}
