// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// ticked reports a checkbox, which a browser leaves out of the form when it is empty.
func ticked(c *fiber.Ctx, name string) bool { return field(c, name) == "yes" }

// appFields are the values of a refused form as its page shows them again. A key is never
// sent back.
func appFields(c *fiber.Ctx) webui.App {
	return webui.App{
		Name: field(c, "name"), Description: field(c, "description"), Mode: field(c, "mode"), Tags: field(c, "tags"), Author: field(c, "author"),
		Runtime: field(c, "runtime"), RuntimeURL: field(c, "runtime_url"), DSL: ticked(c, "dsl"), HumanInput: ticked(c, "human_input"),
		API: ticked(c, "api"), MaxActive: field(c, "max_active_requests"), Access: field(c, "access"), Archived: ticked(c, "archived"),
	}
}

// appChange reads the form of the editor. What reaches the runtime is changed where the
// form has it: the page shows an editor no such fields, and the registry refuses theirs.
func appChange(c *fiber.Ctx) (change apps.Change) {
	name, author := strings.TrimSpace(field(c, "name")), strings.TrimSpace(field(c, "author"))
	description := strings.TrimSpace(strings.ReplaceAll(field(c, "description"), "\r\n", "\n"))
	mode, tags, api, status := apps.Mode(field(c, "mode")), splitTags(field(c, "tags")), ticked(c, "api"), apps.StatusNormal
	if ticked(c, "archived") {
		status = apps.StatusArchived
	}
	change = apps.Change{Name: &name, Description: &description, Mode: &mode, Tags: &tags, Author: &author, APIEnabled: &api, Status: &status}
	active := 0
	if text := strings.TrimSpace(field(c, "max_active_requests")); text != "" {
		var err error
		if active, err = strconv.Atoi(text); err != nil {
			active = -1 // which the registry refuses together with whatever else it does
		}
	}
	change.MaxActive = &active
	form := formOf(c)
	if kind, ok := form.Get("runtime"); ok {
		runtime, features := apps.Runtime(kind), apps.Features{DSL: ticked(c, "dsl"), HumanInput: ticked(c, "human_input")}
		change.Runtime, change.Features = &runtime, &features
	}
	if address, ok := form.Get("runtime_url"); ok {
		if address = strings.TrimSpace(address); field(c, "runtime") == string(apps.RuntimeEcho) {
			address = "" // the field is there for the other kind
		}
		change.RuntimeURL = &address
	}
	switch key := strings.TrimSpace(field(c, "runtime_key")); {
	case key != "":
		text := secret.New(key)
		change.Key = &text
	case ticked(c, "no_key"):
		text := secret.New("")
		change.Key = &text
	}
	return change
}

// splitTags takes the commas of both languages.
func splitTags(text string) []string {
	tags := []string{}
	for _, tag := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",，、", r) }) {
		if tag = strings.TrimSpace(tag); tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// appAccessPage is where it is said who may use an app.
func (a *api) appAccessPage(c *fiber.Ctx) error {
	e, place, err := a.foundApp(c)
	if err != nil {
		return err
	}
	return a.showAppAccess(c, http.StatusOK, place, e, webui.AppAccess{Access: string(e.Access), Page: pageNumber(c.Query("page")), Done: webui.AppsDone(c.Query("outcome"))}, nil)
}

// showAppAccess completes the view by a page of members. The owner and admins are let in
// without being on the list, and not shown. chosen says who is ticked where a form was
// refused.
func (a *api) showAppAccess(c *fiber.Ctx, status int, place workspace.Membership, e apps.Entry, view webui.AppAccess, chosen []string) error {
	list, total, err := a.Members.List(c.UserContext(), e.WorkspaceID, view.Page, shownMembers)
	if err != nil {
		return err
	}
	if view.Problems == nil {
		for _, m := range e.Allowed {
			chosen = append(chosen, m.AccountID)
		}
	}
	view.ID, view.Name, view.Workspace, view.Accesses = e.ID, e.Name, place.Workspace.Name, a.accessModes(string(e.Access))
	view.HasMore, view.Listed = view.Page*shownMembers < total, len(e.Allowed)
	var shown []string
	for _, m := range list {
		if m.Role.Manages() {
			continue
		}
		shown = append(shown, m.AccountID)
		view.Members = append(view.Members, webui.AppMember{
			ID: m.AccountID, Name: m.Name, Email: m.Email, Pending: m.Status == account.Pending, Chosen: slices.Contains(chosen, m.AccountID),
		})
	}
	view.Shown = strings.Join(shown, " ")
	return a.render(c, status, view)
}

// appAccessForm says who may use an app. Of the list it changes those alone whom the form
// has shown: they may be one page of many.
func (a *api) appAccessForm(c *fiber.Ctx) error {
	e, place, err := a.foundApp(c)
	if err != nil {
		return err
	}
	shown := strings.Fields(field(c, "shown"))
	var chosen []string
	for _, m := range e.Allowed {
		if !slices.Contains(shown, m.AccountID) {
			chosen = append(chosen, m.AccountID)
		}
	}
	for _, id := range shown {
		if ticked(c, "allow_"+id) {
			chosen = append(chosen, id)
		}
	}
	mode := apps.Access(field(c, "access"))
	_, _, err = a.Registry.Update(c.UserContext(), apps.Member(signed(c).Account.ID), e.ID, apps.Change{Access: &mode, Allowed: &chosen})
	problems, err := appProblems(err)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return a.showAppAccess(c, http.StatusBadRequest, place, e, webui.AppAccess{Access: string(mode), Page: pageNumber(field(c, "page")), Problems: problems}, chosen)
	}
	return a.redirect(c, registryPath+"?outcome="+string(webui.AppOpened))
}
