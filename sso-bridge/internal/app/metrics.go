// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/pkg/trip"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// figures count logins. No label carries a person; connections are as many as an
// administrator has made.
type figures struct {
	*telemetry.Metrics
	attempts *prometheus.CounterVec
	steps    *prometheus.HistogramVec
	idp      *prometheus.HistogramVec
	skew     prometheus.Histogram
	ends     *lifetimes
	now      func() time.Time
	// keysetRefused counts a file that was not taken.
	keysetRefused func()
}

func newFigures(m *telemetry.Metrics, s *Settings, now func() time.Time) *figures {
	buckets := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	f := &figures{
		Metrics:  m,
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sso_attempts_total", Help: "Logins that have ended, by connection, intent and public code; ok for a success."}, []string{"connection", "intent", "outcome"}),
		steps:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sso_step_seconds", Help: "Time of a login's steps.", Buckets: buckets}, []string{"step"}),
		idp:      prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sso_idp_seconds", Help: "Time of what is asked of an identity provider.", Buckets: buckets}, []string{"connection", "call"}),
		skew:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sso_clock_skew_seconds", Help: "How far providers' clocks are ahead.", Buckets: []float64{-300, -60, -30, -10, -2, 2, 10, 30, 60, 300}}),
		ends:     newLifetimes(now),
		now:      now,

		keysetRefused: m.Counter("keyset_reload_failures_total", "Key-set files that SIGHUP found and that were refused."),
	}
	m.Registry.MustRegister(f.attempts, f.steps, f.idp, f.skew, f.ends)
	if s.Embedded() {
		m.Stores(trip.SQL)
	} else {
		m.Stores(trip.SQL, trip.Redis)
	}
	return f
}

// observe registers what is read when metrics are, once everything is built, and what
// compares clocks.
func (a *App) observe(f *figures) {
	f.Keyset(func() string { return a.shared.Current().Fingerprint() })
	f.Ready([]string{"sql", "store", "schema", "keyset"}, func(ctx context.Context) map[string]bool { return a.Readiness(ctx).Well() })
	f.Audit(a.recorder.Pending, a.recorder.Lost)
	peers := []telemetry.Peer{{Name: "core", Clock: a.core.Clock}}
	pools := map[string]func() telemetry.Pool{trip.SQL: func() telemetry.Pool {
		c := sqldb.ConnectionsOf(a.Stores.DB)
		return telemetry.Pool{"open": c.Open, "in_use": c.InUse, "idle": c.Idle, "max": c.Max}
	}}
	if a.Stores.DB.Dialect() == sqldb.Postgres {
		peers = append(peers, telemetry.Peer{Name: "postgres", Clock: func(ctx context.Context) (time.Time, error) { return sqldb.Clock(ctx, a.Stores.DB) }})
	}
	if db := a.Stores.redis; db != nil {
		pools[trip.Redis] = func() telemetry.Pool {
			c := db.Connections()
			return telemetry.Pool{"open": c.Open, "idle": c.Idle, "max": c.Max}
		}
		peers = append(peers, telemetry.Peer{Name: "redis", Clock: db.Clock})
	}
	f.Pools(pools)
	a.clocks = f.WatchClocks(a.opts.Now, peers...)
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
func (t timed) Address(ctx context.Context, r login.Request) (login.Destination, error) {
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
