// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dify-sso/dify-sso/pkg/trip"
)

// Stores registers dify_sso_store_seconds for the stores that a service asks over trips:
// what is kept in the memory of the process has none. Trip counts them.
func (m *Metrics) Stores(stores ...string) {
	outcome := Label{"outcome", []string{"ok", "failed"}}
	times := m.Times("dify_sso_store_seconds", "Time of a trip to a store. What a caller gave up is not counted.",
		[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 2.5}, Label{"store", stores}, outcome)
	for _, s := range stores {
		m.stores[s] = [2]prometheus.Observer{times.Of(s, "failed"), times.Of(s, "ok")}
	}
}

// Trip implements trip.Observer.
func (m *Metrics) Trip(_ context.Context, t trip.Trip) {
	of, known := m.stores[t.Store]
	if !known || errors.Is(t.Err, context.Canceled) {
		return
	}
	if t.Err != nil {
		of[0].Observe(t.Took.Seconds())
		return
	}
	of[1].Observe(t.Took.Seconds())
}

// Pool is what a store's connections are at a moment, by state.
type Pool map[string]int

// Pools registers dify_sso_store_connections. Each function tells of one store.
func (m *Metrics) Pools(of map[string]func() Pool) {
	m.Registry.MustRegister(pools{prometheus.NewDesc("dify_sso_store_connections",
		"Connections to a store, by state: open, in_use, idle; max is the most that there may be, for redis to one server.", []string{"store", "state"}, m.service), of})
}

// pools is a prometheus.Collector.
type pools struct {
	desc *prometheus.Desc
	of   map[string]func() Pool
}

// Describe implements prometheus.Collector.
func (p pools) Describe(to chan<- *prometheus.Desc) { to <- p.desc }

// Collect implements prometheus.Collector.
func (p pools) Collect(to chan<- prometheus.Metric) {
	for store, read := range p.of {
		for state, n := range read() {
			to <- prometheus.MustNewConstMetric(p.desc, prometheus.GaugeValue, float64(n), store, state)
		}
	}
}
