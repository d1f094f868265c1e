// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Other stands for every value that a Label does not list, so that no mistake of ours and
// nothing that a stranger sends makes another series.
const Other = "other"

// Label is a label and every value that it takes.
type Label struct {
	Name   string
	Values []string
}

func (l Label) of(value string) string {
	if slices.Contains(l.Values, value) {
		return value
	}
	return Other
}

func names(labels []Label) []string {
	out := make([]string, len(labels))
	for i, l := range labels {
		out[i] = l.Name
	}
	return out
}

// Counts is a counter of one or two labels. Its series are there with 0 from the start: a
// rate needs the sample before the first event.
type Counts struct {
	labels []Label
	by     map[[2]string]prometheus.Counter
	vec    *prometheus.CounterVec
}

// Counts registers a counter of one or two labels.
func (m *Metrics) Counts(name, help string, labels ...Label) *Counts {
	c := &Counts{
		labels: labels, by: map[[2]string]prometheus.Counter{},
		vec: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: m.service}, names(labels)),
	}
	for _, first := range labels[0].Values {
		if len(labels) == 1 {
			c.by[[2]string{first}] = c.vec.WithLabelValues(first)
			continue
		}
		for _, second := range labels[1].Values {
			c.by[[2]string{first, second}] = c.vec.WithLabelValues(first, second)
		}
	}
	m.Registry.MustRegister(c.vec)
	return c
}

// Add adds to the series of a value, and of a second one where there are two labels.
func (c *Counts) Add(n int, first, second string) {
	if known := c.by[[2]string{first, second}]; known != nil {
		known.Add(float64(n))
		return
	}
	values := []string{c.labels[0].of(first)}
	if len(c.labels) > 1 {
		values = append(values, c.labels[1].of(second))
	}
	c.vec.WithLabelValues(values...).Add(float64(n))
}

// One gives the series of a listed value, for who counts in a hurry.
func (c *Counts) One(value string) prometheus.Counter { return c.by[[2]string{value}] }

// Times is a histogram of two labels. A series is there once something was observed, for
// it is a dozen and a half lines each.
type Times struct {
	first, second Label
	vec           *prometheus.HistogramVec
}

// Times registers a histogram of two labels.
func (m *Metrics) Times(name, help string, buckets []float64, first, second Label) *Times {
	t := &Times{first, second, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, ConstLabels: m.service, Buckets: buckets},
		[]string{first.Name, second.Name})}
	m.Registry.MustRegister(t.vec)
	return t
}

// Of gives the histogram of two values.
func (t *Times) Of(first, second string) prometheus.Observer {
	return t.vec.WithLabelValues(t.first.of(first), t.second.of(second))
}
