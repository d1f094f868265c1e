// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Sink appends events to the table.
type Sink interface {
	// Append writes all events or none. One that is there already is no failure: when
	// the answer was lost, all of them come again.
	Append(ctx context.Context, events ...Event) error
}

const (
	flushEvery = time.Second
	flushSize  = 200
	maxQueue   = 20000
	flushLimit = 5 * time.Second
)

// Recorder repeats events in the log and writes those that belong to no
// transaction in batches. It is safe for concurrent use.
type Recorder struct {
	sink Sink
	log  *slog.Logger

	mu      sync.Mutex
	queue   []Event
	dropped int
	lost    uint64 // all that were ever dropped
	wake    chan struct{}
}

// NewRecorder needs both a table and a log.
func NewRecorder(sink Sink, log *slog.Logger) (*Recorder, error) {
	if sink == nil || log == nil {
		return nil, errors.New("audit: a recorder needs a sink and a log")
	}
	return &Recorder{sink: sink, log: log, wake: make(chan struct{}, 1)}, nil
}

// Committed repeats in the log what a transaction has written.
func (r *Recorder) Committed(events ...Event) {
	for _, e := range events {
		r.line(e)
	}
}

// Later logs events at once and queues them for the table. It neither blocks nor
// fails the caller. The queue holds 20 000 events; beyond that the oldest are
// dropped from it (the log has them) and counted.
func (r *Recorder) Later(events ...Event) {
	for _, e := range events {
		r.line(e)
	}
	r.mu.Lock()
	r.push(events)
	full := len(r.queue) >= flushSize
	r.mu.Unlock()
	if full {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

func (r *Recorder) push(events []Event) {
	r.queue = append(r.queue, events...)
	if over := len(r.queue) - maxQueue; over > 0 {
		r.queue = append([]Event(nil), r.queue[over:]...)
		r.dropped += over
		r.lost += uint64(over)
	}
}

// Pending is how many events wait for their batch.
func (r *Recorder) Pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue)
}

// Lost is how many events were dropped from the queue; the log alone has them.
func (r *Recorder) Lost() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// Run writes the queue until ctx ends, then once more.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushLimit)
			defer cancel()
			return r.Flush(last)
		case <-tick.C:
		case <-r.wake:
		}
		try, cancel := context.WithTimeout(ctx, flushLimit)
		if err := r.Flush(try); err != nil && ctx.Err() == nil {
			r.log.Warn("audit events wait for their table", "error", err.Error())
		}
		cancel()
	}
}

// Flush writes what is queued. Events that could not be written stay queued, in
// order.
func (r *Recorder) Flush(ctx context.Context) error {
	r.mu.Lock()
	batch, dropped := r.queue, r.dropped
	r.queue, r.dropped = nil, 0
	r.mu.Unlock()
	if dropped > 0 {
		r.log.Error("audit events dropped from the table's queue; the log has them", "count", dropped)
	}
	defer func() { r.putBack(batch) }() // a sink that panics loses nothing either
	for len(batch) > 0 {
		n := min(flushSize, len(batch))
		if err := r.sink.Append(ctx, batch[:n]...); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// putBack queues again, in front, what was not written.
func (r *Recorder) putBack(batch []Event) {
	if len(batch) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := append(append([]Event(nil), batch...), r.queue...)
	r.queue = nil
	r.push(rest)
}

func (r *Recorder) line(e Event) {
	r.log.LogAttrs(context.Background(), slog.LevelInfo, "audit",
		slog.String("event", e.Name), slog.String("id", e.ID), slog.Time("at", e.At),
		slog.String("actor_type", e.Actor.Type), slog.String("actor_id", e.Actor.ID),
		slog.String("subject_key", e.SubjectKey), slog.String("workspace_id", e.WorkspaceID), slog.String("token_id", e.TokenID),
		slog.String("request_id", e.Request.ID), slog.String("ip", e.Request.IP), slog.String("user_agent", e.Request.UserAgent),
		slog.Any("fields", e.Fields))
}
