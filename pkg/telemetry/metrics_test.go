// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// A metric that nothing has counted yet is not shown, so what is registered is asked too.
func TestMetricsAreInTheReference(t *testing.T) {
	reference, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	registered := make(chan *prometheus.Desc)
	go func() { telemetry.NewMetrics("core", "1").Registry.Describe(registered); close(registered) }()
	named, own := regexp.MustCompile(`fqName: "([^"]+)"`), 0
	for desc := range registered {
		m := named.FindStringSubmatch(desc.String())
		if m == nil {
			t.Fatalf("what is %s called?", desc)
		}
		if !strings.HasPrefix(m[1], "dify_sso_") {
			continue
		}
		own++
		if !strings.Contains(string(reference), "| `"+m[1]+"` |") {
			t.Errorf("M-15 %s is not in docs/reference/metrics.md; make reference writes it", m[1])
		}
	}
	if own < 5 {
		t.Errorf("only %d metrics of our own", own)
	}
}
