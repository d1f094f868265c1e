// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// figures count logins. No label carries a person; connections are as many as an
// administrator has made.
type figures struct {
	attempts *prometheus.CounterVec
	steps    *prometheus.HistogramVec
	idp      *prometheus.HistogramVec
	skew     prometheus.Histogram
	now      func() time.Time
	// keysetRefused counts a file that was not taken.
	keysetRefused func()
}

func newFigures(m *telemetry.Metrics, now func() time.Time) *figures {
	buckets := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	f := &figures{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sso_attempts_total", Help: "Logins that have ended, by connection, intent and public code; ok for a success."}, []string{"connection", "intent", "outcome"}),
		steps:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sso_step_seconds", Help: "Time of a login's steps.", Buckets: buckets}, []string{"step"}),
		idp:      prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sso_idp_seconds", Help: "Time of what is asked of an identity provider.", Buckets: buckets}, []string{"connection", "call"}),
		skew:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sso_clock_skew_seconds", Help: "How far providers' clocks are ahead.", Buckets: []float64{-300, -60, -30, -10, -2, 2, 10, 30, 60, 300}}),
		now:      now,

		keysetRefused: m.Counter("keyset_reload_failures_total", "Key-set files that SIGHUP found and that were refused."),
	}
	m.Registry.MustRegister(f.attempts, f.steps, f.idp, f.skew)
	return f
}

// ended counts an attempt that has just ended.
func (f *figures) ended(a login.Attempt) {
	outcome := "ok"
	switch a.State {
	case login.StateSucceeded:
	case login.StateFailed:
		outcome = string(a.Public)
	default:
		return
	}
	f.attempts.WithLabelValues(a.Connection, string(a.Intent), outcome).Inc()
	for _, s := range a.Trace.Steps {
		f.steps.WithLabelValues(s.Name).Observe(s.Milliseconds / 1000)
	}
	if a.Trace.ClockSkew != nil {
		f.skew.Observe(*a.Trace.ClockSkew)
	}
}

// counted counts the attempts that a store takes.
type counted struct {
	login.Attempts
	figures *figures
}

// Create implements login.Attempts.
func (c counted) Create(ctx context.Context, a login.Attempt, events ...audit.Event) error {
	err := c.Attempts.Create(ctx, a, events...)
	if err == nil {
		c.figures.ended(a)
	}
	return err
}

// Move implements login.Attempts.
func (c counted) Move(ctx context.Context, from login.State, to login.Attempt, events ...audit.Event) error {
	err := c.Attempts.Move(ctx, from, to, events...)
	if err == nil {
		c.figures.ended(to)
	}
	return err
}

// timed measures a provider.
type timed struct {
	login.Provider
	figures *figures
}

// Address implements login.Provider.
func (t timed) Address(ctx context.Context, r login.Request) (string, error) {
	defer t.figures.took(r.Serving, "address", t.figures.now())
	return t.Provider.Address(ctx, r)
}

// Verify implements login.Provider.
func (t timed) Verify(ctx context.Context, a login.Answer, trace *login.Trace) (identity.Claims, error) {
	defer t.figures.took(a.Serving, "verify", t.figures.now())
	return t.Provider.Verify(ctx, a, trace)
}

func (f *figures) took(s connection.Serving, call string, began time.Time) {
	f.idp.WithLabelValues(s.ID, call).Observe(f.now().Sub(began).Seconds())
}
