// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// DSL is a Runtime that gives out what its apps are made of, and takes it in
// (docs/specs/v1.0/server/apps.md, Import and export). It is asked for apps alone that
// declare it.
type DSL interface {
	// Export gives an app's description.
	Export(ctx context.Context, t Target, user string, o ExportOptions) (yaml string, err error)
	// Dependencies lists what an app needs and its runtime lacks, objects all.
	Dependencies(ctx context.Context, t Target, user string) ([]json.RawMessage, error)
	// Import changes the app of the target's key, or makes one where the key is the
	// importer's.
	Import(ctx context.Context, t Target, user string, d Description) (Imported, error)
	// Confirm goes on with an import, or returns ErrNoImport.
	Confirm(ctx context.Context, t Target, user, importID string) (Imported, error)
}

// ExportOptions say what an export holds.
type ExportOptions struct {
	Secrets bool
	// WorkflowID is a version of the app's workflow; empty for the one that is edited.
	WorkflowID string
}

// Description is an app's, or where it is found, as clients and runtimes write it.
type Description struct {
	Mode           string  `json:"mode"` // yaml-content or yaml-url
	YAMLContent    *string `json:"yaml_content,omitempty"`
	YAMLURL        *string `json:"yaml_url,omitempty"`
	Name           *string `json:"name,omitempty"`
	Description    *string `json:"description,omitempty"`
	IconType       *string `json:"icon_type,omitempty"`
	Icon           *string `json:"icon,omitempty"`
	IconBackground *string `json:"icon_background,omitempty"`
}

// ImportStatus is how far an import has come.
type ImportStatus string

// The statuses of an import.
const (
	ImportCompleted ImportStatus = "completed"
	ImportWarned    ImportStatus = "completed-with-warnings"
	ImportPending   ImportStatus = "pending" // somebody must confirm it
	ImportFailed    ImportStatus = "failed"
)

// Imported is what a runtime says of an import.
type Imported struct {
	ID     string
	Status ImportStatus
	// Error is a sentence for people; empty for none.
	Error string
	// AppID is the runtime's own name of the app. It names nothing here.
	AppID string
	// Name, Mode and Key are told of an app that was made, so that it can be run.
	Name string
	Mode apps.Mode
	Key  secret.Text
}

// Import is an import as its caller hears of it.
type Import struct {
	ID     string
	Status ImportStatus
	// AppID is the app's in the registry; empty for one that is not there.
	AppID string
	Error string
}

// ErrNoImport: no import of this id waits to be confirmed by this caller in this workspace.
var ErrNoImport = fault.New(fault.NotFound, "import_not_found", "No such import.")

// Export gives an app's description, or ErrUnsupported.
func (s *Service) Export(ctx context.Context, who Caller, a apps.App, o ExportOptions) (string, error) {
	t, runtime, err := s.describer(a)
	if err != nil {
		return "", err
	}
	return runtime.Export(ctx, t, UserOf(who.Subject), o)
}

// Dependencies lists what an app needs and its runtime lacks, or returns ErrUnsupported.
func (s *Service) Dependencies(ctx context.Context, who Caller, a apps.App) ([]json.RawMessage, error) {
	t, runtime, err := s.describer(a)
	if err != nil {
		return nil, err
	}
	return runtime.Dependencies(ctx, t, UserOf(who.Subject))
}

// describer is target for an app whose runtime is said to be a DSL, and is one.
func (s *Service) describer(a apps.App) (Target, DSL, error) {
	if !a.Features.DSL {
		return Target{}, nil, ErrUnsupported
	}
	t, runtime, err := s.target(a)
	if err != nil {
		return Target{}, nil, err
	}
	d, ok := runtime.(DSL)
	if !ok {
		return Target{}, nil, ErrUnsupported
	}
	return t, d, nil
}
