// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/resource"
	"github.com/yannh/kubeconform/pkg/validator"
)

// versions of Kubernetes whose descriptions of the API "make deps" keeps.
var versions = []string{"v1.35.0", "v1.36.0", "v1.37.2"}

// Kinds that Kubernetes itself does not describe; TestEveryObjectFitsItsType judges them.
var custom = map[string]struct{}{"HTTPRoute": {}, "ServiceMonitor": {}, "PrometheusRule": {}}

// schemas makes from the description of one version what kubeconform reads: a file for each kind that refuses what it
// does not name.
func schemas(t testing.TB, version string) (dir string) {
	t.Helper()
	file := filepath.Join(root(), ".cache", "kubernetes", version+".json")
	content, err := os.ReadFile(file)
	if err != nil {
		missing(t, "the API of Kubernetes "+version, err)
	}
	var document struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	for name, d := range document.Definitions {
		switch {
		case strings.HasSuffix(name, ".util.intstr.IntOrString"):
			document.Definitions[name] = map[string]any{"type": []string{"string", "integer"}}
		case strings.HasSuffix(name, ".api.resource.Quantity"):
			document.Definitions[name] = map[string]any{"type": []string{"string", "number"}}
		case d["properties"] != nil && d["additionalProperties"] == nil && d["x-kubernetes-preserve-unknown-fields"] == nil:
			d["additionalProperties"] = false
		}
	}
	dir = t.TempDir()
	for name, d := range document.Definitions {
		groups, _ := d["x-kubernetes-group-version-kind"].([]any)
		if len(groups) != 1 {
			continue
		}
		gvk, _ := groups[0].(map[string]any)
		group, _, _ := strings.Cut(gvk["group"].(string), ".")                                                    //nolint:forcetypeassert // swagger.json
		parts := []string{strings.ToLower(gvk["kind"].(string)), group, strings.ToLower(gvk["version"].(string))} //nolint:forcetypeassert // swagger.json
		schema := map[string]any{"$ref": "#/definitions/" + name, "definitions": within(document.Definitions, name, map[string]any{})}
		text, err := json.Marshal(schema)
		if err != nil {
			t.Fatal(err)
		}
		parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
		if err := os.WriteFile(filepath.Join(dir, strings.Join(parts, "-")+".json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// within are the definitions that one refers to, itself included.
func within(all map[string]map[string]any, name string, found map[string]any) map[string]any {
	if found[name] != nil {
		return found
	}
	found[name] = all[name]
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				within(all, strings.TrimPrefix(ref, "#/definitions/"), found)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(any(all[name]))
	return found
}

func TestObjectsFitEveryVersionOfKubernetes(t *testing.T) {
	t.Parallel()
	all := variants(t)
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			v, err := validator.New([]string{filepath.Join(schemas(t, version), "{{.ResourceKind}}{{.KindSuffix}}.json")}, validator.Opts{Strict: true, SkipKinds: custom})
			if err != nil {
				t.Fatal(err)
			}
			judge := func(name, text string) (valid int, wrong []string) {
				for _, result := range v.Validate(name, io.NopCloser(strings.NewReader(text))) {
					switch result.Status {
					case validator.Valid:
						valid++
					case validator.Skipped, validator.Empty:
					default:
						signature, _ := signatureOf(result.Resource)
						wrong = append(wrong, signature+": "+errorText(result.Err))
					}
				}
				return valid, wrong
			}
			for _, name := range slices.Sorted(maps.Keys(all)) {
				valid, wrong := judge(name, all[name].text)
				if len(wrong) > 0 || valid < 5 {
					t.Errorf("%s: %d valid, and %q", name, valid, wrong)
				}
			}
			if _, wrong := judge("a wrong one", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {prots: []}\n"); len(wrong) != 1 {
				t.Error("a member that is none was taken")
			}
		})
	}
}

func signatureOf(r resource.Resource) (string, error) {
	s, err := r.Signature()
	if s == nil {
		return "an object", err
	}
	return s.Kind + " " + s.Name, err
}

func errorText(err error) string {
	if err == nil {
		return "no reason"
	}
	return err.Error()
}
