// SPDX-License-Identifier: Apache-2.0

package app

import (
	"slices"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	engine "github.com/dify-sso/dify-sso/pkg/limits"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/innerapi"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// AuditKinds is every kind of event that the bridge writes.
// docs/reference/sso-bridge-audit-events.md is made of it.
func AuditKinds() []audit.Kind {
	return slices.Concat(connection.AuditKinds(), innerapi.AuditKinds(), installation.AuditKinds(), engine.AuditKinds(), login.AuditKinds(), idpsource.AuditKinds(), spkeys.AuditKinds(),
		[]audit.Kind{{Of: keyset.Reloaded{}, When: "SIGHUP read a key set and put it in force"}})
}
