// SPDX-License-Identifier: Apache-2.0

package monitored

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

func TestMain(m *testing.M) { process.Main(m) }

const (
	rulesFile     = "deploy/helm/dify-sso/files/rules/dify-sso.yaml"
	dashboardFile = "deploy/helm/dify-sso/files/dashboards/dify-sso.json"
	runbookFile   = "docs/operating/runbook.md"
	manual        = "docs/operating/monitoring.md"
)

// path is that of a file of the checkout.
func path(t testing.TB, name string) string {
	t.Helper()
	root, err := process.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, name)
}

func read(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// program finds one of Debian's package prometheus.
func program(t testing.TB, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	if err != nil {
		testserver.Missing(t, name, err)
	}
	return found
}

// rule is an alert, or a record of what several ask.
type rule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

// rules are those of the file, in its order; members that a rule does not have are refused.
func rules(t testing.TB) (list []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, rulesFile)), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

func alerts(t testing.TB) (list []rule) {
	t.Helper()
	for _, r := range rules(t) {
		if r.Alert != "" {
			list = append(list, r)
		}
	}
	if len(list) < 20 {
		t.Fatalf("%d alerts: the file was not understood", len(list))
	}
	return list
}

// panel is one of the dashboard that asks something.
type panel struct {
	ID          int
	Type, Title string
	Description string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ RefID, Expr, LegendFormat string }
}

type dashboard struct {
	UID        string
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type string }
	}
}

func readDashboard(t testing.TB) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// metric is a name that the product or Prometheus itself gives; records have a colon.
var metric = regexp.MustCompile(`\b(?:dify_sso|sso|keyset|process|go)_[a-z0-9_]+(?::[a-z0-9_:]+)?|\bdify_sso:[a-z0-9_:]+|\bup\{`)

// quoted are strings, labels of which look like names, and grouping.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// names are the metrics that an expression asks for.
func names(expr string) []string {
	return metric.FindAllString(quoted.ReplaceAllString(expr, `""`), -1)
}
