// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	skewEvery = time.Minute
	skewLimit = 5 * time.Second
)

// Peer is somebody whose clock is compared with ours.
type Peer struct {
	Name string
	// Clock asks for the time there.
	Clock func(ctx context.Context) (time.Time, error)
}

// WatchClocks registers dify_sso_clock_skew_seconds and gives the worker that measures it,
// once a minute until its context ends. A peer that does not tell has no series: what was
// measured before says nothing about now.
func (m *Metrics) WatchClocks(now func() time.Time, peers ...Peer) func(ctx context.Context) error {
	skew := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dify_sso_clock_skew_seconds", Help: "How far this process's clock is ahead of a peer's, measured once a minute.", ConstLabels: m.service,
	}, []string{"peer"})
	m.Registry.MustRegister(skew)
	return func(ctx context.Context) error {
		tick := time.NewTicker(skewEvery)
		defer tick.Stop()
		for {
			for _, p := range peers {
				ahead, err := measure(ctx, now, p.Clock)
				if err != nil {
					skew.DeleteLabelValues(p.Name)
					continue
				}
				skew.WithLabelValues(p.Name).Set(ahead.Seconds())
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	}
}

// measure takes the middle of the round trip for when the peer looked at its clock.
func measure(ctx context.Context, now func() time.Time, clock func(ctx context.Context) (time.Time, error)) (ahead time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, skewLimit)
	defer cancel()
	began := now()
	theirs, err := clock(ctx)
	took := now().Sub(began)
	return began.Add(took / 2).Sub(theirs), err
}
