// SPDX-License-Identifier: Apache-2.0

package app

import (
	"slices"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/limits"
)

// AuditKinds is every kind of event that core writes. docs/reference/audit-events.md is
// made of it, and a test compares it with the sources.
func AuditKinds() []audit.Kind {
	return slices.Concat(access.AuditKinds(), apps.AuditKinds(), authz.AuditKinds(), console.AuditKinds(), devicegrant.AuditKinds(), httpapi.AuditKinds(),
		installation.AuditKinds(), limits.AuditKinds(), run.AuditKinds(), sso.AuditKinds(), token.AuditKinds(), workspace.AuditKinds(), []audit.Kind{
			{Of: envelope.RequestRefused{}, When: "a request of sso-bridge carried no token that lets it in"},
			{Of: keyset.Reloaded{}, When: "SIGHUP read a key set and put it in force"},
		})
}
