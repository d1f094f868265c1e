// SPDX-License-Identifier: Apache-2.0

package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Keyset registers dify_sso_keyset_info: one series, whose label says which file of keys
// this process works with. It is a digest and opens nothing.
func (m *Metrics) Keyset(fingerprint func() string) {
	m.Registry.MustRegister(keysetInfo{
		prometheus.NewDesc("dify_sso_keyset_info", "Always 1; the fingerprint of the key set in use is a label. All processes of both services show the same one.", []string{"fingerprint"}, m.service), fingerprint,
	})
}

// keysetInfo is a prometheus.Collector.
type keysetInfo struct {
	desc        *prometheus.Desc
	fingerprint func() string
}

// Describe implements prometheus.Collector.
func (k keysetInfo) Describe(to chan<- *prometheus.Desc) { to <- k.desc }

// Collect implements prometheus.Collector.
func (k keysetInfo) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(k.desc, prometheus.GaugeValue, 1, k.fingerprint())
}

// Audit registers what becomes of events that belong to no transaction.
func (m *Metrics) Audit(pending func() int, lost func() uint64) {
	m.Registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dify_sso_audit_pending", Help: "Audit events that wait for their batch; the log has them.", ConstLabels: m.service,
		}, func() float64 { return float64(pending()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "dify_sso_audit_lost_total", Help: "Audit events that found no room while their table could not be written; only the log has them.", ConstLabels: m.service,
		}, func() float64 { return float64(lost()) }),
	)
}
