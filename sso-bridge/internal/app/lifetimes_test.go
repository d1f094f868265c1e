// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificates are those of two connections.
func certificates(idp, own time.Time) registry {
	return registry{
		idp:     func(context.Context) (map[string]time.Time, error) { return map[string]time.Time{"corp": idp}, nil },
		own:     func(context.Context) (map[string]time.Time, error) { return map[string]time.Time{"corp": own}, nil },
		pending: func(context.Context) (int, error) { return 2, nil },
	}
}

func gauges(t *testing.T, l *lifetimes) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(l)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] = m.GetGauge().GetValue()
		}
	}
	return values
}

func TestTheEndsOfCertificates(t *testing.T) {
	t.Run("metrics count down between two looks, and ask nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLifetimes(time.Now)
			if got := gauges(t, l); len(got) != 0 {
				t.Errorf("before the first look: %v", got)
			}
			var looks atomic.Int64
			var down atomic.Bool
			r := certificates(time.Now().Add(time.Hour), time.Now().Add(-time.Hour))
			pending := r.pending
			r.pending = func(ctx context.Context) (int, error) {
				looks.Add(1)
				if down.Load() {
					return 0, errors.New("down")
				}
				return pending(ctx)
			}
			ctx, stop := context.WithCancel(t.Context())
			var log bytes.Buffer
			ended := make(chan error)
			go func() { ended <- l.watch(r, slog.New(slog.NewJSONHandler(&log, nil)))(ctx) }()
			time.Sleep(time.Minute)
			synctest.Wait()
			want := map[string]float64{"sso_idp_certificate_expiry_seconds": 3540, "sso_sp_key_expiry_seconds": -3660, "sso_metadata_pending": 2}
			for range 2 {
				for name, v := range want {
					if got := gauges(t, l)[name]; got != v {
						t.Errorf("%s: %v, want %v", name, got, v)
					}
				}
			}
			if n := looks.Load(); n != 1 {
				t.Errorf("%d looks", n)
			}
			down.Store(true)
			time.Sleep(lookEvery)
			synctest.Wait()
			if got := gauges(t, l); looks.Load() != 2 || got["sso_metadata_pending"] != 2 || got["sso_idp_certificate_expiry_seconds"] != 3240 || !strings.Contains(log.String(), "could not be looked up") {
				t.Errorf("%d looks, %v, %s", looks.Load(), got, log.String())
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("SAML-54 the ends are said 30, 7 and 1 days ahead, those of our keys 60, 30 and 7, and daily at last", func(t *testing.T) {
		end := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
		said := map[string][]int{}
		for left := 70; left >= -2; left-- {
			var log bytes.Buffer
			n, err := certificates(end, end).warn(t.Context(), end.Add(-days(left)), slog.New(slog.NewJSONHandler(&log, nil)))
			if err != nil || int(n) != strings.Count(log.String(), `"level":"WARN"`) {
				t.Fatalf("%d, %v, %s", n, err, log.String())
			}
			for what, part := range map[string]string{"idp": "identity provider", "own": "signs SAML requests"} {
				if strings.Contains(log.String(), part) {
					said[what] = append(said[what], left)
				}
			}
		}
		for what, want := range map[string][]int{"idp": {30, 7, 1, 0, -1, -2}, "own": {60, 30, 7, 6, 5, 4, 3, 2, 1, 0, -1, -2}} {
			if got := said[what]; !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
	})
	t.Run("what could be looked up is said, and what not is a failure", func(t *testing.T) {
		r := certificates(time.Unix(0, 0), time.Unix(0, 0))
		r.idp = func(context.Context) (map[string]time.Time, error) { return nil, errors.New("down") }
		if n, err := r.warn(t.Context(), time.Unix(1, 0), slog.New(slog.DiscardHandler)); n != 1 || err == nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}
