// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const registryLimit = 20

type consoleAppsQuery struct {
	Page  int `json:"page" doc:"which one, from 1" api:"min=1;default=1"`
	Limit int `json:"limit" doc:"rows of a page" api:"min=1;max=200;default=20"`
}

type consoleAppFeaturesJSON struct {
	DSL        bool `json:"dsl" doc:"it imports and exports apps"`
	HumanInput bool `json:"human_input" doc:"its workflows pause for people"`
}

// consoleAppFeaturesRequest is the same as it is asked for.
type consoleAppFeaturesRequest struct {
	DSL        bool `json:"dsl" doc:"it imports and exports apps" api:"default=false"`
	HumanInput bool `json:"human_input" doc:"its workflows pause for people" api:"default=false"`
}

// consoleAppJSON is an app as a list shows it.
type consoleAppJSON struct {
	ID          string                 `json:"id" api:"format=uuid"`
	WorkspaceID string                 `json:"workspace_id" api:"format=uuid"`
	Name        string                 `json:"name"`
	Description string                 `json:"description"`
	Mode        string                 `json:"mode" api:"enum=chat|agent-chat|advanced-chat|completion|workflow|agent|channel|rag-pipeline"`
	Tags        []string               `json:"tags"`
	Author      string                 `json:"author"`
	Runtime     string                 `json:"runtime" api:"enum=dify|echo"`
	RuntimeURL  string                 `json:"runtime_url" doc:"empty where none is set"`
	Features    consoleAppFeaturesJSON `json:"runtime_features"`
	APIEnabled  bool                   `json:"api_enabled"`
	Access      string                 `json:"access_mode" api:"enum=public|sso_verified|internal_all|internal"`
	MaxActive   int                    `json:"max_active_requests" doc:"runs at once; 0 takes APP_DEFAULT_ACTIVE_REQUESTS"`
	Status      string                 `json:"status" api:"enum=normal|archived"`
	CreatedBy   string                 `json:"created_by_name" doc:"empty where no account has made it"`
	CreatedAt   string                 `json:"created_at" api:"format=date-time"`
	UpdatedAt   string                 `json:"updated_at" api:"format=date-time"`
}

func newConsoleApp(s apps.Summary) consoleAppJSON {
	tags := s.Tags
	if tags == nil {
		tags = []string{}
	}
	return consoleAppJSON{
		ID: s.ID, WorkspaceID: s.WorkspaceID, Name: s.Name, Description: s.Description, Mode: string(s.Mode), Tags: tags, Author: s.Author,
		Runtime: string(s.Runtime), RuntimeURL: s.RuntimeURL, Features: consoleAppFeaturesJSON(s.Features), APIEnabled: s.APIEnabled, Access: string(s.Access),
		MaxActive: s.MaxActive, Status: string(s.Status), CreatedBy: s.CreatedByName, CreatedAt: stamp(s.CreatedAt), UpdatedAt: stamp(s.UpdatedAt),
	}
}

// consoleAppKeyJSON tells of a key without telling it.
type consoleAppKeyJSON struct {
	Set         bool   `json:"set"`
	Fingerprint string `json:"fingerprint" doc:"by which two people see that they mean the same key; empty where none is set"`
}

func newConsoleAppKey(k apps.Key) consoleAppKeyJSON { return consoleAppKeyJSON(k) }

type consoleAppAllowedJSON struct {
	ID    string `json:"id" doc:"the account's" api:"format=uuid"`
	Email string `json:"email" api:"format=idn-email"`
	Name  string `json:"name"`
}

// consoleAppEntryJSON is one app with all that is known of it.
type consoleAppEntryJSON struct {
	consoleAppJSON
	Key     consoleAppKeyJSON       `json:"runtime_key"`
	Allowed []consoleAppAllowedJSON `json:"allowed" doc:"who may use it while its access mode is internal, beside the owner and admins"`
}

func newConsoleAppEntry(e apps.Entry) consoleAppEntryJSON {
	out := consoleAppEntryJSON{consoleAppJSON: newConsoleApp(e.Summary), Key: newConsoleAppKey(e.Key), Allowed: make([]consoleAppAllowedJSON, 0, len(e.Allowed))}
	for _, m := range e.Allowed {
		out.Allowed = append(out.Allowed, consoleAppAllowedJSON{ID: m.AccountID, Email: m.Email, Name: m.Name})
	}
	return out
}

type consoleAppRequest struct {
	Name        *string                    `json:"name" api:"required;min=1;max=255"`
	Description *string                    `json:"description,omitempty"`
	Mode        *string                    `json:"mode" api:"required;enum=chat|agent-chat|advanced-chat|completion|workflow|agent|channel|rag-pipeline"`
	Tags        []string                   `json:"tags,omitempty"`
	Author      *string                    `json:"author,omitempty"`
	Runtime     *string                    `json:"runtime,omitempty" api:"enum=dify|echo;default=dify"`
	RuntimeURL  *string                    `json:"runtime_url,omitempty"`
	Key         *string                    `json:"runtime_key,omitempty"`
	Features    *consoleAppFeaturesRequest `json:"runtime_features,omitempty"`
	APIEnabled  *bool                      `json:"api_enabled,omitempty"`
	Access      *string                    `json:"access_mode,omitempty" api:"enum=public|sso_verified|internal_all|internal;default=internal_all"`
	MaxActive   *int                       `json:"max_active_requests,omitempty" api:"min=0"`
	Allowed     []string                   `json:"allowed,omitempty" doc:"accounts of the workspace"`
}

// draft gives what was not named its default: the API of a new app is on.
func (r consoleAppRequest) draft() apps.Draft {
	d := apps.Draft{
		Name: *r.Name, Description: or(r.Description, ""), Mode: apps.Mode(*r.Mode), Tags: r.Tags, Author: or(r.Author, ""), Runtime: apps.Runtime(or(r.Runtime, string(apps.RuntimeDify))),
		RuntimeURL: or(r.RuntimeURL, ""), Key: secret.New(or(r.Key, "")), Features: apps.Features(or(r.Features, consoleAppFeaturesRequest{})), APIEnabled: or(r.APIEnabled, true),
		Access: apps.Access(or(r.Access, string(apps.InternalAll))), MaxActive: or(r.MaxActive, 0), Allowed: r.Allowed,
	}
	return d
}

// or gives what a member says, or what its absence means.
func or[T any](v *T, absent T) T {
	if v == nil {
		return absent
	}
	return *v
}

type consoleAppChangeRequest struct {
	Name        *string                    `json:"name,omitempty" api:"min=1;max=255"`
	Description *string                    `json:"description,omitempty"`
	Mode        *string                    `json:"mode,omitempty" api:"enum=chat|agent-chat|advanced-chat|completion|workflow|agent|channel|rag-pipeline"`
	Tags        *[]string                  `json:"tags,omitempty"`
	Author      *string                    `json:"author,omitempty"`
	Runtime     *string                    `json:"runtime,omitempty" api:"enum=dify|echo"`
	RuntimeURL  *string                    `json:"runtime_url,omitempty" doc:"another scheme, host or port takes the app's key away"`
	Features    *consoleAppFeaturesRequest `json:"runtime_features,omitempty"`
	APIEnabled  *bool                      `json:"api_enabled,omitempty"`
	Access      *string                    `json:"access_mode,omitempty" api:"enum=public|sso_verified|internal_all|internal"`
	MaxActive   *int                       `json:"max_active_requests,omitempty" api:"min=0"`
	Status      *string                    `json:"status,omitempty" api:"enum=normal|archived"`
}

func (r consoleAppChangeRequest) change() apps.Change {
	return apps.Change{
		Name: r.Name, Description: r.Description, Mode: named[apps.Mode](r.Mode), Tags: r.Tags, Author: r.Author, Runtime: named[apps.Runtime](r.Runtime), RuntimeURL: r.RuntimeURL,
		Features: (*apps.Features)(r.Features), APIEnabled: r.APIEnabled, Access: named[apps.Access](r.Access), MaxActive: r.MaxActive, Status: named[apps.Status](r.Status),
	}
}

func named[T ~string](v *string) *T {
	if v == nil {
		return nil
	}
	t := T(*v)
	return &t
}

type consoleAppKeyRequest struct {
	Key *string `json:"key" doc:"the app's key at its runtime; an empty one takes it away" api:"required"`
}

type consoleAppAccessRequest struct {
	Allowed *[]string `json:"allowed" doc:"accounts of the workspace" api:"required"`
}
