// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// Release and namespace of every installation.
const (
	release   = "sso"
	namespace = "sign-in"
)

// manifests are the objects of one rendering that a node runs.
type manifests struct {
	text, notes string
	configs     map[string]corev1.ConfigMap
	services    []corev1.Service
	claims      map[string]bool
	deployments []appsv1.Deployment
	jobs        []batchv1.Job
	tests       []corev1.Pod // of "helm test"
	ingresses   []networkingv1.Ingress
	routes      []httpRoute
}

// httpRoute is what is read of one of gateway.networking.k8s.io/v1.
type httpRoute struct {
	Spec struct {
		Hostnames []string `json:"hostnames"`
		Rules     []struct {
			Matches []struct {
				Path struct{ Type, Value string } `json:"path"`
			} `json:"matches"`
			Timeouts    struct{ Request string } `json:"timeouts"`
			BackendRefs []struct {
				Name string `json:"name"`
				Port int    `json:"port"`
			} `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
}

// tool finds a program of the cache, or by the variable of its name.
func tool(t testing.TB, name string) string {
	t.Helper()
	root, err := process.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := os.Getenv(strings.ToUpper(name))
	if path == "" {
		path = filepath.Join(root, ".cache", "bin", name)
	}
	if _, err := os.Stat(path); err != nil {
		testserver.Missing(t, name, err)
	}
	return path
}

// render is "helm install --dry-run=client", which prints what "helm install" sends and
// says. base is an example of the chart's ci folder or empty; values are YAML over it.
func render(t testing.TB, base, values string) *manifests {
	t.Helper()
	root, err := process.Root()
	if err != nil {
		t.Fatal(err)
	}
	chart := filepath.Join(root, "deploy", "helm", "dify-sso")
	args := []string{"install", release, chart, "--namespace", namespace, "--dry-run=client"}
	if base != "" {
		args = append(args, "-f", filepath.Join(chart, "ci", base+"-values.yaml"))
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "helm"), append(args, "-f", file)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(t.TempDir(), "none"), "HELM_PLUGINS="+t.TempDir())
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("helm install: %v\n%s", err, said)
	}
	head, notes, found := strings.Cut(string(said), "\nNOTES:\n")
	if !found {
		t.Fatalf("helm prints no notes:\n%s", said)
	}
	m := &manifests{text: head, notes: notes, configs: map[string]corev1.ConfigMap{}, claims: map[string]bool{}}
	for _, document := range regexp.MustCompile(`(?m)^---$`).Split(head, -1)[1:] {
		document, _, _ = strings.Cut(document, "\nMANIFEST:\n")
		m.take(t, document)
	}
	if len(m.deployments) == 0 {
		t.Fatalf("nothing to run in:\n%s", said)
	}
	return m
}

func (m *manifests) take(t testing.TB, document string) {
	t.Helper()
	var kind struct {
		Kind     string
		Metadata struct{ Name string }
	}
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	into := func(v any) {
		t.Helper()
		if err := yaml.UnmarshalStrict([]byte(document), v); err != nil {
			t.Fatalf("%s %s: %v", kind.Kind, kind.Metadata.Name, err)
		}
	}
	switch kind.Kind {
	case "ConfigMap":
		var c corev1.ConfigMap
		into(&c)
		m.configs[c.Name] = c
	case "Service":
		var s corev1.Service
		into(&s)
		m.services = append(m.services, s)
	case "PersistentVolumeClaim":
		m.claims[kind.Metadata.Name] = true
	case "Deployment":
		var d appsv1.Deployment
		into(&d)
		m.deployments = append(m.deployments, d)
	case "Job":
		var j batchv1.Job
		into(&j)
		m.jobs = append(m.jobs, j)
	case "Pod":
		var p corev1.Pod
		into(&p)
		m.tests = append(m.tests, p)
	case "Ingress":
		var i networkingv1.Ingress
		into(&i)
		m.ingresses = append(m.ingresses, i)
	case "HTTPRoute":
		var r httpRoute
		if err := yaml.Unmarshal([]byte(document), &r); err != nil {
			t.Fatal(err)
		}
		m.routes = append(m.routes, r)
	case "", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "HorizontalPodAutoscaler", "PrometheusRule", "ServiceMonitor":
	default:
		t.Fatalf("the node knows no %s", kind.Kind)
	}
}

// told gives the command that the notes print for the pods of a deployment, such as
// /core admin setup-code.
func (m *manifests) told(t testing.TB, deployment, contains string) []string {
	t.Helper()
	for line := range strings.Lines(m.notes) {
		before, command, found := strings.Cut(strings.TrimSpace(line), " -- ")
		if found && strings.HasSuffix(before, "exec deployment/"+deployment) && strings.Contains(command, contains) {
			return strings.Fields(command)
		}
	}
	t.Fatalf("the notes tell no %q in %s:\n%s", contains, deployment, m.notes)
	return nil
}

func decode[T any](t testing.TB, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}
