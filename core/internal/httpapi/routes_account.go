// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// accountRows are a client's own person and sessions, behind a bearer: also of people
// without an account, whose clients could not sign out otherwise.
func (a *api) accountRows() []row {
	return []row{
		{method: http.MethodGet, path: base + "/account", caller: bearer, rule: authz.Rule{Subjects: anySubject, Extra: limits.AccountRead}, handle: a.account,
			about: operation{summary: "Whom the token stands for", answers: map[int]any{200: accountResponse{}}}},
		{method: http.MethodGet, path: base + "/account/sessions", caller: bearer, rule: authz.Rule{Subjects: anySubject}, handle: a.sessions,
			about: operation{summary: "The caller's signed-in devices, newest first", query: sessionsQuery{}, answers: map[int]any{200: pageJSON[sessionJSON]{}}}},
		{method: http.MethodDelete, path: base + "/account/sessions", caller: bearer, rule: authz.Rule{Subjects: anySubject}, handle: a.endOtherSessions,
			about: operation{summary: "Sign all other devices of the caller out", answers: map[int]any{200: revokedResponse{}},
				samples: map[int]any{200: revokedResponse{Status: "revoked", Revoked: new(2)}}}},
		{method: http.MethodDelete, path: base + "/account/sessions/self", caller: bearer, rule: authz.Rule{Subjects: anySubject}, handle: a.endOwnSession,
			about: operation{summary: "Sign this device out", answers: map[int]any{200: revokedResponse{}}}},
		{method: http.MethodDelete, path: base + "/account/sessions/:id", caller: bearer, rule: authz.Rule{Subjects: anySubject}, handle: a.endSession,
			about: operation{summary: "Sign one of the caller's devices out", answers: map[int]any{200: revokedResponse{}}, fails: []*fault.Error{token.ErrSessionNotFound}}},
	}
}
