// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// probed describes what succeeds never.
var probed = operation{summary: "Kept for installers that probe whether a set-up is due", fails: []*fault.Error{installation.ErrNotSetUp, installation.ErrAlreadySetUp}}

// consoleRows are what scripts of a signed-in browser ask.
func (a *api) consoleRows() []row {
	return []row{
		{method: http.MethodGet, path: "/console/api/setup", caller: open, share: private, handle: a.setupState,
			about: operation{summary: "Whether the installation is set up", answers: map[int]any{200: setupStateResponse{}}}},
		{method: http.MethodPost, path: "/console/api/setup", caller: setUp, media: []string{json}, body: small, limits: setupLimit, handle: a.setup,
			about: operation{summary: "Create the first owner", body: setupRequest{}, answers: map[int]any{201: resultResponse{}},
				fails: []*fault.Error{installation.ErrSetupCodeWrong, installation.ErrAlreadySetUp}}},
		{method: http.MethodPost, path: "/console/api/init", caller: setUp, handle: a.probeSetup, about: probed},
		{method: http.MethodPost, path: "/console/api/register", caller: setUp, handle: a.probeSetup, about: probed},
		{method: http.MethodPost, path: "/console/api/login", caller: signIn, media: []string{json}, body: small, handle: a.login, step: StepConsole,
			about: operation{summary: "Sign in with a password; sets the session's cookies", body: loginRequest{}, answers: map[int]any{200: resultResponse{}},
				fails: []*fault.Error{console.ErrInvalidCredentials, limits.ErrTooMany}}},
		{method: http.MethodPost, path: "/console/api/logout", caller: cookieLoose, handle: a.logout,
			about: operation{summary: "Sign out; without a session there is nothing to do", answers: map[int]any{200: resultResponse{}}}},
		{method: http.MethodGet, path: "/console/api/csrf-token", caller: cookieRead, share: credentialed, handle: a.csrfToken,
			about: operation{summary: "The token that writes carry", answers: map[int]any{200: csrfTokenResponse{}}}},
		{method: http.MethodGet, path: "/console/api/account/profile", caller: cookieRead, handle: a.profile,
			about: operation{summary: "The signed-in account", answers: map[int]any{200: profileResponse{}}}},
		{method: http.MethodPost, path: "/console/api/account/password", caller: cookieWrite, media: []string{json}, body: small, handle: a.changePassword,
			about: operation{summary: "Change the password; all other browsers are signed out", body: passwordRequest{}, answers: map[int]any{200: resultResponse{}},
				fails: []*fault.Error{console.ErrInvalidCredentials, limits.ErrTooMany}}},
		{method: http.MethodGet, path: "/console/api/sessions", caller: cookieRead, handle: a.consoleSessions,
			about: operation{summary: "The browsers that the account is signed in with, newest first", answers: map[int]any{200: consoleSessionsResponse{}}}},
		{method: http.MethodDelete, path: "/console/api/sessions/:id", caller: cookieWrite, handle: a.endConsoleSession,
			about: operation{summary: "Sign a browser out", answers: map[int]any{200: resultResponse{}}, fails: []*fault.Error{console.ErrSessionNotFound}}},
		{method: http.MethodGet, path: "/console/api/workspaces", caller: cookieRead, handle: a.consoleWorkspaces,
			about: operation{summary: "The account's workspaces", answers: map[int]any{200: consoleWorkspacesResponse{}}}},
		{method: http.MethodGet, path: "/console/api/system-features", caller: open, share: private, handle: a.systemFeatures,
			about: operation{summary: "What this installation offers to somebody who signs in", answers: map[int]any{http.StatusOK: systemFeatures{}}}},
		{method: http.MethodPost, path: "/console/api/workspaces/switch", caller: cookieWrite, media: []string{json}, body: small, handle: a.consoleSwitch,
			about: operation{summary: "Make a workspace the current one", body: consoleSwitchRequest{}, answers: map[int]any{200: resultResponse{}},
				fails: []*fault.Error{workspace.ErrNotFound}}},
	}
}
