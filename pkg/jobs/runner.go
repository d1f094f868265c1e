// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"runtime/debug"
	"time"
)

const (
	// leaseLife is how long a holder that died keeps others out.
	leaseLife = time.Minute
	// renewEvery lets some renewals fail before the holder stops.
	renewEvery = leaseLife / 4
	// renewWithin bounds one try, so that a store that hangs is noticed.
	renewWithin = leaseLife / 12
	// sureFor is how long after its last renewal a holder works on: the rest of the
	// lease is for what is under way and for clocks that differ.
	sureFor = leaseLife / 2

	// firstAfter keeps the start free of work; as much again is drawn by chance, so
	// that processes that start together do not ask together.
	firstAfter = time.Minute
	// retryAfter is the pause after a failure, whoever tries next.
	retryAfter = 5 * time.Minute
	// asks is how often within a job's interval the others look whether it is due.
	asks = 48
	// settleWithin bounds what is written about a turn after it.
	settleWithin = 5 * time.Second
)

var (
	// ErrHeld: another process is at it, or has done it and it is not due yet.
	ErrHeld = errors.New("jobs: another process holds the lease")
	// ErrLost: the lease could not be renewed, and the work was stopped.
	ErrLost = errors.New("jobs: the lease was lost")
)

// Work does something until it is done or ctx ends, and gives the number of rows that
// it dealt with, those before a failure included.
type Work func(ctx context.Context) (rows int64, err error)

// Job is work that is due again and again.
type Job struct {
	// Name is that of the lease, such as prune.tokens.
	Name string
	// Every is the least time between two ends of it in the whole installation.
	Every time.Duration
	Do    Work
}

// Outcome is how a turn of a job ended here.
type Outcome string

// The outcomes.
const (
	Done   Outcome = "done"
	Failed Outcome = "failed"
	Lost   Outcome = "lost"
)

// Runner does jobs, each on one process of all that share the leases. All fields but
// Report and Jitter are required.
type Runner struct {
	Leases Leases
	// Owner tells this process from the others; see NewOwner.
	Owner string
	Now   func() time.Time
	Log   *slog.Logger
	// Report hears of every turn that was taken here.
	Report func(job string, o Outcome, rows int64)
	// Jitter gives a time from 0 to below most; nil draws one.
	Jitter func(most time.Duration) time.Duration
}

// NewOwner draws a name that no other process has, nor this one after a restart.
func NewOwner() string { return rand.Text() }

// Worker does a job whenever it is due until ctx ends. Who has done it keeps the lease
// until it is due again, so neither another process nor a restart does it early; who
// failed keeps it for a pause, and who was stopped gives it back.
func (r *Runner) Worker(j Job) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		for wait := firstAfter + r.jitter(firstAfter); pause(ctx, wait); {
			wait = r.turn(ctx, j)
		}
		return nil
	}
}

// turn tries the job once and gives the time to the next try.
func (r *Runner) turn(ctx context.Context, j Job) time.Duration {
	began, ask := r.Now(), j.Every/asks
	rows, err := r.hold(ctx, j.Name, j.Do)
	line := []any{slog.String("job", j.Name), slog.Int64("rows", rows), slog.Duration("took", r.Now().Sub(began))}
	switch {
	case errors.Is(err, ErrHeld):
		return ask + r.jitter(ask)
	case err != nil && ctx.Err() != nil:
		r.Log.Info("a job was stopped", line...)
		_ = r.release(ctx, j.Name) // else the lease lapses by itself
		return 0
	case errors.Is(err, ErrLost):
		r.Log.Warn("a job was stopped: its lease could not be renewed", line...)
		r.report(j.Name, Lost, rows)
		return ask + r.jitter(ask)
	case err != nil:
		r.Log.Warn("a job failed and is tried again", append(line, slog.String("error", err.Error()))...)
		r.report(j.Name, Failed, rows)
		r.keep(ctx, j.Name, retryAfter)
		return retryAfter + r.jitter(retryAfter)
	}
	r.Log.Info("a job is done", line...)
	r.report(j.Name, Done, rows)
	r.keep(ctx, j.Name, j.Every)
	return j.Every + r.jitter(ask)
}

// Once does work under a lease and gives the lease back. It returns ErrHeld when
// another process has it and ErrLost when the work was stopped for its loss.
func (r *Runner) Once(ctx context.Context, name string, work Work) (rows int64, err error) {
	rows, err = r.hold(ctx, name, work)
	if !errors.Is(err, ErrHeld) && !errors.Is(err, ErrLost) {
		_ = r.release(ctx, name) // else it lapses by itself
	}
	return rows, err
}

// hold takes the lease, lets work run and renews meanwhile. Work that goes on without
// the lease is stopped.
func (r *Runner) hold(ctx context.Context, name string, work Work) (int64, error) {
	renewed := r.Now()
	fence, ok, err := r.Leases.Take(ctx, name, r.Owner, renewed, leaseLife)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, ErrHeld
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	type end struct {
		rows int64
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		rows, err := safely(ctx, work)
		ended <- end{rows, err}
	}()
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case e := <-ended:
			if e.err != nil && errors.Is(context.Cause(ctx), ErrLost) {
				e.err = ErrLost // not what the work made of it
			}
			return e.rows, e.err
		case <-tick.C:
			now := r.Now()
			switch mine, err := r.renew(ctx, name, fence, now); {
			case err == nil && mine:
				renewed = now
			case err == nil, now.Sub(renewed) >= sureFor:
				stop(ErrLost)
			}
		}
	}
}

// renew reports whether the lease is still this holder's: another fence means that it
// was somebody else's in between.
func (r *Runner) renew(ctx context.Context, name string, fence int64, now time.Time) (mine bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, renewWithin)
	defer cancel()
	got, ok, err := r.Leases.Take(ctx, name, r.Owner, now, leaseLife)
	return ok && got == fence, err
}

// keep holds the lease for longer than the work took, so that nobody repeats it. A
// failure means no more than that somebody may.
func (r *Runner) keep(ctx context.Context, name string, life time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
	defer cancel()
	if _, _, err := r.Leases.Take(ctx, name, r.Owner, r.Now(), life); err != nil {
		r.Log.Warn("the lease of a job could not be kept until it is due", slog.String("job", name), slog.String("error", err.Error()))
	}
}

func (r *Runner) release(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
	defer cancel()
	return r.Leases.Release(ctx, name, r.Owner, r.Now())
}

func (r *Runner) report(job string, o Outcome, rows int64) {
	if r.Report != nil {
		r.Report(job, o, rows)
	}
}

func (r *Runner) jitter(most time.Duration) time.Duration {
	if r.Jitter != nil {
		return r.Jitter(most)
	}
	if most <= 0 {
		return 0
	}
	return mathrand.N(most) //nolint:gosec // spreads work, keeps no secret
}

// safely runs work; its panic is its failure, for nothing else covers its goroutine.
func safely(ctx context.Context, work Work) (rows int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return work(ctx)
}

// pause waits and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
