// SPDX-License-Identifier: Apache-2.0

package trace_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/trace"
	"github.com/dify-sso/dify-sso/pkg/trip"
)

const given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestTraceparent(t *testing.T) {
	t.Run("what is read is what is sent", func(t *testing.T) {
		for _, header := range []string{given, strings.TrimSuffix(given, "1") + "0"} {
			c, ok := trace.Parse(header)
			if !ok || c.Header() != header || c.Sampled != strings.HasSuffix(header, "1") {
				t.Errorf("%q became %q %t", header, c.Header(), ok)
			}
		}
	})
	t.Run("a later version is read as far as this one goes", func(t *testing.T) {
		if c, ok := trace.Parse("cc" + given[2:] + "-what-will-come"); !ok || c.Header() != given {
			t.Error(c, ok)
		}
	})
	for _, bad := range []string{
		"", "00", given[1:], given + "x", given + "-x", strings.ToUpper(given), "ff" + given[2:], "zz" + given[2:], "cc" + given[2:] + "x",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		strings.Replace(given, "-", "_", 1), "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", given[:54] + "x",
	} {
		if c, ok := trace.Parse(bad); ok {
			t.Errorf("%q is taken as %v", bad, c)
		}
	}
}

// taken runs do under a record, ends it and gives its fragments.
func taken(tracer *trace.Tracer, parent trace.Context, do func(ctx context.Context, r *trace.Record)) (got []trace.Fragment) {
	if tracer != nil {
		tracer.Take = func(f trace.Fragment) { got = append(got, f) }
	}
	var carrier trace.Carrier
	ctx := carrier.Over(context.Background(), tracer, parent)
	do(ctx, trace.Of(ctx))
	now := time.Now()
	carrier.Record().Finish(trace.Span{Name: "GET /x", Start: now, End: now})
	return got
}

func line(r *trace.Record) string {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).LogAttrs(context.Background(), slog.LevelInfo, "x", r.Fields(nil)...)
	return b.String()
}

func TestRecord(t *testing.T) {
	ask := func(ctx context.Context, r *trace.Record) {
		trace.Trip(ctx, trip.Trip{Store: trip.SQL, System: "sqlite", Name: "SELECT a FROM accounts WHERE a = $1", Start: time.Now(), Took: time.Millisecond})
		trace.Trip(ctx, trip.Trip{Store: trip.SQL, System: "sqlite", Name: "COMMIT", Start: time.Now(), Took: time.Millisecond, Err: context.Canceled})
		r.Caller("account", "", "")
		r.Caller("", "difyctl", "an-id")
		r.Attempt("ref")
		r.Events(3)
		call := trace.Runtime(r, "POST", "runtime.example")
		call.Answered(200)
		call.End(false)
		call.End(true)
	}
	const told = "subject_type=account client_id=difyctl token_id=an-id attempt=ref sql_trips=2 sql_ms=2 runtime_trips=1"
	t.Run("one tree: the request and its trips, in one trace", func(t *testing.T) {
		got := taken(&trace.Tracer{Ratio: 1}, trace.Context{}, func(ctx context.Context, r *trace.Record) {
			ask(ctx, r)
			if l := line(r); !strings.Contains(l, told) || !strings.Contains(l, "events=3") || !strings.Contains(l, "trace_id=") {
				t.Error(l)
			}
		})
		if len(got) != 1 || len(got[0].Spans) != 4 {
			t.Fatalf("%+v", got)
		}
		spans := got[0].Spans
		root := spans[3]
		if root.Kind != trace.Server || root.Parent != [8]byte{} || root.Failed {
			t.Errorf("%+v", root)
		}
		for i, name := range []string{"SELECT accounts", "COMMIT", "POST runtime"} {
			if s := spans[i]; s.Name != name || s.Parent != root.ID || s.Kind != trace.Client || s.Failed != (name == "COMMIT") || s.ID == root.ID {
				t.Errorf("%+v", s)
			}
		}
	})
	t.Run("somebody's trace is continued, and what they decided holds", func(t *testing.T) {
		parent, _ := trace.Parse(given)
		got := taken(&trace.Tracer{}, parent, ask)
		if len(got) != 1 || got[0].Trace != parent.Trace || got[0].Spans[3].Parent != parent.Span {
			t.Errorf("%+v", got)
		}
		parent.Sampled = false
		if got := taken(&trace.Tracer{Ratio: 1}, parent, ask); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("one that is known later takes along what there is", func(t *testing.T) {
		parent, _ := trace.Parse(given)
		got := taken(&trace.Tracer{Ratio: 1}, trace.Context{}, func(ctx context.Context, r *trace.Record) {
			ask(ctx, r)
			r.Adopt(trace.Context{}) // is none
			r.Adopt(parent)
		})
		if len(got) != 1 || got[0].Trace != parent.Trace || got[0].Spans[3].Parent != parent.Span || got[0].Spans[0].Parent != got[0].Spans[3].ID {
			t.Errorf("%+v", got)
		}
	})
	t.Run("off: nothing is recorded, the line says the rest, and a trace is passed on", func(t *testing.T) {
		parent, _ := trace.Parse(given)
		for _, p := range []trace.Context{{}, parent} {
			got := taken(nil, p, func(ctx context.Context, r *trace.Record) {
				ask(ctx, r)
				if l := line(r); !strings.Contains(l, told) || strings.Contains(l, "trace_id=4bf92f3577b34da6a3ce929d0e0e4736") != p.Valid() || strings.Contains(l, "trace_id") != p.Valid() {
					t.Error(l)
				}
				want := ""
				if p.Valid() {
					want = given
				}
				if h := trace.Runtime(r, "GET", "h").Header(); h != want {
					t.Errorf("passed on: %q", h)
				}
			})
			if len(got) != 0 {
				t.Errorf("%+v", got)
			}
		}
	})
	t.Run("a request keeps 128 spans and counts the others", func(t *testing.T) {
		got := taken(&trace.Tracer{Ratio: 1}, trace.Context{}, func(ctx context.Context, _ *trace.Record) {
			for range 1000 {
				trace.Trip(ctx, trip.Trip{Store: trip.Redis, Name: "get"})
			}
		})
		if len(got) != 1 || len(got[0].Spans) != 128 || got[0].Dropped != 1000-127 {
			t.Errorf("%d spans, %d dropped", len(got[0].Spans), got[0].Dropped)
		}
	})
	t.Run("a part of the traces", func(t *testing.T) {
		const all = 4000
		for ratio, within := range map[float64][2]int{0: {0, 0}, .25: {800, 1200}, 1: {all, all}} {
			n := 0
			for range all {
				n += len(taken(&trace.Tracer{Ratio: ratio}, trace.Context{}, func(context.Context, *trace.Record) {}))
			}
			if n < within[0] || n > within[1] {
				t.Errorf("%v: %d of %d", ratio, n, all)
			}
		}
	})
	t.Run("outside of a request nothing is noted", func(t *testing.T) {
		ask(t.Context(), trace.Of(t.Context()))
		trace.Of(t.Context()).Finish(trace.Span{})
	})
	t.Run("a request that asks nobody costs one allocation, which it had before", func(t *testing.T) {
		n := testing.AllocsPerRun(200, func() {
			carrier := &trace.Carrier{}
			ctx := carrier.Over(context.Background(), nil, trace.Context{})
			trace.Of(ctx).Caller("account", "difyctl", "id")
			trace.Trip(ctx, trip.Trip{Store: trip.Redis, Name: "evalsha"})
		})
		if n > 1 {
			t.Errorf("%v allocations", n)
		}
	})
	t.Run("a statement is named by verb and table", func(t *testing.T) {
		for query, want := range map[string]string{
			"": "SQL", "BEGIN": "BEGIN", "SELECT 1": "SELECT", "\n\tselect x from tokens t": "SELECT tokens", "INSERT INTO audit_events (a) VALUES ($1)": "INSERT audit_events",
			"UPDATE accounts SET a = $1": "UPDATE accounts", "DELETE FROM fences WHERE x": "DELETE fences", "WITH gone AS (SELECT a FROM b)": "WITH b",
			"SELECT a FROM (SELECT 'secret')": "SELECT", "SELECT 'x' FROM": "SELECT",
		} {
			got := taken(&trace.Tracer{Ratio: 1}, trace.Context{}, func(ctx context.Context, _ *trace.Record) {
				trace.Trip(ctx, trip.Trip{Store: trip.SQL, Name: query})
			})
			if name := got[0].Spans[0].Name; name != want {
				t.Errorf("%q is called %q, want %q", query, name, want)
			}
		}
	})
}
