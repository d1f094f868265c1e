// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// registryRows are the console's routes and pages of the registry of apps.
func (a *api) registryRows() []row {
	const all, one = "/console/api/apps", "/console/api/apps/:id"
	read := func(path string, handle fiber.Handler, about operation) row {
		about.fails = append(about.fails, workspace.ErrRole)
		return row{method: http.MethodGet, path: path, caller: cookieRead, handle: handle, about: about}
	}
	write := func(method, path string, handle fiber.Handler, about operation) row {
		r := row{method: method, path: path, caller: cookieWrite, handle: handle, about: about}
		r.about.strict = about.body != nil
		r.about.fails = append(r.about.fails, workspace.ErrRole)
		if about.body != nil {
			r.media, r.body = []string{json}, small
			r.about.fails = append(r.about.fails, errInvalidParam)
		}
		return r
	}
	shows := func(path string, handle fiber.Handler) row {
		return row{method: http.MethodGet, path: path, caller: pageSigned, shape: server.Page, handle: handle}
	}
	posts := func(path string, handle fiber.Handler) row {
		return row{method: http.MethodPost, path: path, caller: pageSignedWrite, shape: server.Page, media: []string{form}, body: small, handle: handle}
	}
	unknown := []*fault.Error{apps.ErrNotFound, workspace.ErrNotFound}
	return []row{
		read(all, a.consoleApps, operation{summary: "The apps of the current workspace, latest change first", query: consoleAppsQuery{},
			answers: map[int]any{http.StatusOK: pageJSON[consoleAppJSON]{}}, fails: []*fault.Error{workspace.ErrNotFound, errInvalidParam}}),
		write(http.MethodPost, all, a.consoleAddApp, operation{summary: "Add an app to the current workspace", body: consoleAppRequest{},
			answers: map[int]any{http.StatusCreated: consoleAppEntryJSON{}}, fails: []*fault.Error{workspace.ErrNotFound}}),
		read(one, a.consoleApp, operation{summary: "An app of the current workspace", answers: map[int]any{http.StatusOK: consoleAppEntryJSON{}}, fails: unknown}),
		write(http.MethodPatch, one, a.consoleChangeApp, operation{summary: "Change an app; what is not named stays", body: consoleAppChangeRequest{},
			answers: map[int]any{http.StatusOK: consoleAppEntryJSON{}}, fails: unknown}),
		write(http.MethodDelete, one, a.consoleRemoveApp, operation{summary: "Delete an app", answers: map[int]any{http.StatusOK: resultResponse{}}, fails: unknown}),
		write(http.MethodPut, one+"/key", a.consoleAppKey, operation{summary: "Give an app another key at its runtime, or none", body: consoleAppKeyRequest{},
			answers: map[int]any{http.StatusOK: consoleAppKeyJSON{}}, fails: unknown}),
		write(http.MethodPut, one+"/access", a.consoleAppAccess, operation{summary: "Replace an app's list of access", body: consoleAppAccessRequest{},
			answers: map[int]any{http.StatusOK: consoleAppEntryJSON{}}, fails: unknown}),

		shows(registryPath, a.appsPage),
		shows(registryPath+"/new", a.newAppPage),
		posts(registryPath+"/new", a.newAppForm),
		shows(registryPath+"/:id", a.appPage),
		posts(registryPath+"/:id", a.appForm),
		shows(registryPath+"/:id/access", a.appAccessPage),
		posts(registryPath+"/:id/access", a.appAccessForm),
		shows(registryPath+"/:id/remove", a.removeAppPage),
		posts(registryPath+"/:id/remove", a.removeAppForm),
	}
}
