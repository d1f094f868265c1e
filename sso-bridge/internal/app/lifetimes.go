// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lifetimes are the ends of the certificates of SAML, and what waits for a decision. Each
// process looks them up for itself every lookEvery, so that metrics that are read ask no
// store, and a count of seconds is right whenever it is read.
type lifetimes struct {
	now func() time.Time

	mu      sync.Mutex
	known   bool // something was looked up
	idp     map[string]time.Time
	own     map[string]time.Time
	pending int

	idpDesc, ownDesc, pendingDesc *prometheus.Desc
}

const lookEvery = 5 * time.Minute

func newLifetimes(now func() time.Time) *lifetimes {
	by := []string{"connection"}
	return &lifetimes{
		now:         now,
		idpDesc:     prometheus.NewDesc("sso_idp_certificate_expiry_seconds", "Time until the last of an identity provider's SAML certificates ends; below 0 afterwards.", by, nil),
		ownDesc:     prometheus.NewDesc("sso_sp_key_expiry_seconds", "Time until the certificate of the key ends that signs a connection's SAML requests; below 0 afterwards.", by, nil),
		pendingDesc: prometheus.NewDesc("sso_metadata_pending", "Changed metadata and discovery documents of providers that wait for a decision.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (l *lifetimes) Describe(out chan<- *prometheus.Desc) {
	out <- l.idpDesc
	out <- l.ownDesc
	out <- l.pendingDesc
}

// Collect implements prometheus.Collector. Before the first look there is nothing: a 0
// would be an alarm.
func (l *lifetimes) Collect(out chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known {
		return
	}
	now := l.now()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for id, end := range l.idp {
		gauge(l.idpDesc, end.Sub(now).Seconds(), id)
	}
	for id, end := range l.own {
		gauge(l.ownDesc, end.Sub(now).Seconds(), id)
	}
	gauge(l.pendingDesc, float64(l.pending))
}

// registry says what there is.
type registry struct {
	// idp gives for each connection the last end of its provider's certificates, own that
	// of the key which signs.
	idp, own func(ctx context.Context) (map[string]time.Time, error)
	// pending counts the documents that wait.
	pending func(ctx context.Context) (int, error)
}

// look looks everything up, or leaves what was known.
func (l *lifetimes) look(ctx context.Context, r registry) error {
	idp, err := r.idp(ctx)
	own, also := r.own(ctx)
	pending, third := r.pending(ctx)
	if err := errors.Join(err, also, third); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.idp, l.own, l.pending = true, idp, own, pending
	return nil
}

// watch looks now and then until ctx ends.
func (l *lifetimes) watch(r registry, log *slog.Logger) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		again := time.NewTicker(lookEvery)
		defer again.Stop()
		for {
			if err := l.look(ctx, r); err != nil && ctx.Err() == nil {
				log.Warn("the ends of certificates could not be looked up; metrics show what was known", slog.String("error", err.Error()))
			}
			select {
			case <-ctx.Done():
				return nil
			case <-again.C:
			}
		}
	}
}

// How many days ahead the end of a certificate is said, once each; from the last of them
// on daily.
var (
	aheadOfIdP = []int{30, 7, 1}
	aheadOfOwn = []int{60, 30, 7}
)

// warnEvery is how often it is asked whether one of those days has come.
const warnEvery = 24 * time.Hour

// warn says in the log which certificates end, and gives how many.
func (r registry) warn(ctx context.Context, now time.Time, log *slog.Logger) (said int64, err error) {
	idp, err := r.idp(ctx)
	own, also := r.own(ctx)
	for _, kind := range []struct {
		ends  map[string]time.Time
		ahead []int
		text  string // with the verb
	}{
		{idp, aheadOfIdP, "the certificate of a SAML identity provider %s: ask for the next one, or refresh its metadata"},
		{own, aheadOfOwn, "the certificate of a key %s that signs SAML requests: sso-bridge connection keys stage"},
	} {
		for _, id := range slices.Sorted(maps.Keys(kind.ends)) {
			end := kind.ends[id]
			if left := end.Sub(now); due(left, kind.ahead) {
				verb := "ends"
				if left <= 0 {
					verb = "has ended"
				}
				log.Warn(fmt.Sprintf(kind.text, verb), slog.String("connection", id), slog.Time("not_after", end.UTC()), slog.Int("days", int(left/days(1))))
				said++
			}
		}
	}
	return said, errors.Join(err, also)
}

// due reports whether one of the days has come since this was asked last.
func due(left time.Duration, ahead []int) bool {
	if left <= days(ahead[len(ahead)-1]) {
		return true
	}
	return slices.ContainsFunc(ahead, func(n int) bool { return left <= days(n) && left > days(n)-warnEvery })
}
