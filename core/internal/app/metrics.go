// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/pkg/trip"
)

// figures are what core counts of its own. Every label takes values of a closed set
// (docs/operating/metrics.md).
type figures struct {
	*telemetry.Metrics
	logins, grants, minted, revoked, runs *telemetry.Counts
	runtimes                              *telemetry.Times
	propagation                           prometheus.Histogram
	live                                  *liveTokens

	remembered, database, unknown, unavailable prometheus.Counter // where bearers were found
}

// reasons are why tokens end.
var reasons = []token.Reason{
	token.ReasonLogout, token.ReasonUser, token.ReasonAdmin, token.ReasonExpired, token.ReasonSubjectChanged, token.ReasonSubjectRevoked,
	token.ReasonAccountInactive, token.ReasonEmailBecameAccount, token.ReasonRFC7009, telemetry.Other,
}

// newFigures registers what there is in the edition of s.
func newFigures(m *telemetry.Metrics, s *Settings, now func() time.Time) *figures {
	var kinds []string
	for _, k := range s.kinds() {
		kinds = append(kinds, kindOf(k.Prefix))
	}
	kind := telemetry.Label{Name: "kind", Values: kinds}
	var modes []apps.Mode
	for _, mode := range apps.Modes {
		if mode.Runnable() {
			modes = append(modes, mode)
		}
	}
	outcome := func(values []string) telemetry.Label { return telemetry.Label{Name: "outcome", Values: values} }
	lookups := m.Counts("dify_sso_bearer_lookups_total", "Bearers of requests, by where they were found; unknown ones are no live token, unavailable ones nobody could judge.",
		telemetry.Label{Name: "step", Values: []string{"remembered", "database", "unknown", "unavailable"}})
	f := &figures{
		Metrics: m,
		logins: m.Counts("dify_sso_logins_total", "Steps of logins that have ended, by outcome; failed ones are our own failures.",
			telemetry.Label{Name: "step", Values: texts(httpapi.Steps(s.sso != nil && s.CompanyDevices))}, outcome(texts(httpapi.StepEnds))),
		grants: m.Counts("dify_sso_grants_total", "Device authorizations that came into a state; expired ones are seen where they are held in process.",
			telemetry.Label{Name: "state", Values: texts([]devicegrant.Turn{
				devicegrant.TurnPending, devicegrant.TurnApproved, devicegrant.TurnDenied, devicegrant.TurnRedeemed, devicegrant.TurnRefused, devicegrant.TurnExpired,
			})}),
		minted:  m.Counts("dify_sso_tokens_minted_total", "Tokens that were made, those that replace one of the same device included.", kind),
		revoked: m.Counts("dify_sso_tokens_revoked_total", "Sessions of tokens that were ended, by reason.", kind, telemetry.Label{Name: "reason", Values: texts(reasons)}),
		runs:    m.Counts("dify_sso_runs_total", "Runs of apps, by how they ended for their clients.", telemetry.Label{Name: "mode", Values: texts(modes)}, outcome(texts(run.Ends))),
		runtimes: m.Times("dify_sso_runtime_seconds", "Time until a runtime began to answer, for what is asked in one piece until it had.",
			[]float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
			telemetry.Label{Name: "operation", Values: operations}, outcome([]string{"ok", "refused", "unavailable", "timeout"})),
		propagation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "dify_sso_revoke_propagation_seconds", Help: "Time from the end of tokens in the registry until every process refuses them.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .5, 1, 5, 30},
		}),
		live:       newLiveTokens(now),
		remembered: lookups.One("remembered"), database: lookups.One("database"),
		unknown: lookups.One("unknown"), unavailable: lookups.One("unavailable"),
	}
	m.Registry.MustRegister(f.propagation, f.live)
	if s.Embedded() {
		m.Stores(trip.SQL)
	} else {
		m.Stores(trip.SQL, trip.Redis)
	}
	return f
}

func texts[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// kindOf is what a kind of token is called in a label.
func kindOf(prefix string) string { return strings.TrimSuffix(prefix, "_") }

// stepped, turned, ran and buried are what services tell.
func (f *figures) stepped(step httpapi.Step, how httpapi.StepEnd) {
	f.logins.Add(1, string(step), string(how))
}
func (f *figures) turned(to devicegrant.Turn)      { f.grants.Add(1, string(to), "") }
func (f *figures) ran(mode apps.Mode, how run.End) { f.runs.Add(1, string(mode), string(how)) }
func (f *figures) buried(after time.Duration)      { f.propagation.Observe(after.Seconds()) }

// lookups counts where a bearer was found. Whether a stream's token is still good, and
// what clients ask of a token (RFC 7662), is no request by it.
type lookups struct {
	*token.Service
	figures *figures
}

// ResolveKnown implements authz.Tokens.
func (l lookups) ResolveKnown(ctx context.Context, kind token.Kind, d secret.Digest, known token.Remembered, cached bool) (token.Identity, error) {
	who, err := l.Service.ResolveKnown(ctx, kind, d, known, cached)
	switch {
	case err == nil && cached && known.Finding == token.Live:
		l.figures.remembered.Inc()
	case err == nil:
		l.figures.database.Inc()
	case errors.Is(err, token.ErrInvalid):
		l.figures.unknown.Inc()
	case fault.Of(err).Kind() == fault.Unavailable:
		l.figures.unavailable.Inc()
	}
	return who, err
}

// observe registers what is read when metrics are, once everything is built.
func (a *App) observe(f *figures) {
	if a.Stores.expired != nil {
		a.Stores.expired(func() { f.turned(devicegrant.TurnExpired) })
	}
	checks := []string{"sql", "store", "schema"}
	if a.shared != nil {
		checks = append(checks, "keyset")
		f.Keyset(func() string { return a.shared.Current().Fingerprint() })
	}
	f.Ready(checks, func(ctx context.Context) map[string]bool { return a.Readiness(ctx).Well() })
	f.Audit(a.recorder.Pending, a.recorder.Lost)
	pools := map[string]func() telemetry.Pool{trip.SQL: func() telemetry.Pool {
		c := sqldb.ConnectionsOf(a.Stores.DB)
		return telemetry.Pool{"open": c.Open, "in_use": c.InUse, "idle": c.Idle, "max": c.Max}
	}}
	if db := a.Stores.redis; db != nil {
		pools[trip.Redis] = func() telemetry.Pool {
			c := db.Connections()
			return telemetry.Pool{"open": c.Open, "idle": c.Idle, "max": c.Max}
		}
	}
	f.Pools(pools)
	a.clocks = f.WatchClocks(a.opts.Now, a.peers()...)
}

// peers are those whose clocks must agree with ours.
func (a *App) peers() (list []telemetry.Peer) {
	if a.Stores.DB.Dialect() == sqldb.Postgres {
		list = append(list, telemetry.Peer{Name: "postgres", Clock: func(ctx context.Context) (time.Time, error) { return sqldb.Clock(ctx, a.Stores.DB) }})
	}
	if a.Stores.redis != nil {
		list = append(list, telemetry.Peer{Name: "redis", Clock: a.Stores.redis.Clock})
	}
	if a.bridge != nil {
		list = append(list, telemetry.Peer{Name: "bridge", Clock: a.bridge.Clock})
	}
	return list
}
