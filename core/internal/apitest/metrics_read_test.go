// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// mtFamilies reads /metrics as Prometheus does.
func mtFamilies(t testing.TB, s *apitest.Server) map[string]*dto.MetricFamily {
	t.Helper()
	a := s.At(s.Inner).Call(t, "GET", "/metrics", "")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// mtValues gives each series by its name and labels, a histogram by the number of what it
// saw.
func mtValues(families map[string]*dto.MetricFamily) map[string]float64 {
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "service" {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
			}
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				values[key] = m.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				values[key] = m.GetGauge().GetValue()
			case dto.MetricType_HISTOGRAM:
				values[key] = float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return values
}

// mtMoves names the counters that an act moves by themselves, and by how much. What every
// request moves, and what stores are asked, are left out.
func mtMoves(t testing.TB, s *apitest.Server, act func()) map[string]float64 {
	t.Helper()
	before := mtValues(mtFamilies(t, s))
	act()
	moved := map[string]float64{}
	for key, v := range mtValues(mtFamilies(t, s)) {
		if d := v - before[key]; d != 0 && mtTells(key) {
			moved[strings.TrimPrefix(key, "dify_sso_")] = d
		}
	}
	return moved
}

func mtTells(key string) bool {
	for _, prefix := range []string{"logins_total", "grants_total", "tokens_", "bearer_lookups_total", "runs_total", "rate_limited_total", "revoke_propagation", "runtime_seconds"} {
		if strings.HasPrefix(key, "dify_sso_"+prefix) {
			return true
		}
	}
	return false
}
