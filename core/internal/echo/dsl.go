// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"context"
	"encoding/json"

	"github.com/goccy/go-yaml"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
)

var _ run.DSL = (*Runtime)(nil)

// declared is a file of declarations with one app: all that an app of this runtime is. "core
// app import" takes it.
type declared struct {
	Version int           `json:"version"`
	Apps    []declaration `json:"apps"`
}

type declaration struct {
	Name     string                    `json:"name"`
	Mode     apps.Mode                 `json:"mode"`
	Runtime  apps.Runtime              `json:"runtime"`
	Features apps.DeclarationsFeatures `json:"runtime_features"`
	Config   json.RawMessage           `json:"runtime_config,omitempty"`
}

// Export implements run.DSL. There are no secrets, and no versions.
func (r *Runtime) Export(_ context.Context, t run.Target, _ string, o run.ExportOptions) (string, error) {
	if o.WorkflowID != "" {
		return "", run.ErrNoWorkflowRun.Saying("No such version of this app's workflow.")
	}
	content, err := json.Marshal(declared{1, []declaration{{t.Name, t.Mode, t.Runtime, apps.DeclarationsFeatures(t.Features), json.RawMessage(t.Config)}}})
	if err != nil {
		return "", err
	}
	text, err := yaml.JSONToYAML(content)
	return string(text), err
}

// Dependencies implements run.DSL: everything is in this process.
func (r *Runtime) Dependencies(context.Context, run.Target, string) ([]json.RawMessage, error) {
	return []json.RawMessage{}, nil
}

// Import implements run.DSL. What an app of this runtime is stands in the registry, which
// its members and "core app import" keep.
func (r *Runtime) Import(context.Context, run.Target, string, run.Description) (run.Imported, error) {
	return run.Imported{}, run.ErrUnsupported
}

// Confirm implements run.DSL.
func (r *Runtime) Confirm(context.Context, run.Target, string, string) (run.Imported, error) {
	return run.Imported{}, run.ErrNoImport
}
