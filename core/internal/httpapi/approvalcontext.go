// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// approvalContextQuery is what approvalContext takes.
type approvalContextQuery struct {
	UserCode string `json:"user_code" doc:"in any case, with or without its hyphen" api:"required;min=1"`
}

// approvalContext is what somebody has to see before they decide (RFC 8628 section 5.4):
// as whom they would sign a device in, and what asks, since when and from where.
type approvalContext struct {
	SubjectType   token.SubjectType  `json:"subject_type" api:"enum=account|external_sso"`
	SubjectEmail  string             `json:"subject_email" api:"format=idn-email"`
	UserCode      string             `json:"user_code"`
	ClientID      string             `json:"client_id"`
	DeviceLabel   string             `json:"device_label"`
	RequestedAt   string             `json:"requested_at" api:"format=date-time"`
	RequestedFrom string             `json:"requested_from" doc:"a network address"`
	ExpiresAt     string             `json:"expires_at" api:"format=date-time"`
	Workspace     *approvalWorkspace `json:"workspace"`
	CSRFToken     string             `json:"csrf_token" doc:"for the header X-CSRF-Token of the decision"`
}

// approvalWorkspace is the one that an approval stores.
type approvalWorkspace struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// approvalContext serves a page of one's own what the page /device shows. It changes
// nothing. Its guard has taken the account's permit for a wrong code.
func (a *api) approvalContext(c *fiber.Ctx) error {
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		return server.ErrBadRequest.Because(err)
	}
	var problems wire.Problems
	typed := requireText(&problems, member(query, "user_code"), "user_code")
	if err := problems.Fault(server.ErrBadRequest); err != nil {
		return err
	}
	ctx, who := c.UserContext(), signed(c)
	g, err := a.Devices.FindPending(ctx, typed)
	if err != nil {
		return err
	}
	current, ok, err := a.currentWorkspace(ctx, who.Account.ID)
	if err != nil {
		return err
	}
	code, _ := canon.UserCode(typed) // it was found, so it is one
	out := approvalContext{
		SubjectType: token.SubjectAccount, SubjectEmail: who.Account.Email,
		UserCode: code, ClientID: g.ClientID, DeviceLabel: g.Label,
		RequestedAt: stamp(g.CreatedAt), RequestedFrom: g.CreatedIP, ExpiresAt: stamp(g.ExpiresAt),
		CSRFToken: a.Console.CSRFToken(who.Session.TokenHash),
	}
	if ok {
		out.Workspace = &approvalWorkspace{ID: current.Workspace.ID, Name: current.Workspace.Name}
	}
	return c.JSON(out)
}
