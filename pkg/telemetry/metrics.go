// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics is one service's own registry.
type Metrics struct {
	Registry *prometheus.Registry
	service  prometheus.Labels // of what both services have
	requests *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	jobs     *prometheus.CounterVec
	jobRows  *prometheus.CounterVec
	stores   map[string][2]prometheus.Observer // by store: of trips that failed, and of the others

	known atomic.Pointer[map[string]*classes]
	grow  sync.Mutex // over known
}

// classes are the histograms of a route, by the first digit of the status.
type classes [6]atomic.Pointer[prometheus.Observer]

// NewMetrics registers the process and HTTP metrics under a service's name.
func NewMetrics(service, version string) *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(), service: prometheus.Labels{"service": service}, stores: map[string][2]prometheus.Observer{},
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dify_sso_http_request_duration_seconds", Help: "Time to answer, by route pattern and status class.",
			ConstLabels: prometheus.Labels{"service": service},
			Buckets:     []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"route", "class"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dify_sso_rate_limited_total", Help: "Calls refused by a rate limit, by policy.",
			ConstLabels: prometheus.Labels{"service": service},
		}, []string{"policy"}),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dify_sso_job_turns_total", Help: "Turns of background jobs that this process took, by outcome.",
			ConstLabels: prometheus.Labels{"service": service},
		}, []string{"task", "outcome"}),
		jobRows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dify_sso_job_rows_total", Help: "Rows that background jobs of this process dealt with.",
			ConstLabels: prometheus.Labels{"service": service},
		}, []string{"task"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dify_sso_build_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"service": service, "version": version},
	})
	build.Set(1)
	m.Registry.MustRegister(m.requests, m.refused, m.jobs, m.jobRows, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts a finished request. Routes are patterns of the route table, so their
// number is bounded, and each is looked up by its labels once.
func (m *Metrics) Observe(route string, status int, took time.Duration) {
	class := min(max(status/100, 0), len(classes{})-1)
	var of *classes
	if known := m.known.Load(); known != nil {
		of = (*known)[route]
	}
	if of == nil {
		of = m.route(route)
	}
	seen := of[class].Load()
	if seen == nil {
		o := m.requests.WithLabelValues(route, strconv.Itoa(class)+"xx")
		seen = &o
		of[class].Store(seen)
	}
	(*seen).Observe(took.Seconds())
}

// route adds a route to those that are known. What is read without a lock is never changed.
func (m *Metrics) route(name string) *classes {
	m.grow.Lock()
	defer m.grow.Unlock()
	more := map[string]*classes{}
	if known := m.known.Load(); known != nil {
		maps.Copy(more, *known)
	}
	if more[name] == nil {
		more[name] = &classes{}
	}
	m.known.Store(&more)
	return more[name]
}

// Refused counts a refusal by a limit.
func (m *Metrics) Refused(policy string) { m.refused.WithLabelValues(policy).Inc() }

// Job counts a turn of a background job and the rows that it dealt with.
func (m *Metrics) Job(job, outcome string, rows int64) {
	m.jobs.WithLabelValues(job, outcome).Inc()
	m.jobRows.WithLabelValues(job).Add(float64(rows))
}

// Gauge registers a value that is read when metrics are.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Counter registers a count from 0 and gives what adds one to it.
func (m *Metrics) Counter(name, help string) (add func()) {
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.Registry.MustRegister(counter)
	return counter.Inc
}
