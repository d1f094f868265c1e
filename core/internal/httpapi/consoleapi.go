// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"encoding/base64"
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type resultResponse struct {
	Result string `json:"result" api:"enum=success"`
}

var success = resultResponse{"success"}

type loginRequest struct {
	Email    *string `json:"email" api:"required;min=1"`
	Password *string `json:"password" doc:"base64 of the UTF-8 password" api:"required;min=1"`
	Remember bool    `json:"remember_me" doc:"whether the session outlives the browser" api:"default=false"`
}

// login signs a script in. The password comes in base64 here alone, as existing
// scripts send it.
func (a *api) login(c *fiber.Ctx) error {
	var req loginRequest
	if err := decodeJSON(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	email, encoded := requireText(&problems, req.Email, "email"), requireText(&problems, req.Password, "password")
	if err := problems.Fault(server.ErrBadRequest); err != nil {
		return err
	}
	password, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		password = nil // refused like a wrong password, after the same work
	}
	issued, err := a.signIn(c, email, secret.New(string(password)), req.Remember)
	if err != nil {
		return err
	}
	a.setSession(c, issued)
	return c.JSON(success)
}

// signIn serves the route and the page alike: the limits of the address, of the pair
// and of the e-mail, then the password. Both budgets count failures alone.
func (a *api) signIn(c *fiber.Ctx, email string, password secret.Text, remember bool) (console.Issued, error) {
	ctx, address, ip := c.UserContext(), server.ClientScope(c), server.ClientIP(c).String()
	result, err := a.Limits.Take(ctx, limits.ConsoleLoginAddr, address)
	server.SetRateLimit(c, result)
	if err != nil {
		return console.Issued{}, err
	}
	if canonical, ok := canon.Email(email); ok {
		email = canonical
	}
	byEmail := emailScope(email)
	byPair := address + "|" + byEmail
	if result, err := a.Limits.Take(ctx, limits.ConsoleLoginPair, byPair); err != nil {
		server.SetRateLimit(c, result) // of what refused, not of what let this far
		return console.Issued{}, err
	}
	failed := false // an outage is no wrong password: only a refusal costs a permit
	defer func() { a.Limits.Settle(ctx, limits.ConsoleLoginPair, byPair, failed) }()
	counted, err := a.emailBudget(c, byEmail, email, ip)
	if err != nil {
		return console.Issued{}, err
	}
	issued, err := a.Console.SignIn(ctx, console.SignIn{
		Email: email, Password: password, Remember: remember, Presented: a.cookie(c, sessionCookie), IP: ip, UserAgent: c.Get(fiber.HeaderUserAgent),
	})
	failed = errors.Is(err, console.ErrInvalidCredentials)
	if counted {
		a.Limits.Settle(ctx, limits.ConsoleLoginEmail, byEmail, failed)
	}
	return issued, err
}

// emailScope stands for an e-mail in the keys of limits, which hold none in clear.
func emailScope(email string) string { return secret.DigestOf(email).Hex() }

// emailBudget refuses, once an e-mail has drawn too many failures, every address but
// those where its owner was last signed in: nobody is locked out from where they
// work. It reports whether a permit was taken, which is then to be settled; who passes
// by their address has none to give back.
func (a *api) emailBudget(c *fiber.Ctx, scope, email, ip string) (counted bool, err error) {
	ctx := c.UserContext()
	result, err := a.Limits.Take(ctx, limits.ConsoleLoginEmail, scope)
	if !errors.Is(err, limits.ErrTooMany) {
		return err == nil, err
	}
	known, lookup := a.Console.KnownAt(ctx, email, ip)
	if lookup != nil {
		return false, lookup
	}
	if known {
		return false, nil
	}
	server.SetRateLimit(c, result)
	return false, err
}

// logout ends the session on the server; without one there is nothing to end.
func (a *api) logout(c *fiber.Ctx) error {
	if err := a.Console.SignOut(c.UserContext(), a.cookie(c, sessionCookie)); err != nil {
		return err
	}
	a.clearSession(c)
	return c.JSON(success)
}

type csrfTokenResponse struct {
	Token string `json:"csrf_token" doc:"for the header X-CSRF-Token of this session's writes"`
}

func (a *api) csrfToken(c *fiber.Ctx) error {
	return c.JSON(csrfTokenResponse{a.Console.CSRFToken(signed(c).Session.TokenHash)})
}

type profileResponse struct {
	ID        string  `json:"id" api:"format=uuid"`
	Name      string  `json:"name"`
	Email     string  `json:"email" api:"format=idn-email"`
	Avatar    *string `json:"avatar"`
	Language  string  `json:"interface_language"`
	Timezone  string  `json:"timezone"`
	LastLogin *string `json:"last_login_at" api:"format=date-time"`
	Status    string  `json:"status" api:"enum=pending|active|banned|closed"`
	Admin     bool    `json:"deployment_admin"`
}

func (a *api) profile(c *fiber.Ctx) error {
	who := signed(c).Account
	return c.JSON(profileResponse{who.ID, who.Name, who.Email, nil, who.InterfaceLanguage, who.Timezone, stampOrNil(who.LastLoginAt), string(who.Status), who.DeploymentAdmin})
}

type consoleWorkspace struct {
	ID        string `json:"id" api:"format=uuid"`
	Name      string `json:"name"`
	Role      string `json:"role" api:"enum=owner|admin|editor|normal"`
	Status    string `json:"status" api:"enum=normal|archive"`
	Current   bool   `json:"current"`
	CreatedAt string `json:"created_at" api:"format=date-time"`
}

type consoleWorkspacesResponse struct {
	Workspaces []consoleWorkspace `json:"workspaces"`
}

func (a *api) consoleWorkspaces(c *fiber.Ctx) error {
	list, err := a.Workspaces.Of(c.UserContext(), signed(c).Account.ID)
	if err != nil {
		return err
	}
	out := consoleWorkspacesResponse{make([]consoleWorkspace, 0, len(list))}
	for _, m := range list {
		w := m.Workspace
		out.Workspaces = append(out.Workspaces, consoleWorkspace{w.ID, w.Name, string(m.Role), string(w.Status), m.Current, stamp(w.CreatedAt)})
	}
	return c.JSON(out)
}
