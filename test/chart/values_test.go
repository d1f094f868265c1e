// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

func valuesTree(t testing.TB) map[string]any {
	t.Helper()
	var tree map[string]any
	if err := yaml.UnmarshalStrict([]byte(read(t, filepath.Join(chartDir(), "values.yaml"))), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func schemaTree(t testing.TB) map[string]any {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal([]byte(read(t, filepath.Join(chartDir(), "values.schema.json"))), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// resolved follows references within the schema.
func resolved(t testing.TB, schema, node map[string]any) map[string]any {
	t.Helper()
	for {
		ref, ok := node["$ref"].(string)
		if !ok {
			return node
		}
		next, ok := at(schema, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(map[string]any)
		if !ok {
			t.Fatalf("the schema refers to %s, which is not there", ref)
		}
		node = next
	}
}

// Maps whose keys a person chooses, or that Kubernetes judges.
var free = regexp.MustCompile(`(?i)(annotations|labels|selector|config|probes\.[a-z]+|securityContext|resources|behavior|updateStrategy|affinity|relabelings)$`)

func TestEveryValueIsInTheSchemaAndEveryKeyOfTheSchemaIsAValue(t *testing.T) {
	t.Parallel()
	schema := schemaTree(t)
	var walk func(path string, values, node map[string]any)
	walk = func(path string, values, node map[string]any) {
		properties, _ := node["properties"].(map[string]any)
		if path != "" && free.MatchString(path) {
			return
		}
		if node["additionalProperties"] != false {
			t.Errorf("%q takes keys that nobody knows", path)
		}
		for key := range properties {
			if _, ok := values[key]; !ok && path+key != "global" {
				t.Errorf("%s%s is in the schema and no value", path, key)
			}
		}
		for key, value := range values {
			property, ok := properties[key].(map[string]any)
			if !ok {
				t.Errorf("%s%s is a value that the schema does not know", path, key)
				continue
			}
			if tree, ok := value.(map[string]any); ok && len(tree) > 0 && !free.MatchString(path+key) {
				walk(path+key+".", tree, resolved(t, schema, property))
			}
		}
	}
	walk("", valuesTree(t), schema)
}

func TestReadme(t *testing.T) {
	t.Parallel()
	file := filepath.Join(chartDir(), "README.md")
	readme := read(t, file)
	t.Run("every value has words of its own", func(t *testing.T) {
		rows := regexp.MustCompile(`(?m)^\| ([a-zA-Z][^ |]*) \| [a-z]+ \| .* \| (.*) \|$`).FindAllStringSubmatch(readme, -1)
		if len(rows) < 100 {
			t.Errorf("%d values are described", len(rows))
		}
		for _, row := range rows {
			if strings.TrimSpace(row[2]) == "" {
				t.Errorf("%s has no words", row[1])
			}
		}
	})
	t.Run("it is the one that the values give", func(t *testing.T) {
		docs := tool(t, "helm-docs")
		cmd := exec.Command(docs, "--dry-run", "--sort-values-order", "file", "--log-level", "warning", "--chart-search-root", filepath.Dir(chartDir()))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(string(out)) != strings.TrimSpace(readme) {
			t.Error("README.md is not that of the values: make chart-docs")
		}
	})
}

// Settings that the chart sets and no value may.
var ours = []string{"LISTEN", "INNER_LISTEN", "DATA_DIR"}

func TestConfigKeysAreTheSettings(t *testing.T) {
	t.Parallel()
	for document, tc := range map[string]struct {
		definition string
		own        []string
	}{
		coreDocument:   {"coreConfig", ours},
		bridgeDocument: {"bridgeConfig", append([]string{"CONSOLE_API_URL", "CONSOLE_WEB_URL", "CORE_INNER_URL"}, ours...)},
	} {
		var want []string
		for key, s := range settingsOf(t, document) {
			if s.kind != "secret" && !strings.HasSuffix(key, "_FILE") && !slices.Contains(tc.own, key) {
				want = append(want, key)
			}
		}
		schema := schemaTree(t)
		node, _ := at(schema, "definitions", tc.definition).(map[string]any)
		if node == nil {
			node, _ = at(schema, "$defs", tc.definition).(map[string]any)
		}
		properties, _ := node["properties"].(map[string]any)
		got := slices.Sorted(maps.Keys(properties))
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the document %v (make chart-docs)", document, only(got, want), only(want, got))
		}
		if node["additionalProperties"] != false {
			t.Errorf("%s takes settings that do not exist", tc.definition)
		}
	}
}

func only(a, b []string) (list []string) {
	for _, s := range a {
		if !slices.Contains(b, s) {
			list = append(list, s)
		}
	}
	return list
}

func TestDefaultsAreThoseOfThePrograms(t *testing.T) {
	t.Parallel()
	// In a cluster, gateways need a moment to learn that a pod goes.
	differ := map[string]string{"SHUTDOWN_DELAY": "5s"}
	for component, document := range map[string]string{"core": coreDocument, "bridge": bridgeDocument} {
		settings := settingsOf(t, document)
		config, _ := at(valuesTree(t), component, "config").(map[string]any)
		for key, value := range config {
			want := settings[key].value
			if other, ok := differ[key]; ok {
				want = other
			}
			if fmt.Sprint(value) != want {
				t.Errorf("%s.config.%s is %v, and the program takes %q by itself", component, key, value, want)
			}
		}
		r := render(t, "ee")
		data, _ := at(r.one(t, "ConfigMap", "-"+component).tree, "data").(map[string]any)
		for _, key := range []string{"LISTEN", "INNER_LISTEN"} {
			if listen, _ := data[key].(string); !strings.HasSuffix(settings[key].value, listen) {
				t.Errorf("%s listens on %s, and by itself on %s", component, listen, settings[key].value)
			}
		}
		for key := range data {
			if _, known := settings[strings.TrimSuffix(key, "_FILE")]; !known && settings[key].key == "" {
				t.Errorf("%s gets %s, which is no setting", component, key)
			}
		}
	}
}

func deployment(t testing.TB, r *rendering, component string) *apps.Deployment {
	t.Helper()
	decoded, err := strictly(kinds(t), r.one(t, "Deployment", "-"+component).text)
	if err != nil {
		t.Fatal(err)
	}
	return decoded.(*apps.Deployment) //nolint:forcetypeassert // its kind says so
}

func TestPodsEndAfterTheirDrain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values string
		set    []string
		least  int64 // delay + grace + 6 s in which streams end
	}{
		{"default", nil, 31}, {"ee", nil, 31}, {"cluster", nil, 141},
		{"default", []string{"core.config.SHUTDOWN_GRACE=2m"}, 131},
		{"default", []string{"core.config.SHUTDOWN_GRACE=1500ms", "core.config.SHUTDOWN_DELAY=0s"}, 8},
	} {
		for _, component := range []string{"core", "bridge"} {
			if component == "bridge" && tc.values != "ee" {
				continue
			}
			if got := *deployment(t, render(t, tc.values, tc.set...), component).Spec.Template.Spec.TerminationGracePeriodSeconds; got <= tc.least {
				t.Errorf("%s %v: %s is killed after %d s, and its drain takes %d", tc.values, tc.set, component, got, tc.least)
			}
		}
	}
}

func TestTheEmbeddedStoreHasOnePod(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "gateway"} {
		d := deployment(t, render(t, name), "core")
		if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != apps.RecreateDeploymentStrategyType {
			t.Errorf("%s: %d pods, replaced by %s", name, *d.Spec.Replicas, d.Spec.Strategy.Type)
		}
		if list := append(render(t, name).of("HorizontalPodAutoscaler"), render(t, name).of("PodDisruptionBudget")...); len(list) > 0 {
			t.Errorf("%s: %v", name, list)
		}
	}
}

// Settings are read at the start, so that pods must be replaced when one changes, and only then.
func TestPodsAreReplacedWhenSettingsChange(t *testing.T) {
	t.Parallel()
	template := func(set ...string) string {
		var b bytes.Buffer
		for _, component := range []string{"core", "bridge"} {
			text, err := json.Marshal(deployment(t, render(t, "ee", set...), component).Spec.Template)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(text, '\n'))
		}
		return b.String()
	}
	was := strings.Split(template(), "\n")
	for _, tc := range []struct {
		set          string
		core, bridge bool
	}{
		{"core.config.LOG_LEVEL=debug", true, false},
		{"bridge.config.LOG_LEVEL=debug", false, true},
		{"text:core.restartToken=2", true, false},
		{"core.config.CONSOLE_API_URL=https://console.corp.example/", true, true},
		{"core.replicas=5", false, false},
		{"core.service.port=81", false, false},
	} {
		now := strings.Split(template(tc.set), "\n")
		if changed := now[0] != was[0]; changed != tc.core {
			t.Errorf("%s: pods of core are replaced: %v", tc.set, changed)
		}
		if changed := now[1] != was[1]; changed != tc.bridge {
			t.Errorf("%s: pods of the bridge are replaced: %v", tc.set, changed)
		}
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	helm := tool(t, "helm")
	for _, name := range valuesFiles(t) {
		out, err := exec.Command(helm, "lint", "--strict", chartDir(), "--values", filepath.Join(chartDir(), "ci", name+"-values.yaml")).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// Most clusters are still installed by Helm 3.
func TestHelm3RendersTheSame(t *testing.T) {
	t.Parallel()
	helm3 := tool(t, "helm3")
	for _, name := range valuesFiles(t) {
		old, err := tryWith(helm3, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if was, is := inOrder(old), inOrder(render(t, name)); was != is {
			_ = os.WriteFile(filepath.Join(t.TempDir(), name), []byte(was), 0o600)
			t.Errorf("%s: the renderings differ:\n%s\n---\n%s", name, was, is)
		}
	}
}

// inOrder are the objects of a rendering as JSON, whatever the order and form that helm gave them.
func inOrder(r *rendering) string {
	var list []string
	for _, o := range r.objects {
		text, _ := json.Marshal(o.tree) //nolint:errchkjson // it was read from YAML
		list = append(list, string(text))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}
