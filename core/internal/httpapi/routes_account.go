// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/limits"
)

// accountRows are a client's own person and sessions, behind a bearer.
func (a *api) accountRows() []row {
	return []row{
		{method: http.MethodGet, path: base + "/account", caller: bearer, rule: authz.Rule{Subjects: accountsOnly, Extra: limits.AccountRead}, handle: a.account},
		{method: http.MethodGet, path: base + "/account/sessions", caller: bearer, rule: authz.Rule{Subjects: accountsOnly}, handle: a.sessions},
		{method: http.MethodDelete, path: base + "/account/sessions", caller: bearer, rule: authz.Rule{Subjects: accountsOnly}, handle: a.endOtherSessions},
		{method: http.MethodDelete, path: base + "/account/sessions/self", caller: bearer, rule: authz.Rule{Subjects: accountsOnly}, handle: a.endOwnSession},
		{method: http.MethodDelete, path: base + "/account/sessions/:id", caller: bearer, rule: authz.Rule{Subjects: accountsOnly}, handle: a.endSession},
	}
}
