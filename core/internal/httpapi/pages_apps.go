// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	registryPath = "/workspace/apps"
	// shownApps is how many apps one page lists.
	shownApps = 50
)

// appsPage lists the apps of the current workspace. Who does not keep them is told who does.
func (a *api) appsPage(c *fiber.Ctx) error {
	ctx, who := c.UserContext(), signed(c).Account.ID
	place, ok, err := a.currentWorkspace(ctx, who)
	if err != nil {
		return err
	}
	if !ok {
		return a.render(c, http.StatusOK, webui.Apps{})
	}
	view := webui.Apps{Workspace: place.Workspace.Name, Role: string(place.Role), Keeps: apps.Keeps(place.Role), Page: pageNumber(c.Query("page")), Done: webui.AppsDone(c.Query("outcome"))}
	if !view.Keeps {
		return a.render(c, http.StatusForbidden, view)
	}
	list, total, err := a.Registry.List(ctx, apps.Member(who), place.Workspace.ID, view.Page, shownApps)
	if err != nil {
		return err
	}
	view.HasMore = view.Page*shownApps < total
	for _, s := range list {
		view.Apps = append(view.Apps, webui.AppRow{
			ID: s.ID, Name: s.Name, Mode: string(s.Mode), Access: string(s.Access), Runtime: string(s.Runtime), Host: hostOf(s.RuntimeURL),
			API: s.APIEnabled, Archived: s.Status == apps.StatusArchived,
		})
	}
	return a.render(c, http.StatusOK, view)
}

// hostOf is the part of a runtime's address that tells it from another.
func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

// pageNumber is the page of a list that an address or a form names; what is none is the
// first.
func pageNumber(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1<<20 {
		return 1
	}
	return n
}

// newAppPage is where an app is added to the current workspace.
func (a *api) newAppPage(c *fiber.Ctx) error {
	k, err := a.keeper(c)
	if err != nil {
		return err
	}
	return a.showApp(c, http.StatusOK, k.Membership, webui.App{
		Mode: string(apps.Chat), Runtime: string(apps.RuntimeDify), Access: string(apps.InternalAll), API: true, MaxActive: "0",
	})
}

// showApp completes the editor by what can be chosen in a place.
func (a *api) showApp(c *fiber.Ctx, status int, place workspace.Membership, view webui.App) error {
	view.WorkspaceID, view.Workspace, view.Manages = place.Workspace.ID, place.Workspace.Name, place.Role.Manages()
	for _, m := range apps.Modes {
		view.Modes = append(view.Modes, string(m))
	}
	view.Runtimes, view.Accesses = []string{string(apps.RuntimeDify), string(apps.RuntimeEcho)}, a.accessModes(view.Access)
	return a.render(c, status, view)
}

// accessModes are those of this edition, and the one that an app has in any case.
func (a *api) accessModes(present string) (modes []string) {
	for _, m := range []apps.Access{apps.InternalAll, apps.Internal, apps.SSOVerified, apps.Public} {
		if !m.External() || a.Enterprise || string(m) == present {
			modes = append(modes, string(m))
		}
	}
	return modes
}

// placeOf finds the workspace that a form was made for: another one may have become the
// current one in another tab.
func (a *api) placeOf(c *fiber.Ctx, workspaceID string) (workspace.Membership, error) {
	all, err := a.Workspaces.Of(c.UserContext(), signed(c).Account.ID)
	if err != nil {
		return workspace.Membership{}, err
	}
	for _, m := range workspace.Usable(all) {
		if m.Workspace.ID == workspaceID {
			return m, nil
		}
	}
	return workspace.Membership{}, workspace.ErrNotFound
}

// newAppForm adds an app.
func (a *api) newAppForm(c *fiber.Ctx) error {
	place, err := a.placeOf(c, field(c, "workspace"))
	if err != nil {
		return err
	}
	change := appChange(c)
	e, err := a.Registry.Create(c.UserContext(), apps.Member(signed(c).Account.ID), place.Workspace.ID, apps.Draft{
		Name: *change.Name, Description: *change.Description, Mode: *change.Mode, Tags: *change.Tags, Author: *change.Author, Runtime: or(change.Runtime, apps.RuntimeDify),
		RuntimeURL: or(change.RuntimeURL, ""), Key: or(change.Key, secret.New("")), Features: or(change.Features, apps.Features{}),
		APIEnabled: *change.APIEnabled, Access: apps.Access(field(c, "access")), MaxActive: *change.MaxActive, Once: true,
	})
	problems, err := appProblems(err)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		view := appFields(c)
		if view.Problems = problems; view.Runtime == "" {
			view.Runtime = string(apps.RuntimeDify)
		}
		return a.showApp(c, http.StatusBadRequest, place, view)
	}
	if e.Access == apps.Internal { // nobody is on its list yet
		return a.redirect(c, registryPath+"/"+e.ID+"/access?outcome="+string(webui.AppCreated))
	}
	return a.redirect(c, registryPath+"?outcome="+string(webui.AppCreated))
}

// appPage is where an app is changed. Any workspace's that the person keeps the apps of
// is shown: a link says which app it means.
func (a *api) appPage(c *fiber.Ctx) error {
	e, place, err := a.foundApp(c)
	if err != nil {
		return err
	}
	view := appView(e)
	view.Done = webui.AppsDone(c.Query("outcome"))
	return a.showApp(c, http.StatusOK, place, view)
}

// foundApp finds the app that a path names and the workspace that it belongs to.
func (a *api) foundApp(c *fiber.Ctx) (apps.Entry, workspace.Membership, error) {
	e, err := a.Registry.Find(c.UserContext(), apps.Member(signed(c).Account.ID), param(c, "id"))
	if err != nil {
		return e, workspace.Membership{}, err
	}
	place, err := a.placeOf(c, e.WorkspaceID)
	if errors.Is(err, workspace.ErrNotFound) {
		err = apps.ErrNotFound
	}
	return e, place, err
}

func appView(e apps.Entry) webui.App {
	return webui.App{
		ID: e.ID, Name: e.Name, Description: e.Description, Mode: string(e.Mode), Tags: strings.Join(e.Tags, ", "), Author: e.Author,
		Runtime: string(e.Runtime), RuntimeURL: e.RuntimeURL, DSL: e.Features.DSL, HumanInput: e.Features.HumanInput, KeySet: e.Key.Set, Fingerprint: e.Key.Fingerprint,
		API: e.APIEnabled, MaxActive: strconv.Itoa(e.MaxActive), Access: string(e.Access), Archived: e.Status == apps.StatusArchived,
	}
}

// appForm changes an app, all that the page shows at once.
func (a *api) appForm(c *fiber.Ctx) error {
	e, place, err := a.foundApp(c)
	if err != nil {
		return err
	}
	change := appChange(c)
	if change.Key != nil && !place.Role.Manages() { // whether it is the present one or not
		return workspace.ErrRole
	}
	after, _, err := a.Registry.Update(c.UserContext(), apps.Member(signed(c).Account.ID), e.ID, change)
	problems, err := appProblems(err)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		view, stored := appFields(c), appView(e)
		view.ID, view.KeySet, view.Fingerprint, view.Access = stored.ID, stored.KeySet, stored.Fingerprint, stored.Access
		if !place.Role.Manages() {
			view.Runtime, view.RuntimeURL, view.DSL, view.HumanInput = stored.Runtime, stored.RuntimeURL, stored.DSL, stored.HumanInput
		}
		view.Problems = problems
		return a.showApp(c, http.StatusBadRequest, place, view)
	}
	if change.Key == nil && e.Key.Set && !after.Key.Set && after.Runtime == apps.RuntimeDify {
		return a.redirect(c, registryPath+"/"+e.ID+"?outcome="+string(webui.AppKeyless))
	}
	return a.redirect(c, registryPath+"?outcome="+string(webui.AppSaved))
}

// removeAppPage asks once more.
func (a *api) removeAppPage(c *fiber.Ctx) error {
	e, _, err := a.foundApp(c)
	if err != nil {
		return err
	}
	return a.render(c, http.StatusOK, webui.RemoveApp{ID: e.ID, Name: e.Name})
}

// removeAppForm deletes an app.
func (a *api) removeAppForm(c *fiber.Ctx) error {
	if err := a.Registry.Remove(c.UserContext(), apps.Member(signed(c).Account.ID), param(c, "id")); err != nil {
		return err
	}
	return a.redirect(c, registryPath+"?outcome="+string(webui.AppRemoved))
}

// appProblems turns what the registry refuses as a value into the problems of fields;
// another failure stays one.
func appProblems(err error) ([]webui.Problem, error) {
	if !errors.Is(err, apps.ErrInvalid) {
		return nil, err
	}
	var problems []webui.Problem
	told := map[string]bool{}
	for _, d := range fault.Of(err).Details() {
		if len(d.Loc) == 0 {
			continue
		}
		name, _ := d.Loc[0].(string)
		p, ok := appProblem[name]
		if !ok {
			return nil, err
		}
		if !told[p.Field] {
			problems, told[p.Field] = append(problems, p), true
		}
	}
	if len(problems) == 0 {
		return nil, err
	}
	return problems, nil
}

// appProblem is what the pages say of a member that was refused.
var appProblem = map[string]webui.Problem{
	"name": {Field: "name", Key: "problem.app_name"}, "description": {Field: "description", Key: "problem.app_description"}, "mode": {Field: "mode", Key: "problem.app_mode"},
	"tags": {Field: "tags", Key: "problem.app_tags"}, "author": {Field: "author", Key: "problem.app_author"}, "runtime": {Field: "runtime", Key: "problem.app_runtime"},
	"runtime_url": {Field: "runtime_url", Key: "problem.app_runtime_url"}, "runtime_key": {Field: "runtime_key", Key: "problem.app_runtime_key"},
	"runtime_features": {Field: "dsl", Key: "problem.app_features"}, "access_mode": {Field: "access", Key: "problem.app_access"},
	"max_active_requests": {Field: "max_active_requests", Key: "problem.app_max_active"}, "allowed": {Field: "allowed", Key: "problem.app_allowed"},
}
