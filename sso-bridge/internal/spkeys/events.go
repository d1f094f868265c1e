// SPDX-License-Identifier: Apache-2.0

package spkeys

import (
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
)

// made is sso.sp_key_made.
type made struct {
	Connection string    `json:"connection"`
	Key        string    `json:"key"`
	NotAfter   time.Time `json:"not_after"`
}

// EventName implements audit.Details.
func (made) EventName() string { return "sso.sp_key_made" }

// staged is sso.sp_key_staged.
type staged struct {
	Connection string    `json:"connection"`
	Key        string    `json:"key"`
	NotAfter   time.Time `json:"not_after"`
}

// EventName implements audit.Details.
func (staged) EventName() string { return "sso.sp_key_staged" }

// promoted is sso.sp_key_promoted.
type promoted struct {
	Connection string `json:"connection"`
	Key        string `json:"key"`
	Former     string `json:"former_key,omitempty"`
	// Forced: nothing said that the provider knows the key.
	Forced bool   `json:"forced"`
	Reason string `json:"reason,omitempty"`
}

// EventName implements audit.Details.
func (promoted) EventName() string { return "sso.sp_key_promoted" }

// retired is sso.sp_key_retired.
type retired struct {
	Connection string `json:"connection"`
	Key        string `json:"key"`
	From       State  `json:"from"`
}

// EventName implements audit.Details.
func (retired) EventName() string { return "sso.sp_key_retired" }

// AuditKinds lists the kinds of event of this package.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: made{}, When: "a connection got its first key for signing requests"},
		{Of: staged{}, When: "a key for signing requests was made and published, and signs nothing yet"},
		{Of: promoted{}, When: "a staged key began to sign requests"},
		{Of: retired{}, When: "a key for signing requests is published no more, by an order or 30 days after its successor began to sign"},
	}
}
