// SPDX-License-Identifier: Apache-2.0

package egress_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/trace"
)

func TestTracesAndStrangers(t *testing.T) {
	t.Run("a provider is told of no trace, nor of baggage", func(t *testing.T) {
		base, hits, o := peer(t, func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
				if r.Header.Values(name) != nil {
					t.Errorf("sent %v", r.Header)
				}
			}
			json(w, r)
		})
		tracer := &trace.Tracer{Ratio: 1, Take: func(trace.Fragment) {}}
		ctx := new(trace.Carrier).Over(t.Context(), tracer, trace.Context{Trace: [16]byte{1}, Span: [8]byte{1}, Sampled: true})
		c := client(t, o)
		if _, err := c.Get(ctx, base, acceptJSON); err != nil {
			t.Error(err)
		}
		if _, err := c.PostForm(ctx, base, url.Values{"a": {"b"}}, acceptJSON); err != nil {
			t.Error(err)
		}
		if hits.Load() != 2 || trace.Of(ctx).Place().Trace != [16]byte{1} {
			t.Errorf("%d calls", hits.Load())
		}
	})
}
