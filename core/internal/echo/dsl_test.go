// SPDX-License-Identifier: Apache-2.0

package echo_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/echo"
	"github.com/dify-sso/dify-sso/core/internal/run"
)

func TestDescriptions(t *testing.T) {
	rt := echo.New(echo.Options{Now: time.Now})
	for name, config := range map[string]string{
		"an app without a configuration": ``, "one with a form": `{"echo":{"slow_ms":1},"user_input_form":[{"select":{"options":["no","1","~"],"required":true,"variable":"a: b"}}]}`,
		"texts that YAML could take for something else": `{"opening_statement":"yes\n- no: \"#1\"\t{{x}}\u2028","suggested_questions":["null","0x1","1e3",""," a ","2026-01-01"]}`,
	} {
		t.Run("API-29 an export is a declaration that comes to the same app: "+name, func(t *testing.T) {
			at := run.Target{Name: "A: \"b\" #c", Mode: apps.Workflow, Runtime: apps.RuntimeEcho, Config: config, Features: apps.Features{DSL: true}}
			text, err := rt.Export(t.Context(), at, "u_1", run.ExportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var file struct {
				Version int
				Apps    []apps.Declaration
			}
			if err := yaml.UnmarshalWithOptions([]byte(text), &file, yaml.Strict()); err != nil || file.Version != 1 || len(file.Apps) != 1 {
				t.Fatalf("%v %s", err, text)
			}
			d := file.Apps[0]
			if d.Name != at.Name || *d.Mode != at.Mode || *d.Runtime != at.Runtime || !d.Features.DSL || d.Features.HumanInput {
				t.Errorf("%+v", d)
			}
			var want, got map[string]any
			_ = json.Unmarshal([]byte(config), &want)
			again, _ := json.Marshal(d.RuntimeConfig)
			if err := json.Unmarshal(again, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s instead of %s in\n%s", again, config, text)
			}
		})
	}
	t.Run("API-29 what it does not offer", func(t *testing.T) {
		if _, err := rt.Export(t.Context(), run.Target{}, "u_1", run.ExportOptions{WorkflowID: "x"}); !errors.Is(err, run.ErrNoWorkflowRun) {
			t.Error(err)
		}
		if _, err := rt.Import(t.Context(), run.Target{}, "u_1", run.Description{}); !errors.Is(err, run.ErrUnsupported) {
			t.Error(err)
		}
		if _, err := rt.Confirm(t.Context(), run.Target{}, "u_1", "x"); !errors.Is(err, run.ErrNoImport) {
			t.Error(err)
		}
	})
}
