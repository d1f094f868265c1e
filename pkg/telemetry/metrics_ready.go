// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// readyAge is for how long an answer serves: whoever reads metrics often does not ask
	// the stores often.
	readyAge = 10 * time.Second
	// readyWait is the longest that a scrape waits for the checks. Prometheus gives a scrape
	// up after ten seconds, and then everything else would be missing too.
	readyWait = 2 * time.Second
)

// Ready registers dify_sso_ready. ask says of each check whether it is well, and ends with
// its context. Until it has answered, every check of names is not.
func (m *Metrics) Ready(names []string, ask func(ctx context.Context) map[string]bool) {
	m.Registry.MustRegister(&readiness{
		desc:  prometheus.NewDesc("dify_sso_ready", "1 for a check of readiness that was well when it was asked last, at most ten seconds ago; 0 for one that was not.", []string{"check"}, m.service),
		names: names, ask: ask, last: map[string]bool{},
	})
}

// readiness is a prometheus.Collector.
type readiness struct {
	desc  *prometheus.Desc
	names []string
	ask   func(ctx context.Context) map[string]bool

	mu     sync.Mutex
	last   map[string]bool
	at     time.Time     // when last was answered
	asking chan struct{} // closed when the question under way is answered; nil when none is
}

// Describe implements prometheus.Collector.
func (r *readiness) Describe(to chan<- *prometheus.Desc) { to <- r.desc }

// Collect implements prometheus.Collector.
func (r *readiness) Collect(to chan<- prometheus.Metric) {
	last := r.answer()
	for _, name := range r.names {
		value := 0.0
		if last[name] {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, value, name)
	}
}

// answer gives what was answered last, after a moment for a new one where that is old. A
// question that takes longer is nobody's to wait for: nothing is well that does not say so.
func (r *readiness) answer() map[string]bool {
	r.mu.Lock()
	if !r.at.IsZero() && time.Since(r.at) < readyAge {
		defer r.mu.Unlock()
		return r.last
	}
	if r.asking == nil {
		r.asking = make(chan struct{})
		go r.renew(r.asking)
	}
	done := r.asking
	r.mu.Unlock()
	timer := time.NewTimer(readyWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *readiness) renew(done chan struct{}) {
	var said map[string]bool
	defer func() {
		_ = recover() // what panics is not well, and a scrape ends no process
		r.mu.Lock()
		defer r.mu.Unlock()
		r.last, r.at, r.asking = said, time.Now(), nil
		close(done)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), readyWait-readyWait/10) // or its "does not answer" came late
	defer cancel()
	said = r.ask(ctx)
}
