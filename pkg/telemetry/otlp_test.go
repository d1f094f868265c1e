// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/pkg/trace"
)

// collector answers what a test says, and keeps what it has taken.
type collector struct {
	*httptest.Server
	answer func(n int, w http.ResponseWriter) // nil answers 200 {}

	mu     sync.Mutex
	asked  int
	bodies []string
	last   *http.Request
}

func startCollector(t *testing.T, answer func(n int, w http.ResponseWriter)) *collector {
	c := &collector{answer: answer}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		c.asked++
		n := c.asked
		c.bodies, c.last = append(c.bodies, string(body)), r
		c.mu.Unlock()
		if c.answer != nil {
			c.answer(n, w)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func exporter(t *testing.T, endpoint string, log io.Writer) *telemetry.Exporter {
	t.Helper()
	e, err := telemetry.NewExporter(telemetry.OTLPOptions{
		Endpoint: endpoint, Headers: secret.New("Authorization=Bearer%20canary-key,x-tenant=a"), Service: "core", Version: "1",
		Log: telemetry.NewLogger(log, slog.LevelInfo, "json"), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func fragment(names ...string) trace.Fragment {
	f := trace.Fragment{Trace: [16]byte{1}}
	for i, n := range names {
		f.Spans = append(f.Spans, trace.Span{Name: n, Kind: trace.Client, ID: [8]byte{byte(i + 1)}, Start: time.Unix(1, 5), End: time.Unix(2, 0)})
	}
	return f
}

func TestExporter(t *testing.T) {
	t.Run("a flush sends what waits, with the headers, below the endpoint", func(t *testing.T) {
		c, log := startCollector(t, nil), &bytes.Buffer{}
		e := exporter(t, c.URL+"/tenant/", log)
		e.Take(fragment("a", "b"))
		e.Flush(t.Context())
		if c.times() != 1 || c.last.URL.Path != "/tenant/v1/traces" || c.last.Header.Get("Authorization") != "Bearer canary-key" ||
			c.last.Header.Get("X-Tenant") != "a" || c.last.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%d %v", c.times(), c.last)
		}
		for _, want := range []string{`"traceId":"01000000000000000000000000000000"`, `"spanId":"0100000000000000"`, `"startTimeUnixNano":"1000000005"`, `"kind":3`, `"stringValue":"core"`} {
			if !strings.Contains(c.bodies[0], want) {
				t.Errorf("no %s in %s", want, c.bodies[0])
			}
		}
		if e.Lost() != 0 || log.Len() != 0 {
			t.Error(e.Lost(), log)
		}
		e.Flush(t.Context())
		if c.times() != 1 {
			t.Error("a batch came twice")
		}
	})
	t.Run("503 with Retry-After is tried again, and nothing is lost", func(t *testing.T) {
		c := startCollector(t, func(n int, w http.ResponseWriter) {
			if n == 1 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		e := exporter(t, c.URL, io.Discard)
		e.Take(fragment("a"))
		ctx, end := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = e.Run(ctx) }()
		deadline := time.Now().Add(60 * time.Second)
		for c.times() < 2 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		end()
		<-done
		e.Flush(t.Context())
		if c.times() != 2 || e.Lost() != 0 || c.bodies[0] != c.bodies[1] {
			t.Error(c.times(), e.Lost())
		}
	})
	for name, answer := range map[string]func(n int, w http.ResponseWriter){
		"400":        func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) },
		"a redirect": func(_ int, w http.ResponseWriter) { w.Header().Set("Location", "/elsewhere"); w.WriteHeader(307) },
		"500":        func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		t.Run(""+name+" is final: dropped, counted, told once, without the key", func(t *testing.T) {
			c, log := startCollector(t, answer), &bytes.Buffer{}
			e := exporter(t, c.URL, log)
			e.Take(fragment("a", "b", "c"))
			e.Flush(t.Context())
			if c.times() != 1 || e.Lost() != 3 || strings.Count(log.String(), "spans are lost") != 1 || strings.Contains(log.String(), "canary") || strings.Contains(log.String(), c.URL) {
				t.Error(c.times(), e.Lost(), log)
			}
		})
	}
	t.Run("what a collector rejects of a batch is counted; garbage is no failure", func(t *testing.T) {
		for answer, lost := range map[string]int64{`{"partialSuccess":{"rejectedSpans":"2"}}`: 2, `{"partialSuccess":{"rejectedSpans":1}}`: 1, `<html>`: 0, `{"partialSuccess":{"rejectedSpans":"-4"}}`: 0, "": 0} {
			c := startCollector(t, func(_ int, w http.ResponseWriter) { _, _ = io.WriteString(w, answer) })
			e := exporter(t, c.URL, io.Discard)
			e.Take(fragment("a", "b", "c"))
			e.Flush(t.Context())
			if e.Lost() != lost {
				t.Errorf("%s: %d lost", answer, e.Lost())
			}
		}
	})
	t.Run("a collector that is silent, down or closes: no request waits, memory has a bound, the end too", func(t *testing.T) {
		released := make(chan struct{})
		silent := startCollector(t, func(int, http.ResponseWriter) { <-released })
		t.Cleanup(func() { close(released) })
		port, err := testserver.FreePort("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		nobody := "http://127.0.0.1:" + port
		closing := startCollector(t, func(int, http.ResponseWriter) { panic(http.ErrAbortHandler) })
		for _, endpoint := range []string{silent.URL, closing.URL, nobody} {
			e := exporter(t, endpoint, io.Discard)
			ctx, end := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); _ = e.Run(ctx) }()
			const taken = 20_000
			for range taken { // would not end if one of them waited for the collector
				e.Take(fragment("a"))
			}
			if lost := e.Lost(); lost < taken-2*8192 || lost >= taken {
				t.Errorf("%d of %d lost: the queue has no bound, or no room", lost, taken)
			}
			end()
			<-done
			e.Flush(t.Context()) // ends by itself
			if e.Lost() != taken {
				t.Errorf("%d of %d counted", e.Lost(), taken)
			}
		}
	})
	t.Run("LOG-01 no shape of a secret leaves in a name or a value", func(t *testing.T) {
		c := startCollector(t, nil)
		e := exporter(t, c.URL, io.Discard)
		body := strings.Repeat("A", 43)
		f := fragment("dfoa_" + body)
		f.Spans[0].Attrs = []trace.Attr{trace.String("a", "x dc_"+body), trace.String("b", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ"+body+"."+body), trace.Int("n", 7)}
		e.Take(f)
		e.Flush(t.Context())
		if len(c.bodies) != 1 || strings.Contains(c.bodies[0], body) || strings.Count(c.bodies[0], "[redacted]") != 3 || !json.Valid([]byte(c.bodies[0])) {
			t.Error(c.bodies)
		}
	})
	t.Run("an endpoint, headers or a part that cannot be are refused without being repeated", func(t *testing.T) {
		for _, bad := range []string{"collector:4318", "grpc://collector:4317", "http://u:canary@c", "http://", "http://c?x=canary", "http://c#canary"} {
			if _, err := telemetry.OTLPEndpoint(bad); err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: %v", bad, err)
			}
		}
		for _, bad := range []string{"canary", "=canary", "a b=canary", "a=%zzcanary", "a=canary%0d%0ab", "a:=canary"} {
			if _, err := telemetry.OTLPHeaders(secret.New(bad)); err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: %v", bad, err)
			}
		}
		for _, bad := range []string{"", "-0.1", "1.1", "NaN", "much"} {
			if _, err := telemetry.Ratio(bad); err == nil {
				t.Errorf("%q is a part", bad)
			}
		}
		for _, good := range []string{"0", "1", "0.05"} {
			if _, err := telemetry.Ratio(good); err != nil {
				t.Errorf("%q: %v", good, err)
			}
		}
	})
	t.Run("without an endpoint there is no tracing", func(t *testing.T) {
		off, err := telemetry.NewTracing(telemetry.OTLPOptions{}, "1")
		if err != nil || off != nil || off.Tracer() != nil || off.Lost() != 0 {
			t.Error(off, err)
		}
		off.Flush(t.Context())
	})
}
