// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

const membersLimit = 20

type membersQuery struct {
	Page  int `json:"page" doc:"which one, from 1" api:"min=1;default=1"`
	Limit int `json:"limit" doc:"rows of a page" api:"min=1;max=200;default=20"`
}

type memberJSON struct {
	ID     string  `json:"id" doc:"the account's" api:"format=uuid"`
	Name   string  `json:"name"`
	Email  string  `json:"email" api:"format=idn-email"`
	Role   string  `json:"role" api:"enum=owner|admin|editor|normal"`
	Status string  `json:"status" api:"enum=pending|active|banned|closed"`
	Avatar *string `json:"avatar"`
}

// members lists who belongs to a workspace, those included that have not accepted.
func (a *api) members(c *fiber.Ctx) error {
	number, limit, err := parsePaging(c, membersLimit)
	if err != nil {
		return err
	}
	list, total, err := a.Members.List(c.UserContext(), callerOf(c).Place.Workspace.ID, number, limit)
	if err != nil {
		return err
	}
	rows := make([]memberJSON, 0, len(list))
	for _, m := range list {
		rows = append(rows, memberJSON{ID: m.AccountID, Name: m.Name, Email: m.Email, Role: string(m.Role), Status: string(m.Status)})
	}
	return c.JSON(pageJSON[memberJSON]{Page: number, Limit: limit, Total: total, HasMore: number*limit < total, Data: rows})
}

type inviteRequest struct {
	Email *string `json:"email" api:"required;min=1"`
	Role  *string `json:"role" api:"required;enum=admin|normal"`
}

type inviteResponse struct {
	Result    string `json:"result" api:"enum=success"`
	Email     string `json:"email" api:"format=idn-email"`
	Role      string `json:"role" api:"enum=owner|admin|editor|normal"`
	MemberID  string `json:"member_id" doc:"the account's id" api:"format=uuid"`
	InviteURL string `json:"invite_url" doc:"for the invited person; nobody is sent mail" api:"format=uri"`
	TenantID  string `json:"tenant_id" doc:"the workspace's id, as the existing client reads it" api:"format=uuid"`
	Status    string `json:"status" api:"enum=invited"`
}

// inviteMember makes the link by which somebody may join. This service sends no mail.
func (a *api) inviteMember(c *fiber.Ctx) error {
	var req inviteRequest
	if err := decodeStrict(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	email := requireEmail(&problems, req.Email, "email")
	role := requireRole(&problems, req.Role, "role")
	if err := problems.Fault(errInvalidParam); err != nil {
		return err
	}
	who := callerOf(c)
	i, err := a.Members.Invite(c.UserContext(), who.Subject.AccountID, who.Place.Workspace.ID, email, role)
	if err != nil {
		return err
	}
	return c.Status(http.StatusCreated).JSON(inviteResponse{
		Result: success.Result, Email: i.Email, Role: string(i.Role), MemberID: i.MemberID, InviteURL: a.inviteURL(i.Token), TenantID: i.WorkspaceID, Status: "invited",
	})
}

// inviteURL is the link of an invitation. It goes to whoever has invited, and nowhere
// else: its token is stored as a digest alone.
func (a *api) inviteURL(token secret.Text) string {
	return a.public + "/activate?token=" + token.Reveal()
}

// removeMember takes a member out of the workspace.
func (a *api) removeMember(c *fiber.Ctx) error {
	who := callerOf(c)
	if err := a.Members.Remove(c.UserContext(), who.Subject.AccountID, who.Place.Workspace.ID, param(c, "member")); err != nil {
		return err
	}
	return c.JSON(success)
}

type memberRoleRequest struct {
	Role *string `json:"role" api:"required;enum=admin|normal"`
}

// changeMemberRole gives a member another role.
func (a *api) changeMemberRole(c *fiber.Ctx) error {
	var req memberRoleRequest
	if err := decodeStrict(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	role := requireRole(&problems, req.Role, "role")
	if err := problems.Fault(errInvalidParam); err != nil {
		return err
	}
	who := callerOf(c)
	if err := a.Members.SetRole(c.UserContext(), who.Subject.AccountID, who.Place.Workspace.ID, param(c, "member"), role); err != nil {
		return err
	}
	return c.JSON(success)
}

// requireEmail takes an address in its canonical spelling.
func requireEmail(p *wire.Problems, v *string, name string) string {
	if v == nil {
		p.Add("missing", "is required", name)
		return ""
	}
	email, ok := canon.Email(*v)
	if !ok {
		p.Add("value_error", "is no e-mail address", name)
	}
	return email
}

// requireRole takes a role that people can be given.
func requireRole(p *wire.Problems, v *string, name string) workspace.Role {
	if v == nil {
		p.Add("missing", "is required", name)
		return ""
	}
	role := workspace.Role(*v)
	if !role.Invitable() {
		p.Add("enum", "must be normal or admin", name)
	}
	return role
}
