// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"
	"time"
)

// Kind says which side of a call a span is, as OTLP counts them.
type Kind int

// The kinds.
const (
	Server Kind = 2
	Client Kind = 3
)

// Span is a stretch of time.
type Span struct {
	Name       string
	Kind       Kind
	ID, Parent [8]byte // a zero Parent is none
	Start, End time.Time
	Attrs      []Attr
	Failed     bool
}

// Attr is a text or, with Number, a whole number.
type Attr struct {
	Key, Text string
	Int       int64
	Number    bool
}

// String gives a text, of at most 256 bytes.
func String(key, value string) Attr {
	const most = 256
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "")
	}
	return Attr{Key: key, Text: value}
}

// Int gives a number.
func Int(key string, value int) Attr { return Attr{Key: key, Int: int64(value), Number: true} }

// Fragment is what one request adds to a trace: its own span, which comes last, and its trips.
type Fragment struct {
	Trace   [16]byte
	Spans   []Span
	Dropped int
}

// Recording reports whether a span of the request is wanted.
func (r *Record) Recording() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.records()
}

// Finish ends the record with the request's own span; what comes after it is not recorded. The
// span takes the reference of the login, the caller and the number of events along.
func (r *Record) Finish(s Span) {
	if r == nil {
		return
	}
	r.mu.Lock()
	if !r.records() {
		r.mu.Unlock()
		return
	}
	r.over = true
	text := func(key, value string) {
		if value != "" {
			s.Attrs = append(s.Attrs, String(key, value))
		}
	}
	text("dify_sso.subject_type", r.subject)
	text("dify_sso.client_id", r.client)
	text("dify_sso.token_id", r.token)
	text("dify_sso.attempt", r.attempt)
	if r.events > 0 {
		s.Attrs = append(s.Attrs, Int("dify_sso.events", r.events))
	}
	s.Kind, s.ID, s.Parent = Server, r.at.Span, r.parent
	f := Fragment{Trace: r.at.Trace, Spans: append(r.spans, s), Dropped: r.dropped}
	r.spans = nil
	r.mu.Unlock()
	r.tracer.Take(f)
}

// Call is a request to somebody else. A nil Call notes nothing.
type Call struct {
	record *Record
	kind   string
	span   Span
	at     Context
	ended  bool
}

// Runtime, Peer and Provider begin a call: of an app's runtime, of the other service, of an
// identity provider. host is where it goes, without a path.
func Runtime(r *Record, method, host string) *Call { return r.call(runtimes, method, host) }

// Peer begins a call of the other service on one of its routes, whose pattern is given.
func Peer(r *Record, method, host string) *Call { return r.call(peers, method, host) }

// Provider begins a call of an identity provider.
func Provider(r *Record, method, host string) *Call { return r.call(idps, method, host) }

func (r *Record) call(kind, method, host string) *Call {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &Call{record: r, kind: kind, at: r.at}
	c.span = Span{Name: method + " " + kind, Kind: Client, Start: time.Now()}
	if r.records() {
		c.span.ID = newSpan()
		c.at.Span = c.span.ID
		c.span.Attrs = []Attr{String("http.request.method", method), String("server.address", host), String("peer.service", kind)}
	}
	return c
}

// Header is the traceparent to send; empty in no trace.
func (c *Call) Header() string {
	if c == nil || !c.at.Valid() {
		return ""
	}
	return c.at.Header()
}

// Answered notes the head of the answer: the time until then is what the log counts.
func (c *Call) Answered(status int) {
	if c == nil {
		return
	}
	took := time.Since(c.span.Start)
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	c.record.count(c.kind, took)
	if status != 0 {
		c.span.Attrs = append(c.span.Attrs, Int("http.response.status_code", status), Int("dify_sso.head_us", int(took.Microseconds())))
		c.span.Failed = status >= 500
	}
}

// End ends the call's span, once.
func (c *Call) End(failed bool) {
	if c == nil {
		return
	}
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	if !c.record.records() || c.span.ID == [8]byte{} {
		return
	}
	c.span.End, c.span.Failed = time.Now(), c.span.Failed || failed
	c.record.keep(c.span)
}

// summary names a statement by what it does to which table, such as SELECT accounts.
func summary(query string) string {
	words := strings.Fields(query[:min(len(query), 2<<10)])
	if len(words) == 0 {
		return "SQL"
	}
	verb := word(strings.ToUpper(words[0]))
	after := map[string]string{"SELECT": "FROM", "DELETE": "FROM", "INSERT": "INTO", "WITH": "FROM", "UPDATE": "UPDATE"}[verb]
	for i, w := range words[:len(words)-1] {
		if after != "" && strings.EqualFold(w, after) {
			if table := word(words[i+1]); table != "" {
				return verb + " " + table
			}
		}
	}
	return verb
}

// word is the letters at the start of w.
func word(w string) string {
	for i := range len(w) {
		if c := w[i] | 0x20; (c < 'a' || c > 'z') && w[i] != '_' {
			return w[:i]
		}
	}
	return w
}
