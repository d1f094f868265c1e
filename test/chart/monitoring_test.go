// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

var monitored = []string{"monitoring.serviceMonitor.enabled=true", "monitoring.rules.enabled=true", "monitoring.dashboards.enabled=true"}

func TestNothingIsMonitoredUntilItIsWanted(t *testing.T) {
	t.Parallel()
	for _, name := range valuesFiles(t) {
		if text := render(t, name).text; strings.Contains(text, "monitoring.coreos.com") || strings.Contains(text, "grafana") {
			t.Errorf("%s needs kinds that a cluster may not have, or a Grafana", name)
		}
	}
	// Each switch stands for itself.
	for i, kind := range []string{"ServiceMonitor", "PrometheusRule", "ConfigMap"} {
		r := render(t, "default", monitored[i])
		if len(r.objects) != len(render(t, "default").objects)+1 || len(r.of(kind)) == 0 {
			t.Errorf("%s adds %d objects", monitored[i], len(r.objects)-len(render(t, "default").objects))
		}
	}
}

func TestServiceMonitors(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ee", "cluster", "default"} {
		r := render(t, name, "monitoring.serviceMonitor.enabled=true", "monitoring.serviceMonitor.labels.release=stack", "monitoring.serviceMonitor.ca.configMap=roots")
		want := 1
		if name == "ee" {
			want = 2
		}
		if len(r.of("ServiceMonitor")) != want {
			t.Fatalf("%s has %d ServiceMonitors", name, len(r.of("ServiceMonitor")))
		}
		for _, o := range r.of("ServiceMonitor") {
			decoded, err := strictly(kinds(t), o.text)
			if err != nil {
				t.Fatal(err)
			}
			m := decoded.(*monitoring.ServiceMonitor) //nolint:forcetypeassert // its kind says so
			selector := labels.SelectorFromSet(m.Spec.Selector.MatchLabels)
			var found []string
			for _, service := range r.of("Service") {
				decoded, err := strictly(kinds(t), service.text)
				if err != nil {
					t.Fatal(err)
				}
				s := decoded.(*core.Service) //nolint:forcetypeassert // its kind says so
				if selector.Matches(labels.Set(s.Labels)) {
					found = append(found, s.Name)
					if s.Spec.Ports[0].Name != m.Spec.Endpoints[0].Port {
						t.Errorf("%s has no port %s", s.Name, m.Spec.Endpoints[0].Port)
					}
				}
			}
			// Two Services of a pod would count it twice.
			if want := o.name() + "-inner"; !slices.Equal(found, []string{want}) {
				t.Errorf("%s scrapes %q, want %s", o, found, want)
			}
			e := m.Spec.Endpoints[0]
			program := "core"
			if strings.HasSuffix(o.name(), "-bridge") {
				program = "sso-bridge"
			}
			for i, label := range [][2]string{{"job", "dify-sso"}, {"service", program}} {
				if e.RelabelConfigs[i].TargetLabel != label[0] || *e.RelabelConfigs[i].Replacement != label[1] {
					t.Errorf("%s: %v", o, e.RelabelConfigs[i])
				}
			}
			if m.Labels["release"] != "stack" || m.Spec.NamespaceSelector.MatchNames[0] != namespace {
				t.Errorf("%s: %v %v", o, m.Labels, m.Spec.NamespaceSelector)
			}
			if https := e.Scheme != nil && *e.Scheme == "https"; https != (name != "default") || https && (e.TLSConfig.CA.ConfigMap.Name != "roots" || *e.TLSConfig.ServerName != found[0]+"."+namespace+".svc") {
				t.Errorf("%s of %s is scraped by https %v", o, name, https)
			}
		}
	}
}

// One file of rules for everybody: the chart changes nothing but where the runbook is.
func TestRulesAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	file := read(t, filepath.Join(chartDir(), "files", "rules", "dify-sso.yaml"))
	const wiki = "https://wiki.corp.example/sso"
	var want struct{ Groups any }
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(file, "docs/operating/runbook.md", wiki)), &want); err != nil {
		t.Fatal(err)
	}
	r := render(t, "default", "monitoring.rules.enabled=true", "monitoring.rules.runbookUrl="+wiki)
	o := r.one(t, "PrometheusRule", "sso")
	wanted, err := yaml.Marshal(want.Groups)
	if err != nil {
		t.Fatal(err)
	}
	got, err := yaml.Marshal(at(o.tree, "spec", "groups"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(wanted) || !strings.Contains(string(got), wiki+"#difyssotargetdown") {
		t.Errorf("the rules of the chart are others than those of the file:\n%s", got)
	}
	if _, err := strictly(kinds(t), o.text); err != nil {
		t.Error(err)
	}
}

func TestDashboardIsThatOfTheFile(t *testing.T) {
	t.Parallel()
	o := render(t, "default", "monitoring.dashboards.enabled=true", "monitoring.dashboards.annotations.grafana_folder=Sign-in").one(t, "ConfigMap", "-dashboards")
	if got := at(o.tree, "data", "dify-sso.json"); strings.TrimSpace(got.(string)) != strings.TrimSpace(read(t, filepath.Join(chartDir(), "files", "dashboards", "dify-sso.json"))) {
		t.Error("the dashboard of the chart is another than that of the file")
	}
	if at(o.tree, "metadata", "labels", "grafana_dashboard") != "1" || at(o.tree, "metadata", "annotations", "grafana_folder") != "Sign-in" {
		t.Errorf("%v", at(o.tree, "metadata"))
	}
}

func TestMonitoringValuesThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"monitoring.serviceMonitor.job=sign-in", "monitoring.serviceMonitor.interval=often", "monitoring.rules.runbookUrl=", "monitoring.dashboard.enabled=true"} {
		if _, err := try(t, "default", set); err == nil {
			t.Errorf("%s was taken", set)
		}
	}
}
