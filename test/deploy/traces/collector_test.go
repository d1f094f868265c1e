// SPDX-License-Identifier: Apache-2.0

package traces_test

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"

	tracev1 "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// collector takes OTLP over HTTP in JSON.
type collector struct {
	*httptest.Server
	t *testing.T

	mu    sync.Mutex
	spans []*tracev1.Span
	names map[string]bool // of services
	raw   string
}

// ids are what OTLP writes in hexadecimal where the JSON of protobuf has base64.
var ids = regexp.MustCompile(`"(traceId|spanId|parentSpanId)":"([0-9a-f]*)"`)

func startCollector(t *testing.T) *collector {
	c := &collector{t: t, names: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Tenant") != "a" {
			t.Errorf("%v %s %v", err, r.URL, r.Header)
			return
		}
		strict := ids.ReplaceAllFunc(body, func(m []byte) []byte {
			part := ids.FindSubmatch(m)
			id, err := hex.DecodeString(string(part[2]))
			if err != nil {
				t.Error(err)
			}
			return []byte(`"` + string(part[1]) + `":"` + base64.StdEncoding.EncodeToString(id) + `"`)
		})
		// An ExportTraceServiceRequest is a TracesData, field by field; an unknown one is an error.
		var data tracev1.TracesData
		if err := protojson.Unmarshal(strict, &data); err != nil {
			t.Errorf("%v: %s", err, body)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw += string(body)
		for _, of := range data.ResourceSpans {
			for _, a := range of.Resource.Attributes {
				if a.Key == "service.name" {
					c.names[a.Value.GetStringValue()] = true
				}
			}
			for _, scope := range of.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// roots gives the requests of a route, waiting until there are n.
func (c *collector) roots(n int, name string) (found []*tracev1.Span) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		found = nil
		c.mu.Lock()
		for _, s := range c.spans {
			if s.Name == name && s.Kind == tracev1.Span_SPAN_KIND_SERVER {
				found = append(found, s)
			}
		}
		c.mu.Unlock()
		if len(found) >= n || time.Now().After(deadline) {
			break
		}
	}
	if len(found) != n {
		c.t.Fatalf("%d spans of %s, want %d", len(found), name, n)
	}
	return found
}

// below names the spans of a request, in their order.
func (c *collector) below(root *tracev1.Span) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if string(s.ParentSpanId) != string(root.SpanId) {
			continue
		}
		if string(s.TraceId) != string(root.TraceId) || s.Kind != tracev1.Span_SPAN_KIND_CLIENT || s.StartTimeUnixNano > s.EndTimeUnixNano {
			c.t.Errorf("%v below %v", s, root)
		}
		names = append(names, s.Name)
	}
	return names
}

func attr(s *tracev1.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}
