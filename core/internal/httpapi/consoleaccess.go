// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type passwordRequest struct {
	Old    *string `json:"password" doc:"the present one, in plain text" api:"required;min=1"`
	New    *string `json:"new_password" api:"required;min=1"`
	Tokens bool    `json:"revoke_tokens" doc:"whether all signed-in devices end too" api:"default=false"`
}

// changePassword is the change for scripts.
func (a *api) changePassword(c *fiber.Ctx) error {
	var req passwordRequest
	if err := decodeJSON(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	former, fresh := requireText(&problems, req.Old, "password"), requireText(&problems, req.New, "new_password")
	if err := problems.Fault(server.ErrBadRequest); err != nil {
		return err
	}
	issued, err := a.newPassword(c, secret.New(former), secret.New(fresh), req.Tokens)
	if _, refused := passwordProblem(err, 0); refused {
		problems.Add("value_error", passwordRule(a), "new_password")
		return problems.Fault(server.ErrBadRequest)
	}
	if err != nil {
		return err
	}
	a.setSession(c, issued)
	return c.JSON(success)
}

// newPassword serves the route and the page alike. It takes the old password within
// the budget of wrong ones that signing in has: a stolen session must not be a way to
// guess it.
func (a *api) newPassword(c *fiber.Ctx, former, fresh secret.Text, tokens bool) (console.Issued, error) {
	ctx, who := c.UserContext(), signed(c)
	byPair := server.ClientScope(c) + "|" + emailScope(who.Account.Email)
	result, err := a.Limits.Take(ctx, limits.ConsoleLoginPair, byPair)
	server.SetRateLimit(c, result)
	if err != nil {
		return console.Issued{}, err
	}
	failed := false
	defer func() { a.Limits.Settle(ctx, limits.ConsoleLoginPair, byPair, failed) }()
	issued, err := a.Access.ChangePassword(ctx, access.PasswordChange{
		Signed: *who, Old: former, New: fresh, RevokeTokens: tokens, IP: server.ClientIP(c).String(), UserAgent: c.Get(fiber.HeaderUserAgent),
	})
	failed = errors.Is(err, console.ErrInvalidCredentials)
	return issued, err
}

// passwordRule says what a new password has to be.
func passwordRule(a *api) string {
	return "must have " + strconv.Itoa(a.Console.Passwords.MinLength()) + " to " + strconv.Itoa(account.MaxPassword) + " characters and not be the e-mail address"
}

type browserJSON struct {
	ID         string `json:"id" api:"format=uuid"`
	How        string `json:"how" doc:"how it was signed in" api:"enum=setup|password|activation|sso"`
	CreatedAt  string `json:"created_at" api:"format=date-time"`
	LastSeenAt string `json:"last_seen_at" api:"format=date-time"`
	ExpiresAt  string `json:"expires_at" api:"format=date-time"`
	IP         string `json:"ip"`
	UserAgent  string `json:"user_agent"`
	Current    bool   `json:"current"`
}

type consoleSessionsResponse struct {
	Sessions []browserJSON `json:"sessions"`
}

// consoleSessions lists the browsers that the account is signed in with, newest first.
func (a *api) consoleSessions(c *fiber.Ctx) error {
	who := signed(c)
	list, err := a.Console.List(c.UserContext(), who.Account.ID)
	if err != nil {
		return err
	}
	out := consoleSessionsResponse{make([]browserJSON, 0, len(list))}
	for _, s := range list {
		out.Sessions = append(out.Sessions, browserJSON{
			ID: s.ID, How: string(s.How), CreatedAt: stamp(s.CreatedAt), LastSeenAt: stamp(s.LastSeenAt), ExpiresAt: stamp(s.ExpiresAt),
			IP: s.IP, UserAgent: s.UserAgent, Current: s.ID == who.Session.ID,
		})
	}
	return c.JSON(out)
}

// endConsoleSession signs a browser out. The present one is a sign-out: what it has
// approved stays.
func (a *api) endConsoleSession(c *fiber.Ctx) error {
	who, id := signed(c), c.Params("id")
	if !canon.IsID(id) {
		return console.ErrSessionNotFound
	}
	if _, err := a.ownBrowser(c, id); err != nil {
		return err
	}
	key := ""
	if id != who.Session.ID {
		key = a.subject(c).Key()
	}
	if err := a.Console.End(c.UserContext(), who.Account, id, key); err != nil {
		return err
	}
	if key == "" {
		a.clearSession(c)
	}
	return c.JSON(success)
}
