// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/trace"
)

// Outlet is where events go. What is written in one call leaves at once.
type Outlet interface {
	io.Writer
	// Hurry leaves who does not read a moment, for what is being written too.
	Hurry()
}

// Audience is who follows a run.
type Audience struct {
	To Outlet
	// Still fails when the caller's token is no longer good.
	Still func(ctx context.Context) error
	// Failure writes the event that tells of one; the id of a task may be empty.
	Failure func(f *fault.Error, taskID string) []byte
}

// Live is a run while it goes on.
//
// The goroutine that calls Serve reads an event and writes it, with nobody between the
// two. A timer looks at the time now and then: it pings, asks for the token, and ends what takes
// too long, by closing the stream that Serve waits for. A goroutine that only waits would
// cost each of hundreds of streams its stack. Whoever ends a run says why, and the first
// reason counts.
type Live struct {
	s      *Service
	stream Stream
	cancel context.CancelFunc // of what the runtime was asked
	closed sync.Once
	own    *begun // nil for who only follows
	log    *slog.Logger

	taskID string
	final  string // the last event after which a run may end
	failed bool   // what that event says
	put    bool   // on record
	runID  string // as it is on record

	out     Audience
	writing sync.Mutex // of To
	began   time.Time
	waiting atomic.Int64 // since when Next waits, from began; negative while it does not
	sent    atomic.Int64 // when something was written last
}

// most is how much is gathered of events that have come together.
const most = 32 << 10

// pingFrame keeps clients and proxies from taking silence for an end.
var pingFrame = []byte("event: ping\n\n")

// Serve passes events on until the run or ctx ends, and gives back what belongs to the
// run. A fault as the cause of ctx's end is told to the client; any other means that there
// is none. It returns what the client was told to have gone wrong, or nil.
func (l *Live) Serve(ctx context.Context, out Audience) (told *fault.Error) {
	l.out, l.began = out, time.Now()
	l.waiting.Store(-1)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(ctx, func() {
		l.out.To.Hurry() // nobody waits any longer for a client that does not read
		l.close()
	})()
	stop := l.watch(ctx, end)
	err := l.pass(ctx, end)
	cause := context.Cause(ctx) // before it ends in any case
	end(nil)
	l.out.To.Hurry()
	stop()
	told = l.judge(cause, err)
	if told != nil {
		l.writing.Lock()
		_, _ = out.To.Write(out.Failure(told, l.taskID))
		l.writing.Unlock()
	}
	l.finish(ctx, cause, cause != nil || !errors.Is(err, io.EOF))
	return told
}

// pass reads and writes events until there are none, or nobody to read them. A panic of a
// runtime's code is told like a failure.
func (l *Live) pass(ctx context.Context, end context.CancelCauseFunc) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.ErrInternal.Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	var gathered *[]byte // nil while nothing is
	send := func(frame []byte) error {
		err := l.write(frame)
		if gathered != nil {
			*gathered = (*gathered)[:0]
			if cap(*gathered) <= 2*most {
				gathering.Put(gathered)
			}
			gathered = nil
		}
		if err != nil {
			end(err)
		}
		return err
	}
	events := 0
	defer func() { trace.Of(ctx).Events(events) }()
	for {
		l.waiting.Store(int64(time.Since(l.began)))
		event, err := l.stream.Next()
		l.waiting.Store(-1)
		if err != nil {
			if gathered != nil {
				_ = send(*gathered)
			}
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err() // an event that came beside the end is nobody's any more
		}
		events++
		l.note(ctx, event)
		frame := event.Frame
		// What came together leaves together; nothing waits for what has not come.
		more := l.stream.Ready()
		if gathered == nil && more {
			gathered = gathering.Get().(*[]byte)
		}
		if gathered != nil {
			*gathered = append(*gathered, frame...)
			if more && len(*gathered) < most {
				continue
			}
			frame = *gathered
		}
		if err := send(frame); err != nil {
			return err
		}
	}
}

// gathering lends the room for events that leave together: a stream needs it for moments.
var gathering = sync.Pool{New: func() any { b := make([]byte, 0, most); return &b }}

func (l *Live) write(p []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.sent.Store(int64(time.Since(l.began)))
	_, err := l.out.To.Write(p)
	return err
}

// note remembers what an event says of its run, before the client reads it: who knows a
// task may stop it.
func (l *Live) note(ctx context.Context, e Event) {
	if l.taskID == "" {
		l.taskID = e.TaskID
	}
	switch {
	case e.Final():
		l.final, l.failed = e.Name, e.Failed
	case l.own == nil && paused(l.final) && e.Name != "ping":
		l.final = "" // who follows a run past its pauses waits for its end
	}
	if l.own == nil {
		return
	}
	r := &l.own.record
	if r.WorkflowRunID == "" {
		r.WorkflowRunID = e.WorkflowRunID
	}
	switch {
	case r.TaskID == "" && l.taskID != "":
		r.TaskID = l.taskID
		l.put, l.runID = l.own.put(ctx), r.WorkflowRunID
	case l.put && l.runID == "" && r.WorkflowRunID != "":
		l.runID = r.WorkflowRunID
		if err := l.s.settle(ctx, *r, Running, l.s.Now()); err != nil {
			l.log.Warn("a run's id is not on record", slog.String("error", err.Error()))
		}
	}
}

// judge says what a client is to be told of how a stream ended, nil for nothing: after its
// last event a run is over, whatever became of the connection.
func (l *Live) judge(cause, err error) *fault.Error {
	if cause != nil {
		if f, ok := errors.AsType[*fault.Error](cause); ok && l.final == "" {
			return f
		}
		return nil
	}
	switch {
	case l.final != "":
		return nil
	case errors.Is(err, io.EOF):
		return ErrUnavailable.Because(errors.New("run: the stream ended without a last event"))
	}
	return fault.Of(err)
}

// close ends the runtime's connection.
func (l *Live) close() {
	l.closed.Do(func() {
		l.cancel()
		_ = l.stream.Close()
	})
}

// finish gives back what belongs to the run. What was cut is the runtime's to stop: nobody
// waits for it any more. A stream that the runtime itself has ended is over there too.
func (l *Live) finish(ctx context.Context, cause error, cut bool) {
	l.close()
	if l.own == nil {
		return
	}
	l.s.Ended(l.own.record.Mode, l.end(cause))
	if cut && l.final == "" && l.taskID != "" && !l.s.Bounds.KeepOnLeave {
		l.s.leave(l.stop)
	}
	l.own.slot.free()
	if l.taskID == "" {
		return
	}
	status := l.status(cause)
	if l.put {
		l.settle(ctx, status)
		return
	}
	// A record that failed at the first event may succeed now: a run that has paused can be
	// gone on with.
	r := &l.own.record
	r.Status = status
	if status != Paused {
		at := l.s.Now()
		r.FinishedAt = &at
	}
	l.own.put(ctx)
}

func (l *Live) status(cause error) Status {
	switch {
	case paused(l.final):
		return Paused
	case l.failed || l.final == "error":
		return Failed
	case l.final != "":
		return Finished
	case cause != nil:
		return Stopped
	}
	return Failed
}

func paused(event string) bool { return event == "workflow_paused" || event == "human_input_required" }

// settle writes down how a run ended. Where the database does not answer, such as in a
// failover, somebody goes on trying that nobody waits for: nothing else would ever end the
// record.
func (l *Live) settle(ctx context.Context, status Status) {
	record, at := l.own.record, l.s.Now()
	err := l.s.settle(ctx, record, status, at)
	if err == nil {
		return
	}
	s, log := l.s, l.log
	s.leave(func() {
		for _, wait := range settleAgain {
			select {
			case <-time.After(wait):
			case <-s.closing:
			}
			if err = s.settle(context.Background(), record, status, at); err == nil {
				return
			}
			if s.closed() {
				break
			}
		}
		log.Warn("how a run ended is not on record", slog.String("status", string(status)), slog.String("error", err.Error()))
	})
}

// settleAgain is what lies between the tries: some five minutes in all, in which a database
// fails over or restarts.
var settleAgain = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 90 * time.Second, 90 * time.Second}

func (s *Service) settle(ctx context.Context, r Record, status Status, at time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	return s.Store.Settle(ctx, r.ID, r.WorkflowRunID, status, at)
}

// stopLimit is by when a runtime has been told to stop.
const stopLimit = 2 * time.Second

// stop tells the runtime that nobody waits for its work any more, once. Dify goes on with
// a run whose connection has ended.
func (l *Live) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if err := l.own.runtime.Stop(ctx, l.own.target, l.taskID, l.own.request.User); err != nil {
		l.log.Warn("a runtime was not stopped whose client has left", slog.String("error", fault.Of(err).Error()))
	}
}
