// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/pkg/trip"
)

// maxSpans bounds what one request keeps until it is over, the span of the request included.
const maxSpans = 128

// Where time goes, as the log names it.
const (
	runtimes = "runtime"
	peers    = "peer" // core or the bridge
	idps     = "idp"
)

var kinds = [...]string{trip.SQL, trip.Redis, runtimes, peers, idps}

// Carrier is a context with its Record in one piece of memory.
type Carrier struct {
	context.Context
	record Record
}

type recordKey struct{}

// Value implements context.Context.
func (c *Carrier) Value(key any) any {
	if key == (recordKey{}) {
		return &c.record
	}
	return c.Context.Value(key)
}

// Over puts c on top of ctx and begins its record. parent is the place of the request in
// somebody's trace, as far as it is believed.
func (c *Carrier) Over(ctx context.Context, t *Tracer, parent Context) context.Context {
	c.Context = ctx
	c.record.begin(t, parent)
	return c
}

// Record gives the record of c.
func (c *Carrier) Record() *Record { return &c.record }

// With gives ctx the record of another one.
func With(ctx context.Context, r *Record) context.Context {
	if r == nil {
		return ctx
	}
	return context.WithValue(ctx, recordKey{}, r)
}

// Of gives the record of a request, or nil outside of one. A nil Record notes nothing.
func Of(ctx context.Context) *Record {
	r, _ := ctx.Value(recordKey{}).(*Record)
	return r
}

// Record is what is noted of a request. It is safe for concurrent use.
type Record struct {
	tracer *Tracer

	mu      sync.Mutex
	at      Context
	parent  [8]byte
	over    bool
	spans   []Span
	dropped int

	subject, client, token, attempt string
	events                          int
	tallies                         [len(kinds)]tally
}

type tally struct {
	n    int
	took time.Duration
}

func (r *Record) begin(t *Tracer, parent Context) {
	r.tracer = t
	switch {
	case t != nil:
		r.at = t.begin()
		r.adopt(parent)
	case parent.Valid():
		r.at = parent
	}
}

func (r *Record) adopt(parent Context) {
	if !parent.Valid() {
		return
	}
	if r.tracer == nil {
		r.at = parent
		return
	}
	r.at.Trace, r.at.Sampled, r.parent = parent.Trace, parent.Sampled, parent.Span
}

// Adopt puts the request into a trace once its sender is known.
func (r *Record) Adopt(parent Context) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.adopt(parent)
}

// Place is where the request is in its trace; not valid when it is in none.
func (r *Record) Place() Context {
	if r == nil {
		return Context{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// Caller notes who asks: a kind of subject, a client's id and the id of a token, which is no
// secret and is not the token. What is empty stays as it was.
func (r *Record) Caller(subject, client, token string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	keep(&r.subject, subject)
	keep(&r.client, client)
	keep(&r.token, token)
}

// Attempt notes the reference of a login at a provider: its requests come from a browser, which
// carries no trace from one to the next.
func (r *Record) Attempt(reference string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	keep(&r.attempt, reference)
}

func keep(to *string, value string) {
	if value != "" {
		*to = value
	}
}

// Events counts events of a stream.
func (r *Record) Events(n int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.events += n
	r.mu.Unlock()
}

// Trip notes a trip to a store. It is a trip.Observer.
func Trip(ctx context.Context, t trip.Trip) {
	r := Of(ctx)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(t.Store, t.Took)
	if !r.records() {
		return
	}
	name := t.Name
	if t.Store == trip.SQL {
		name = summary(t.Name)
	}
	r.keep(Span{
		Name: name, Kind: Client, ID: newSpan(), Start: t.Start, End: t.Start.Add(t.Took), Failed: t.Err != nil,
		Attrs: []Attr{String("db.system.name", t.System), String("db.query.summary", name)},
	})
}

func (r *Record) count(kind string, took time.Duration) {
	for i, k := range kinds {
		if k == kind {
			r.tallies[i].n++
			r.tallies[i].took += took
		}
	}
}

func (r *Record) records() bool { return r.tracer != nil && r.at.Sampled && !r.over }

func (r *Record) keep(s Span) {
	if len(r.spans) >= maxSpans-1 {
		r.dropped++
		return
	}
	s.Parent = r.at.Span
	r.spans = append(r.spans, s)
}

// Fields appends what the request's line in the log says.
func (r *Record) Fields(to []slog.Attr) []slog.Attr {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := func(key, value string) {
		if value != "" {
			to = append(to, slog.String(key, value))
		}
	}
	text("subject_type", r.subject)
	text("client_id", r.client)
	text("token_id", r.token)
	text("attempt", r.attempt)
	for i, t := range r.tallies {
		if t.n > 0 {
			to = append(to, slog.Int(kinds[i]+"_trips", t.n), slog.Float64(kinds[i]+"_ms", float64(t.took.Microseconds())/1000))
		}
	}
	if r.events > 0 {
		to = append(to, slog.Int("events", r.events))
	}
	if r.at.Valid() {
		place := r.at.Header()
		to = append(to, slog.String("trace_id", place[3:35]), slog.String("span_id", place[36:52]))
	}
	return to
}
