// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type decisionResponse struct {
	Status string `json:"status"`
}

// approve lets the signed-in account be signed in by the device that shows the code.
func (a *api) approve(c *fiber.Ctx) error {
	typed, err := parseUserCode(c)
	if err != nil {
		return err
	}
	if err := a.decide(c, typed, true); err != nil {
		return err
	}
	return c.JSON(decisionResponse{"approved"})
}

// deny refuses the device that shows the code.
func (a *api) deny(c *fiber.Ctx) error {
	typed, err := parseUserCode(c)
	if err != nil {
		return err
	}
	if err := a.decide(c, typed, false); err != nil {
		return err
	}
	return c.JSON(decisionResponse{"denied"})
}

func parseUserCode(c *fiber.Ctx) (string, error) {
	var req struct {
		UserCode *string `json:"user_code"`
	}
	if err := decodeJSON(c, &req); err != nil {
		return "", err
	}
	var problems wire.Problems
	typed := requireText(&problems, req.UserCode, "user_code")
	return typed, problems.Fault(server.ErrBadRequest)
}

// codeGuard holds a row whose codes may be guessed to the account's budget of wrong ones.
// It comes before the body is looked at: who is locked out learns nothing else.
func (a *api) codeGuard(r row) []fiber.Handler {
	if !r.codes {
		return nil
	}
	return []fiber.Handler{func(c *fiber.Ctx) error { return a.underWrongCodes(c, signed(c), c.Next) }}
}

// decide serves the routes and the page alike.
func (a *api) decide(c *fiber.Ctx, typed string, allow bool) error {
	ctx := c.UserContext()
	by, err := a.approver(ctx, signed(c), server.ClientIP(c).String())
	if err != nil {
		return err
	}
	if allow {
		return a.Devices.Approve(ctx, typed, by)
	}
	return a.Devices.Deny(ctx, typed, by)
}

func (a *api) approver(ctx context.Context, who *console.Signed, ip string) (devicegrant.Approver, error) {
	by := devicegrant.Approver{AccountID: who.Account.ID, Email: who.Account.Email, Name: who.Account.Name, ConsoleSessionID: who.Session.ID, IP: ip}
	m, ok, err := a.currentWorkspace(ctx, who.Account.ID)
	if ok {
		by.WorkspaceID = m.Workspace.ID
	}
	return by, err
}

// currentWorkspace is the one that the page shows and the approval stores.
func (a *api) currentWorkspace(ctx context.Context, accountID string) (workspace.Membership, bool, error) {
	list, err := a.Workspaces.Of(ctx, accountID)
	if err != nil {
		return workspace.Membership{}, false, err
	}
	m, ok := workspace.Default(list, "")
	return m, ok, nil
}
