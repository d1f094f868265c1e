// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/pkg/trip"
)

// values gives the series of a metric by their labels, the service's apart.
func values(t testing.TB, m *telemetry.Metrics, name string) map[string]float64 {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, s := range f.GetMetric() {
			var labels []string
			for _, l := range s.GetLabel() {
				if l.GetName() != "service" {
					labels = append(labels, l.GetValue())
				}
			}
			found[strings.Join(labels, ",")] = s.GetCounter().GetValue() + s.GetGauge().GetValue() + float64(s.GetHistogram().GetSampleCount())
		}
	}
	return found
}

func TestClosedSets(t *testing.T) {
	m := telemetry.NewMetrics("core", "1")
	c := m.Counts("dify_sso_x_total", "x", telemetry.Label{Name: "a", Values: []string{"1", "2"}}, telemetry.Label{Name: "b", Values: []string{"1", "2"}})
	times := m.Times("dify_sso_y_seconds", "y", nil, telemetry.Label{Name: "a", Values: []string{"1"}}, telemetry.Label{Name: "b", Values: []string{"1"}})
	t.Run("M-15 every listed series is there before its first event", func(t *testing.T) {
		if n := len(values(t, m, "dify_sso_x_total")); n != 4 {
			t.Errorf("%d series", n)
		}
	})
	t.Run("M-15 what is not listed is other, however much of it comes", func(t *testing.T) {
		for i := range 1000 {
			odd := strings.Repeat("x", i)
			c.Add(1, odd, odd)
			c.Add(1, "1", odd)
			c.Add(1, odd, "2")
			times.Of(odd, "1").Observe(1)
			times.Of(odd, odd).Observe(1)
		}
		c.Add(2, "1", "2")
		got := values(t, m, "dify_sso_x_total")
		if len(got) != 7 || got["other,other"] != 1000 || got["1,other"] != 1000 || got["other,2"] != 1000 || got["1,2"] != 2 {
			t.Error(got)
		}
		if got := values(t, m, "dify_sso_y_seconds"); len(got) != 2 {
			t.Error(got)
		}
	})
	t.Run("M-15 what is listed is counted without an allocation", func(t *testing.T) {
		if n := testing.AllocsPerRun(100, func() { c.Add(1, "1", "2") }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		m.Observe("/x", 200, time.Millisecond)
		if n := testing.AllocsPerRun(100, func() { m.Observe("/x", 200, time.Millisecond) }); n != 0 {
			t.Errorf("a request: %v allocations", n)
		}
	})
}

func TestTrips(t *testing.T) {
	m := telemetry.NewMetrics("core", "1")
	m.Stores(trip.SQL)
	for _, tr := range []trip.Trip{
		{Store: trip.SQL, Took: time.Millisecond}, {Store: trip.SQL, Err: io.EOF}, {Store: trip.SQL, Err: context.DeadlineExceeded},
		{Store: trip.SQL, Err: errors.Join(context.Canceled, io.EOF)}, {Store: trip.Redis}, {Store: "strange"},
	} {
		m.Trip(t.Context(), tr)
	}
	if got := values(t, m, "dify_sso_store_seconds"); len(got) != 2 || got["ok,sql"] != 1 || got["failed,sql"] != 2 {
		t.Error(got)
	}
	if n := testing.AllocsPerRun(100, func() { m.Trip(context.Background(), trip.Trip{Store: trip.SQL}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLinesAreCounted(t *testing.T) {
	m := telemetry.NewMetrics("core", "1")
	log := m.CountLines(telemetry.NewLogger(io.Discard, slog.LevelInfo, "json"))
	log.Debug("not written")
	log.Info("one")
	log.With("a", "b").WithGroup("g").Error("two")
	log.Log(t.Context(), slog.LevelError+4, "worse")
	if got := values(t, m, "dify_sso_log_lines_total"); got["info"] != 1 || got["error"] != 2 || got["debug"] != 0 || got["warn"] != 0 {
		t.Error(got)
	}
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := telemetry.NewMetrics("core", "1")
		asked, takes, panics := 0, time.Duration(0), false
		m.Ready([]string{"sql", "store"}, func(ctx context.Context) map[string]bool {
			asked++
			if panics {
				panic("a check")
			}
			time.Sleep(takes) // a store that does not even obey its context
			return map[string]bool{"sql": true, "strange": true}
		})
		ready := func() (float64, time.Duration) {
			began := time.Now()
			got := values(t, m, "dify_sso_ready")
			if len(got) != 2 || got["store"] != 0 {
				t.Error(got)
			}
			return got["sql"], time.Since(began)
		}
		for range 5 {
			if v, _ := ready(); v != 1 {
				t.Error("is not well")
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times within ten seconds", asked)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		takes = time.Minute
		for range 3 { // one question, and nobody waits longer than two seconds for it
			if v, took := ready(); v != 0 || took > 2*time.Second {
				t.Errorf("%v after %s", v, took)
			}
		}
		synctest.Wait()
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		takes, panics = 0, true
		if v, _ := ready(); v != 0 {
			t.Error("a check that panics is well")
		}
	})
}

func TestClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := telemetry.NewMetrics("core", "1")
		var down atomic.Bool
		run := m.WatchClocks(time.Now, telemetry.Peer{Name: "redis", Clock: func(context.Context) (time.Time, error) {
			if down.Load() {
				return time.Time{}, io.EOF
			}
			time.Sleep(time.Second) // there
			at := time.Now().Add(-3 * time.Second)
			time.Sleep(time.Second) // and back
			return at, nil
		}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := values(t, m, "dify_sso_clock_skew_seconds"); got["redis"] != 3 {
			t.Error(got)
		}
		down.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := values(t, m, "dify_sso_clock_skew_seconds"); len(got) != 0 {
			t.Errorf("a peer that does not tell: %v", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestKeysetAndAudit(t *testing.T) {
	m := telemetry.NewMetrics("core", "1")
	print := "one"
	m.Keyset(func() string { return print })
	m.Audit(func() int { return 3 }, func() uint64 { return 4 })
	values(t, m, "dify_sso_keyset_info")
	print = "two"
	if got := values(t, m, "dify_sso_keyset_info"); len(got) != 1 || got["two"] != 1 {
		t.Errorf("after a reload: %v", got)
	}
	if values(t, m, "dify_sso_audit_pending")[""] != 3 || values(t, m, "dify_sso_audit_lost_total")[""] != 4 {
		t.Error("audit")
	}
	m.Pools(map[string]func() telemetry.Pool{"sql": func() telemetry.Pool { return telemetry.Pool{"open": 2} }})
	if got := values(t, m, "dify_sso_store_connections"); got["open,sql"] != 2 {
		t.Error(got)
	}
}
