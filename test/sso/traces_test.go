// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// span is what is read of one; its decoding in full is test/deploy/traces'.
type span struct {
	TraceID, SpanID, ParentSpanID, Name, service string
	Attributes                                   []struct {
		Key   string
		Value struct{ StringValue string }
	}
}

func (s span) attempt() string {
	for _, a := range s.Attributes {
		if a.Key == "dify_sso.attempt" {
			return a.Value.StringValue
		}
	}
	return ""
}

// spans is a collector of both services' traces.
type spans struct {
	*httptest.Server
	mu  sync.Mutex
	all []span
	raw strings.Builder
}

func collect(t *testing.T) *spans {
	c := &spans{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var sent struct {
			ResourceSpans []struct {
				Resource   span
				ScopeSpans []struct{ Spans []span }
			}
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &sent)
		}
		if err != nil {
			t.Error(err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		_, _ = c.raw.Write(body)
		for _, of := range sent.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				for _, s := range scope.Spans {
					s.service = of.Resource.Attributes[0].Value.StringValue
					c.all = append(c.all, s)
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// until waits for a span of a service.
func (c *spans) until(t *testing.T, service, name string) span {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c.mu.Lock()
		i := slices.IndexFunc(c.all, func(s span) bool { return s.service == service && s.Name == name })
		var found span
		if i >= 0 {
			found = c.all[i]
		}
		c.mu.Unlock()
		if i >= 0 {
			return found
		}
		if time.Now().After(deadline) {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, s := range c.all {
				t.Logf("%s %s", s.service, s.Name)
			}
			t.Fatalf("no span %s of %s", name, service)
		}
	}
}

func (c *spans) parent(of span) (found span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all {
		if s.SpanID == of.ParentSpanID {
			found = s
		}
	}
	return found
}

func TestTraces(t *testing.T) {
	t.Parallel()
	c := collect(t)
	settings := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL}
	in, _ := one(t, plan{core: settings, bridge: settings}, nil)
	w, b := in.client("alice's laptop"), newBrowser(t)
	w.arrive(b).must(http.StatusOK, "Alice Liddell").submit("approve-external").must(http.StatusOK, "")
	token := w.token().AccessToken

	begun := c.until(t, "sso-bridge", "POST /inner/api/sso/login-attempts")
	t.Run("what core asks of the bridge is one trace in both", func(t *testing.T) {
		call := c.parent(begun)
		if call.service != "core" || call.Name != "POST peer" || call.TraceID != begun.TraceID {
			t.Fatalf("the parent of %+v is %+v", begun, call)
		}
		root := c.parent(call)
		if root.service != "core" || root.TraceID != begun.TraceID || root.ParentSpanID != "" {
			t.Errorf("its parent is %+v", root)
		}
	})
	t.Run("what the browser carries is joined by the attempt", func(t *testing.T) {
		callback := c.until(t, "sso-bridge", "GET /sso/oidc/callback/:connection")
		if callback.attempt() == "" || callback.attempt() != begun.attempt() || callback.TraceID == begun.TraceID {
			t.Errorf("%+v and %+v", callback, begun)
		}
	})
	t.Run("a provider is a span of the bridge", func(t *testing.T) {
		if asked := c.until(t, "sso-bridge", "POST idp"); c.parent(asked).service != "sso-bridge" {
			t.Errorf("%+v", asked)
		}
	})
	t.Run("no secret and no name of a person is in a span", func(t *testing.T) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, shape := range []string{token[5:], "dfoe_", "eyJ", "alice", "corp.test", w.auth.UserCode, w.auth.DeviceCode} {
			if strings.Contains(c.raw.String(), shape) {
				t.Errorf("%s is in a span", shape)
			}
		}
	})
}
