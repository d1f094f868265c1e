// SPDX-License-Identifier: Apache-2.0

package monitored

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// promtool runs a check to its end.
func promtool(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program(t, "promtool"), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPrometheusTakesTheRules(t *testing.T) {
	t.Parallel()
	if out, err := promtool(t, "", "check", "rules", path(t, rulesFile)); err != nil || !strings.Contains(out, "SUCCESS") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := promtool(t, "", "check", "config", "--syntax-only", config(t, read(t, manual))); err != nil {
		t.Errorf("%s: %v: %s", manual, err, out)
	}
}

// config writes the configuration that the manual shows into a file.
func config(t *testing.T, page string) string {
	t.Helper()
	block := regexp.MustCompile("(?s)```yaml\n# prometheus.yml\n(.*?)```").FindStringSubmatch(page)
	if block == nil {
		t.Fatal("the manual shows no prometheus.yml")
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// unit is a file of promtool's tests.
type unit struct {
	Tests []struct {
		Name  string
		Exprs []struct {
			Expr    string
			Samples []struct{ Labels string } `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
		Alerts []struct {
			Name     string `yaml:"alertname"`
			Expected []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

func TestEveryAlertFiresOnceAndNotInHealth(t *testing.T) {
	t.Parallel()
	fired, quiet := map[string]string{}, map[string]bool{}
	files, err := filepath.Glob("testdata/alerts*.yaml")
	if err != nil || len(files) != 2 {
		t.Fatalf("%q %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			if out, err := promtool(t, "testdata", "test", "rules", filepath.Base(file)); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var u unit
		if err := yaml.Unmarshal(content, &u); err != nil {
			t.Fatal(err)
		}
		for _, test := range u.Tests {
			for _, e := range test.Exprs {
				if strings.Contains(e.Expr, `"`+test.Name+`"`) && len(e.Samples) == 1 {
					fired[test.Name] = e.Samples[0].Labels
				}
			}
			for _, a := range test.Alerts {
				quiet[a.Name] = len(a.Expected) == 0
			}
		}
	}
	used := regexp.MustCompile(`\$labels\.([a-z_]+)`)
	for _, a := range alerts(t) {
		labels := fired[a.Alert]
		if labels == "" || !quiet[a.Alert] {
			t.Errorf("%s: fired by a test %v, quiet in health %v", a.Alert, labels != "", quiet[a.Alert])
		}
		// A label that the expression has lost reads as nothing. The connection is that of SAML alone.
		for _, text := range a.Annotations {
			for _, m := range used.FindAllStringSubmatch(text, -1) {
				if m[1] != "connection" && !strings.Contains(labels, m[1]+"=") {
					t.Errorf("%s says $labels.%s, and has %s", a.Alert, m[1], labels)
				}
			}
		}
		delete(fired, a.Alert)
	}
	if len(fired) > 0 {
		t.Errorf("tests of no alert: %q", slices.Sorted(maps.Keys(fired)))
	}
}

func TestEveryAlertHasAPageAndEveryPageAnAlert(t *testing.T) {
	t.Parallel()
	runbook := read(t, runbookFile)
	pages := map[string]string{}
	for _, part := range strings.Split(runbook, "\n## ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		if strings.HasPrefix(name, "DifySSO") {
			if _, twice := pages[name]; twice {
				t.Errorf("two pages of %s", name)
			}
			pages[name] = text
		}
	}
	seen := map[string]bool{}
	for _, a := range alerts(t) {
		text, ok := pages[a.Alert]
		if !ok {
			t.Errorf("%s has no page", a.Alert)
		}
		for _, part := range []string{"**Means.**", "**People notice.**", "**Look.**", "**Do.**", "**Over when**"} {
			if ok && !strings.Contains(text, part) {
				t.Errorf("the page of %s has no %s", a.Alert, part)
			}
		}
		if seen[a.Alert] {
			t.Errorf("two alerts are called %s", a.Alert)
		}
		seen[a.Alert] = true
		delete(pages, a.Alert)
		if want := runbookFile + "#" + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != want {
			t.Errorf("%s leads to %s", a.Alert, a.Annotations["runbook_url"])
		}
		if s := a.Labels["severity"]; !slices.Contains([]string{"critical", "warning", "info"}, s) || len(a.Labels) != 1 {
			t.Errorf("%s: %v", a.Alert, a.Labels)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" || len(a.Annotations) != 3 {
			t.Errorf("%s: %v", a.Alert, a.Annotations)
		}
	}
	if len(pages) > 0 {
		t.Errorf("pages of no alert: %q", slices.Sorted(maps.Keys(pages)))
	}
}

func TestTheDashboardIsInOrder(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	if d.UID != "dify-sso" || len(d.Panels) < 40 {
		t.Fatalf("%s with %d panels", d.UID, len(d.Panels))
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	if !slices.Equal(variables, []string{"datasource", "namespace", "job", "service"}) {
		t.Errorf("variables %q", variables)
	}
	ids, asked, taken := map[int]bool{}, map[string]string{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is another panel's", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x > 23 {
					t.Fatalf("%s lies over %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Description == "" {
			t.Errorf("%s asks nothing, or does not say what it shows", p.Title)
		}
		for _, q := range p.Targets {
			if asked[q.Expr] != "" {
				t.Errorf("%s and %s ask the same: %s", p.Title, asked[q.Expr], q.Expr)
			}
			asked[q.Expr] = p.Title
		}
	}
}
