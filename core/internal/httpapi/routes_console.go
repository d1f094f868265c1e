// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"
)

// consoleRows are what scripts of a signed-in browser ask.
func (a *api) consoleRows() []row {
	return []row{
		{method: http.MethodGet, path: "/console/api/setup", caller: open, share: private, handle: a.setupState},
		{method: http.MethodPost, path: "/console/api/setup", caller: setUp, media: []string{json}, body: small, limits: setupLimit, handle: a.setup},
		{method: http.MethodPost, path: "/console/api/init", caller: setUp, handle: a.probeSetup},
		{method: http.MethodPost, path: "/console/api/register", caller: setUp, handle: a.probeSetup},
		{method: http.MethodPost, path: "/console/api/login", caller: signIn, media: []string{json}, body: small, handle: a.login},
		{method: http.MethodPost, path: "/console/api/logout", caller: cookieLoose, handle: a.logout},
		{method: http.MethodGet, path: "/console/api/csrf-token", caller: cookieRead, share: credentialed, handle: a.csrfToken},
		{method: http.MethodGet, path: "/console/api/account/profile", caller: cookieRead, handle: a.profile},
		{method: http.MethodPost, path: "/console/api/account/password", caller: cookieWrite, media: []string{json}, body: small, handle: a.changePassword},
		{method: http.MethodGet, path: "/console/api/sessions", caller: cookieRead, handle: a.consoleSessions},
		{method: http.MethodDelete, path: "/console/api/sessions/:id", caller: cookieWrite, handle: a.endConsoleSession},
		{method: http.MethodGet, path: "/console/api/workspaces", caller: cookieRead, handle: a.consoleWorkspaces},
		{method: http.MethodGet, path: "/console/api/system-features", caller: open, share: private, handle: a.systemFeatures,
			about: operation{summary: "What this installation offers to somebody who signs in", answers: map[int]any{http.StatusOK: systemFeatures{}}}},
		{method: http.MethodPost, path: "/console/api/workspaces/switch", caller: cookieWrite, media: []string{json}, body: small, handle: a.consoleSwitch,
			about: operation{summary: "Make a workspace the current one", body: consoleSwitchRequest{}, answers: map[int]any{200: resultResponse{}}}},
	}
}
