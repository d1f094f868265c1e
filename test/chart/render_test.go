// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Release and namespace of every rendering.
const (
	release   = "sso"
	namespace = "sign-in"
)

// root is the folder of the workspace.
var root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.work")); missing == nil {
			return dir
		}
	}
	panic("no go.work above the working directory")
})

// chartDir is the chart; CHART names another working copy of it.
func chartDir() string {
	if dir := os.Getenv("CHART"); dir != "" {
		return dir
	}
	return filepath.Join(root(), "deploy", "helm", "dify-sso")
}

// missing leaves a test out where a tool is not there, but for CI, which must have it.
func missing(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("%s: %v; \"make deps\" installs it", what, err)
}

// tool finds a program of the cache, or by the variable of its name.
func tool(t testing.TB, name string) string {
	t.Helper()
	path := os.Getenv(strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	if path == "" {
		path = filepath.Join(root(), ".cache", "bin", name)
	}
	if _, err := os.Stat(path); err != nil {
		missing(t, name, err)
	}
	return path
}

// valuesFiles are the examples of ci/ by name, such as ee.
func valuesFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartDir(), "ci", "*-values.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no values files: %v", err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), "-values.yaml"))
	}
	return names
}

// object is one of a rendering.
type object struct {
	text []byte
	tree map[string]any
}

func (o object) kind() string { s, _ := o.tree["kind"].(string); return s }
func (o object) name() string { return fmt.Sprint(at(o.tree, "metadata", "name")) }
func (o object) String() string {
	return o.kind() + " " + o.name()
}

// at walks down a tree; nil where there is nothing.
func at(tree any, path ...string) any {
	for _, p := range path {
		m, _ := tree.(map[string]any)
		tree = m[p]
	}
	return tree
}

// rendering is what helm made of one set of values.
type rendering struct {
	text    string
	objects []object
}

func (r *rendering) of(kind string) (list []object) {
	for _, o := range r.objects {
		if o.kind() == kind {
			list = append(list, o)
		}
	}
	return list
}

// one gives the object of a kind whose name ends so.
func (r *rendering) one(t testing.TB, kind, suffix string) object {
	t.Helper()
	for _, o := range r.of(kind) {
		if strings.HasSuffix(o.name(), suffix) {
			return o
		}
	}
	t.Fatalf("no %s whose name ends with %s", kind, suffix)
	return object{}
}

var errRefused = errors.New("helm refuses")

// rendered keeps what was rendered, for a rendering takes a fifth of a second.
var rendered sync.Map

type outcome struct {
	r   *rendering
	err error
}

// try renders the chart with the values of a file, where one is named, and what --set gets.
func try(t testing.TB, name string, set ...string) (*rendering, error) {
	t.Helper()
	return tryWith(tool(t, "helm"), name, set...)
}

func tryWith(helm, name string, set ...string) (*rendering, error) {
	key := strings.Join(append([]string{helm, name}, set...), "\x00")
	once, _ := rendered.LoadOrStore(key, sync.OnceValue(func() outcome {
		r, err := helmTemplate(helm, name, set)
		return outcome{r, err}
	}))
	o := once.(func() outcome)() //nolint:forcetypeassert // nothing else is stored
	return o.r, o.err
}

func helmTemplate(helm, name string, set []string) (*rendering, error) {
	args := []string{"template", release, chartDir(), "--namespace", namespace, "--kube-version", "1.37.2"} // helm 3 of the module proxy knows no version
	if name != "" {
		args = append(args, "--values", filepath.Join(chartDir(), "ci", name+"-values.yaml"))
	}
	for _, s := range set {
		flag := "--set"
		if text, ok := strings.CutPrefix(s, "text:"); ok {
			flag, s = "--set-string", text
		} else if tree, ok := strings.CutPrefix(s, "json:"); ok {
			flag, s = "--set-json", tree
		} else if strings.HasPrefix(s, "--") {
			args = append(args, s)
			continue
		}
		args = append(args, flag, s)
	}
	cmd := exec.Command(helm, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", errRefused, errs.String())
	}
	return parse(out.String())
}

// parse takes what helm wrote apart.
func parse(text string) (*rendering, error) {
	r := &rendering{text: text}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		var tree map[string]any
		if err := yaml.UnmarshalStrict(document, &tree); err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, document)
		}
		if len(tree) > 0 {
			r.objects = append(r.objects, object{slices.Clone(document), tree})
		}
	}
}

// render is try for values that hold.
func render(t testing.TB, name string, set ...string) *rendering {
	t.Helper()
	r, err := try(t, name, set...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// variants are values that the tests of every pod, Service and route look at: the examples,
// and switches that add objects which no example has.
func variants(t testing.TB) map[string]*rendering {
	t.Helper()
	all := map[string]*rendering{}
	for _, name := range valuesFiles(t) {
		all[name] = render(t, name)
	}
	for name, v := range map[string]struct {
		file string
		set  []string
	}{
		"ee with a probe account":    {"ee", []string{"probeClient.existingSecret=probe", "probeClient.ca.configMap=inner-roots", "probeClient.through=public"}},
		"ee with Jobs":               {"ee", []string{"core.migrations.mode=job", "bridge.migrations.mode=job"}},
		"ee with routes":             {"ee", []string{"ingress.enabled=false", "httpRoute.enabled=true", "httpRoute.parentRefs[0].name=public"}},
		"sentinel with a bridge":     {"sentinel", []string{"bridge.enabled=true", "bridge.config.SSO_BRIDGE_PUBLIC_URL=https://login.example.com", "bridge.secrets.existingSecret=b", "keyset.existingSecret=k", "bridge.autoscaling.enabled=true"}},
		"ee that is monitored":       {"ee", monitored},
		"ha with a bridge elsewhere": {"ha", []string{"core.config.ENTERPRISE_ENABLED=true", "core.config.SSO_BRIDGE_URL=https://bridge:5004", "core.config.SSO_BRIDGE_PUBLIC_URL=https://login.example.com", "keyset.existingSecret=k"}},
	} {
		all[name] = render(t, v.file, v.set...)
	}
	return all
}
