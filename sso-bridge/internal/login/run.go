// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/pkg/trace"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// noteLimit bounds the writing of a failure, which goes on when its request has ended.
const noteLimit = 5 * time.Second

// run is one request's work on one attempt.
type run struct {
	s       *Service
	ctx     context.Context
	visitor Visitor
	attempt Attempt
	step    string
	since   time.Time
	// of is the attempt whose repeat this is, for a replay.
	of Attempt
}

func (s *Service) run(ctx context.Context, step string, v Visitor) *run {
	return &run{s: s, ctx: ctx, visitor: v, step: step, since: s.Now()}
}

// next ends a step well and begins another.
func (r *run) next(step string) {
	r.done(true)
	r.step = step
}

// done notes the step in the trace.
func (r *run) done(ok bool) {
	now := r.s.Now()
	r.attempt.Trace.Steps = append(r.attempt.Trace.Steps, Step{Name: r.step, Milliseconds: float64(now.Sub(r.since).Microseconds()) / 1000, OK: ok})
	r.since = now
}

// fail ends the attempt: row, audit and log carry one reference and one code. A store
// that is down changes nothing for the person; the log says that the row lacks its end.
func (r *run) fail(f *failure.Error) {
	r.done(false)
	a := &r.attempt
	a.Code, a.Public = f.Code, f.Public
	a.Trace.Expected, a.Trace.Got = f.Expected, f.Got
	r.notedVisitor()
	now := r.s.Now()
	a.FinishedAt = &now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), noteLimit)
	defer cancel()
	if a.Connection != "" {
		if good, err := r.s.Attempts.LastGood(ctx, a.Connection); err == nil {
			a.Trace.LastGood = &LastGood{Reference: good.Reference, Diff: differences(good, *a, factsOf(f))}
		}
	}
	r.log(ctx, f)
	events := []audit.Details{r.failed(f)}
	switch f.Code {
	case failure.SAMLReplay:
		events = append(events, replayRefused{Attempt: a.Reference})
	case failure.SAMLWeakAlgorithm:
		facts := factsOf(f)
		events = append(events, weakAlgorithmRefused{Attempt: a.Reference, Connection: a.Connection, Algorithm: facts["algorithm"], KeyBits: facts["key_bits"]})
	}
	if err := r.move(ctx, StateFailed, events...); err != nil {
		r.unnoted(ctx, err)
	}
}

// stray notes a failure that ends no attempt, under a reference of its own, and gives
// the reference. It has no connection; of a replay it has the intent, by which its page
// knows where to begin again.
func (r *run) stray(f *failure.Error) (reference string) {
	r.done(false)
	now := r.s.Now()
	known := r.attempt // what was found out before, if anything
	r.attempt = Attempt{
		ID: canon.NewID(), Reference: ssocode.NewReference(), Intent: cmpOr(known.Intent, r.of.Intent), State: StateFailed, Code: f.Code, Public: f.Public,
		CreatedAt: now, ExpiresAt: now, FinishedAt: &now, Trace: Trace{RequestID: audit.RequestOf(r.ctx).ID, Expected: f.Expected, Got: f.Got},
	}
	if len(known.Trace.Steps) > 0 {
		r.attempt.Trace.Steps = known.Trace.Steps[len(known.Trace.Steps)-1:]
	}
	r.attempt.Trace.ResponseBytes = known.Trace.ResponseBytes
	r.notedVisitor()
	trace.Of(r.ctx).Attempt(r.attempt.Reference)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), noteLimit)
	defer cancel()
	r.log(ctx, f)
	events := []audit.Event{audit.New(ctx, now, audit.Anonymous, r.failed(f))}
	if f.Code == failure.AttemptAlreadyUsed {
		events = append(events, audit.New(ctx, now, audit.Anonymous, replayRefused{
			Attempt: r.attempt.Reference, Of: r.of.Reference, FirstAt: r.of.Trace.ReturnedAt,
		}))
	}
	if err := r.s.Attempts.Create(ctx, r.attempt, events...); err != nil {
		r.unnoted(ctx, err)
		return r.attempt.Reference
	}
	r.s.Recorder.Committed(events...)
	return r.attempt.Reference
}

func cmpOr(a, b connection.Intent) connection.Intent {
	if a != "" {
		return a
	}
	return b
}

func (r *run) notedVisitor() {
	t := &r.attempt.Trace
	if b := browserOf(r.visitor.UserAgent); b != nil {
		t.Browser = b
	}
	if n := NetworkOf(r.visitor.Address); n != "" {
		t.Address = n
	}
}

// failed gives the event. Facts are those of the catalogue, so that no provider's text
// comes in by another name.
func (r *run) failed(f *failure.Error) attemptFailed {
	return attemptFailed{
		Attempt: r.attempt.Reference, Connection: r.attempt.Connection, Revision: r.attempt.Revision, Intent: string(r.attempt.Intent),
		Step: r.step, Code: string(f.Code), Public: string(f.Public), Expected: f.Expected, Got: f.Got, Facts: factsOf(f),
	}
}

func factsOf(f *failure.Error) map[string]string {
	e, _ := failure.About(f.Code)
	facts := map[string]string{}
	for _, name := range e.Fields {
		if v, ok := f.Facts[name]; ok {
			facts[name] = v
		}
	}
	return facts
}

func (r *run) log(ctx context.Context, f *failure.Error) {
	a := r.attempt
	attrs := []slog.Attr{
		slog.String("attempt", a.Reference), slog.String("connection", a.Connection), slog.String("revision", short(a.Revision)),
		slog.String("step", r.step), slog.String("code", string(f.Code)), slog.String("public_code", string(f.Public)),
	}
	if f.Expected != "" || f.Got != "" {
		attrs = append(attrs, slog.String("expected", f.Expected), slog.String("got", f.Got))
	}
	facts := factsOf(f)
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		attrs = append(attrs, slog.String("fact_"+name, facts[name]))
	}
	if cause := errors.Unwrap(f); cause != nil {
		attrs = append(attrs, slog.String("error", cause.Error()))
	}
	r.s.Log.LogAttrs(ctx, logLevel(f), "sign-in refused", attrs...)
}

// unnoted says in the log that a reference will not explain itself.
func (r *run) unnoted(ctx context.Context, err error) {
	r.s.Log.LogAttrs(ctx, slog.LevelError, "the end of an attempt was not written; this log has it",
		slog.String("attempt", r.attempt.Reference), slog.String("error", err.Error()))
}

// guarded turns a defect into a refusal: a claimed attempt has no second try, so its
// person needs an answer with a reference.
func guarded(act func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value may hold what came; its type and the stack do not.
			err = failure.New(failure.Internal).Because(fmt.Errorf("panic of type %T\n%s", p, debug.Stack()))
		}
	}()
	return act()
}
