// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// invitation finds what a link invites to, within the limit of the address. What the
// link says is all that decides: everything else reads alike.
func (a *api) invitation(c *fiber.Ctx, link secret.Text) (workspace.Invitation, error) {
	result, err := a.Limits.Take(c.UserContext(), limits.InviteAcceptAddr, server.ClientScope(c))
	server.SetRateLimit(c, result)
	if err != nil {
		return workspace.Invitation{}, err
	}
	return a.Members.Invitation(c.UserContext(), link)
}

// activatePage shows an invitation to whoever holds its link, and what they can do with
// it. Looking changes nothing.
func (a *api) activatePage(c *fiber.Ctx) error {
	if c.Query("outcome") == "declined" {
		return a.render(c, http.StatusOK, webui.Declined{})
	}
	link := c.Query("token")
	i, err := a.invitation(c, secret.New(link))
	if err != nil {
		return err
	}
	return a.showInvitation(c, http.StatusOK, link, i)
}

func (a *api) showInvitation(c *fiber.Ctx, status int, link string, i workspace.Invitation, problems ...webui.Problem) error {
	what := webui.Invitation{Token: link, Workspace: i.WorkspaceName, Inviter: i.InviterName, InviterEmail: i.InviterEmail, Email: i.Email, Problems: problems}
	who := signed(c)
	switch {
	case i.Pending():
		return a.render(c, status, webui.Activate{Invitation: what, Name: field(c, "name"), MinPassword: a.Console.Passwords.MinLength()})
	case who == nil || who.Account.ID != i.AccountID:
		return a.render(c, status, webui.InviteSignIn{Invitation: what})
	}
	return a.render(c, status, webui.InviteAnswer{Invitation: what})
}

// activateForm is what an invited person does with the link: sets a name and a password,
// accepts or declines.
func (a *api) activateForm(c *fiber.Ctx) error {
	link := field(c, "token")
	i, err := a.invitation(c, secret.New(link))
	switch {
	case err != nil:
		return err
	case i.Pending():
		return a.activate(c, link, i)
	case signed(c) == nil || signed(c).Account.ID != i.AccountID:
		return a.showInvitation(c, http.StatusForbidden, link, i) // asks for the right sign-in
	}
	ctx, who := c.UserContext(), signed(c).Account.ID
	switch field(c, "answer") {
	case "accept":
		_, err = a.Members.Accept(ctx, secret.New(link), who)
		if errors.Is(err, workspace.ErrMemberLimit) {
			return a.showInvitation(c, http.StatusForbidden, link, i, webui.Problem{Field: "accept", Key: "problem.full"})
		}
	case "decline":
		if err = a.Members.Decline(ctx, secret.New(link), who); err == nil {
			return a.redirect(c, "/activate?outcome=declined")
		}
	default:
		return server.ErrBadRequest
	}
	if err != nil {
		return err
	}
	return a.redirect(c, "/")
}

// activate makes a pending account active and signs it in.
func (a *api) activate(c *fiber.Ctx, link string, i workspace.Invitation) error {
	password := field(c, "password")
	if password != field(c, "password_again") {
		return a.showInvitation(c, http.StatusBadRequest, link, i, webui.Problem{Field: "password_again", Key: "problem.password_again"})
	}
	issued, err := a.Members.Activate(c.UserContext(), secret.New(link), workspace.Activation{
		Name: field(c, "name"), Password: secret.New(password),
		Browser: console.Browser{Presented: a.cookie(c, sessionCookie), IP: server.ClientIP(c).String(), UserAgent: c.Get(fiber.HeaderUserAgent)},
	})
	problem, refused := passwordProblem(err, a.Console.Passwords.MinLength())
	switch {
	case refused:
		return a.showInvitation(c, http.StatusBadRequest, link, i, problem)
	case errors.Is(err, workspace.ErrName):
		return a.showInvitation(c, http.StatusBadRequest, link, i, webui.Problem{Field: "name", Key: "problem.name"})
	case errors.Is(err, workspace.ErrTombstones):
		server.Failed(c, err)
		setRetryAfter(c, fault.Of(err).Retry())
		return a.render(c, server.Status(fault.Of(err).Kind()), webui.Failure{Kind: webui.Activated})
	case err != nil:
		return err
	}
	a.setSession(c, issued)
	return a.redirect(c, "/")
}
