// SPDX-License-Identifier: Apache-2.0

package monitored

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"testing"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// server is a Prometheus that scrapes and judges every second.
type server struct {
	t       *testing.T
	address string
}

// hasty are the rules with windows of seconds and without patience, for faults of a test.
func hasty(rules string) string {
	rules = regexp.MustCompile(`(?m)^( +for:) \S+$`).ReplaceAllString(rules, "$1 1s")
	rules = regexp.MustCompile(`\[6h:5m\]`).ReplaceAllString(rules, "[30s:1s]")
	rules = regexp.MustCompile(`\[\d+[mhd]\]`).ReplaceAllString(rules, "[15s]")
	return regexp.MustCompile(`offset 26h`).ReplaceAllString(rules, "offset 15s")
}

func (in *installation) prometheus(t *testing.T) *server {
	t.Helper()
	dir, address := t.TempDir(), process.Free(t, "127.0.0.1")
	file(t, dir, "rules.yaml", hasty(read(t, rulesFile)))
	settings := file(t, dir, "prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: dify-sso
    static_configs:
      - {targets: [%q], labels: {service: core}}
      - {targets: [%q], labels: {service: sso-bridge}}
  - job_name: dify-sso-embedded
    scheme: https
    tls_config: {ca_file: %q}
    static_configs:
      - {targets: [%q], labels: {service: core}}
`, in.coreInner, in.bridgeInner, in.roots, in.secure))
	s := &server{t, "http://" + address}
	process.Start(t, nil, program(t, "prometheus"), "--config.file="+settings, "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+address, "--log.level=warn").Until(s.address + "/-/ready")
	return s
}

// get asks the API; what it says of a query that it cannot take ends the test.
func (s *server) get(path string, query url.Values, into any) {
	s.t.Helper()
	r, err := http.Get(s.address + path + "?" + query.Encode())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	if answer.Status != "success" {
		s.t.Fatalf("%s: %s", query, answer.Error)
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		s.t.Fatal(err)
	}
}

// answers counts the series with a number that a query is answered by now.
func (s *server) answers(query string) (n int) {
	s.t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	s.get("/api/v1/query", url.Values{"query": {query}}, &data)
	for _, r := range data.Result {
		text, _ := r.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) {
			n++
		}
	}
	return n
}

type alert struct {
	Labels, Annotations map[string]string
	State               string
}

// firing are the alerts that fire now.
func (s *server) firing() (list []alert) {
	s.t.Helper()
	var data struct{ Alerts []alert }
	s.get("/api/v1/alerts", nil, &data)
	for _, a := range data.Alerts {
		if a.State == "firing" {
			list = append(list, a)
		}
	}
	return list
}
