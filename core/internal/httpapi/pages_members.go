// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/server"
)

const (
	membersPath = "/workspace/members"
	// shownMembers is how many members one page lists.
	shownMembers = 50
)

// membersPage lists who belongs to the current workspace.
func (a *api) membersPage(c *fiber.Ctx) error {
	return a.showMembers(c, http.StatusOK, webui.Members{Done: webui.MembersDone(c.Query("outcome"))})
}

// showMembers completes the view. What the person's role does not allow is not offered;
// that it is refused, too, is the domain's.
func (a *api) showMembers(c *fiber.Ctx, status int, view webui.Members) error {
	ctx, who := c.UserContext(), signed(c).Account
	all, err := a.Workspaces.Of(ctx, who.ID)
	if err != nil {
		return err
	}
	place, ok := workspace.Default(all, "")
	if !ok {
		return a.render(c, status, webui.Members{})
	}
	view.WorkspaceID, view.Workspace, view.Role, view.Manages = place.Workspace.ID, place.Workspace.Name, string(place.Role), place.Role.Manages()
	if usable := workspace.Usable(all); len(usable) > 1 {
		for _, m := range usable {
			view.Others = append(view.Others, webui.Choice{ID: m.Workspace.ID, Name: m.Workspace.Name, Chosen: m.Workspace.ID == place.Workspace.ID})
		}
	}
	if view.Page, err = strconv.Atoi(c.Query("page", "1")); err != nil || view.Page < 1 || view.Page > 1<<20 {
		view.Page = 1
	}
	list, total, err := a.Members.List(ctx, place.Workspace.ID, view.Page, shownMembers)
	if err != nil {
		return err
	}
	view.HasMore = view.Page*shownMembers < total
	for _, m := range list {
		view.Members = append(view.Members, webui.Member{
			ID: m.AccountID, Name: m.Name, Email: m.Email, Role: string(m.Role), Pending: m.Status == account.Pending, Self: m.AccountID == who.ID,
			Changeable: view.Manages && m.Role != workspace.Owner && m.AccountID != who.ID,
		})
	}
	return a.render(c, status, view)
}

// workspaceField is the workspace that a form was made for: another one may have
// become the current one in another tab. What is no id asks no store.
func workspaceField(c *fiber.Ctx) (string, error) {
	id := field(c, "workspace")
	if !canon.IsID(id) {
		return "", workspace.ErrNotFound
	}
	return id, nil
}

// inviteForm makes an invitation and shows its link, this once: it is stored nowhere,
// and an address that carried it would keep it.
func (a *api) inviteForm(c *fiber.Ctx) error {
	view := webui.Members{Email: field(c, "email"), InviteRole: field(c, "role")}
	refuse := func(status int, key string) error {
		view.Problems = []webui.Problem{{Field: "email", Key: key}}
		return a.showMembers(c, status, view)
	}
	email, ok := canon.Email(view.Email)
	if !ok {
		return refuse(http.StatusBadRequest, "problem.email")
	}
	in, err := workspaceField(c)
	if err != nil {
		return err
	}
	i, err := a.Members.Invite(c.UserContext(), signed(c).Account.ID, in, email, workspace.Role(view.InviteRole))
	switch {
	case errors.Is(err, workspace.ErrInviteRole):
		return server.ErrBadRequest // the page offers no such role
	case errors.Is(err, workspace.ErrAlreadyMember):
		return refuse(http.StatusConflict, "problem.member")
	case errors.Is(err, workspace.ErrEmailIsExternal):
		return refuse(http.StatusConflict, "problem.external")
	case errors.Is(err, workspace.ErrMemberLimit):
		return refuse(http.StatusForbidden, "problem.full")
	case err != nil:
		return err
	}
	return a.showMembers(c, http.StatusCreated, webui.Members{Link: a.inviteURL(i.Token), LinkFor: i.Email})
}

// memberPage is where a member's role is changed.
func (a *api) memberPage(c *fiber.Ctx) error { return a.askAboutMember(c, webui.EditMember) }

// removeMemberPage asks once more.
func (a *api) removeMemberPage(c *fiber.Ctx) error { return a.askAboutMember(c, webui.RemoveMember) }

func (a *api) askAboutMember(c *fiber.Ctx, act webui.MemberAct) error {
	ctx, who := c.UserContext(), signed(c).Account.ID
	place, ok, err := a.currentWorkspace(ctx, who)
	if err != nil {
		return err
	}
	if !ok {
		return workspace.ErrNotFound
	}
	m, err := a.Members.Find(ctx, who, place.Workspace.ID, c.Query("id"))
	if err != nil {
		return err
	}
	return a.render(c, http.StatusOK, memberView(act, place.Workspace.ID, m))
}

func memberView(act webui.MemberAct, workspaceID string, m workspace.Member) webui.MemberForm {
	return webui.MemberForm{Act: act, WorkspaceID: workspaceID, ID: m.AccountID, Name: m.Name, Email: m.Email, Role: string(m.Role)}
}

// memberForm gives a member another role.
func (a *api) memberForm(c *fiber.Ctx) error {
	ctx, who, id, role := c.UserContext(), signed(c).Account.ID, field(c, "id"), workspace.Role(field(c, "role"))
	in, err := workspaceField(c)
	if err != nil {
		return err
	}
	err = a.Members.SetRole(ctx, who, in, id, role)
	switch {
	case errors.Is(err, workspace.ErrRoleUnchanged), errors.Is(err, workspace.ErrInviteRole) && role == workspace.Editor: // shown to those who have it
		m, err := a.Members.Find(ctx, who, in, id)
		if err != nil {
			return err
		}
		view := memberView(webui.EditMember, in, m)
		view.Problems = []webui.Problem{{Field: "role", Key: "problem.role_unchanged"}}
		return a.render(c, http.StatusBadRequest, view)
	case errors.Is(err, workspace.ErrInviteRole):
		return server.ErrBadRequest
	case err != nil:
		return err
	}
	return a.redirect(c, membersPath+"?outcome="+string(webui.RoleChanged))
}

// removeMemberForm takes a member out of the workspace.
func (a *api) removeMemberForm(c *fiber.Ctx) error {
	in, err := workspaceField(c)
	if err != nil {
		return err
	}
	if err := a.Members.Remove(c.UserContext(), signed(c).Account.ID, in, field(c, "id")); err != nil {
		return err
	}
	return a.redirect(c, membersPath+"?outcome="+string(webui.MemberRemoved))
}

// switchForm makes a workspace the current one.
func (a *api) switchForm(c *fiber.Ctx) error {
	if _, err := a.Members.Switch(c.UserContext(), signed(c).Account.ID, field(c, "workspace")); err != nil {
		return err
	}
	return a.redirect(c, membersPath+"?outcome="+string(webui.Switched))
}
