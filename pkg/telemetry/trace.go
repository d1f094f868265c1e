// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dify-sso/dify-sso/pkg/trace"
)

// Tracing is what a service records traces by. A nil Tracing records none.
type Tracing struct {
	*Exporter
	tracer *trace.Tracer
}

// NewTracing gives the tracing of a service, or nil without an endpoint. ratio is the text of
// OTEL_TRACES_SAMPLER_ARG.
func NewTracing(o OTLPOptions, ratio string) (*Tracing, error) {
	if o.Endpoint == "" {
		return nil, nil //nolint:nilnil // off is no failure
	}
	part, err := Ratio(ratio)
	if err != nil {
		return nil, err
	}
	e, err := NewExporter(o)
	if err != nil {
		return nil, err
	}
	return &Tracing{Exporter: e, tracer: &trace.Tracer{Ratio: part, Take: e.Take}}, nil
}

// Tracer is what listeners take; nil when tracing is off.
func (t *Tracing) Tracer() *trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// Lost counts the spans that nobody will see; none when tracing is off.
func (t *Tracing) Lost() int64 {
	if t == nil {
		return 0
	}
	return t.Exporter.Lost()
}

// Flush sends what is queued.
func (t *Tracing) Flush(ctx context.Context) {
	if t != nil {
		t.Exporter.Flush(ctx)
	}
}

// SpansDropped registers the count of spans that nobody will see.
func (m *Metrics) SpansDropped(service string, lost func() int64) {
	m.Registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "dify_sso_trace_spans_dropped_total", Help: "Spans that the collector of traces did not take, or for which there was no room.",
		ConstLabels: prometheus.Labels{"service": service},
	}, func() float64 { return float64(lost()) }))
}

// Ratio reads a part of the traces, from 0 to 1.
func Ratio(text string) (float64, error) {
	part, err := strconv.ParseFloat(text, 64)
	if err != nil || !(part >= 0 && part <= 1) { // not a number fails, too
		return 0, strconv.ErrRange
	}
	return part, nil
}
