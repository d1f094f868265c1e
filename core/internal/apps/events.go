// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
)

// created is app.created.
type created struct {
	AppID   string  `json:"app_id"`
	Name    string  `json:"name"`
	Mode    Mode    `json:"mode"`
	Runtime Runtime `json:"runtime"`
	Access  Access  `json:"access_mode"`
}

// EventName implements audit.Details.
func (created) EventName() string { return "app.created" }

// updated is app.updated. Changed names members, whose values are told nowhere.
type updated struct {
	AppID   string   `json:"app_id"`
	Changed []string `json:"changed"`
}

// EventName implements audit.Details.
func (updated) EventName() string { return "app.updated" }

// accessChanged is app.access_changed. Added and Removed are accounts.
type accessChanged struct {
	AppID   string   `json:"app_id"`
	Changed []string `json:"changed"`
	Access  Access   `json:"access_mode"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// EventName implements audit.Details.
func (accessChanged) EventName() string { return "app.access_changed" }

// keyChanged is app.key_changed. Set says that the app has a key now.
type keyChanged struct {
	AppID string `json:"app_id"`
	Set   bool   `json:"set"`
}

// EventName implements audit.Details.
func (keyChanged) EventName() string { return "app.key_changed" }

// deleted is app.deleted.
type deleted struct {
	AppID string `json:"app_id"`
	Name  string `json:"name"`
}

// EventName implements audit.Details.
func (deleted) EventName() string { return "app.deleted" }

// about makes an event of one app.
func about(ctx context.Context, now time.Time, by By, a App, d audit.Details) audit.Event {
	return audit.New(ctx, now, by.Actor, d).Workspace(a.WorkspaceID)
}

// AuditKinds lists the kinds of event of this package.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: created{}, When: "an app was put into the registry; one that came with a key, or with a list of who may use it, has the events of those too"},
		{Of: updated{}, When: "members of an app were changed, other than who may use it and its key"},
		{Of: accessChanged{}, When: "an app was given another access mode, or accounts were put on its list of access or taken off it"},
		{Of: keyChanged{}, When: "an app was given another key at its runtime, or lost the one it had, which another scheme, host or port of its runtime's address takes away"},
		{Of: deleted{}, When: "an app was taken out of the registry"},
	}
}
