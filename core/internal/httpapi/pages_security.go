// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

func (a *api) security() webui.Security {
	return webui.Security{MinPassword: a.Console.Passwords.MinLength()}
}

// securityPage offers a new password and the end of everything else.
func (a *api) securityPage(c *fiber.Ctx) error {
	view := a.security()
	switch done := webui.SecurityDone(c.Query("outcome")); done {
	case webui.PasswordChanged, webui.PasswordAndDevices, webui.OthersEnded:
		view.Done = done
	}
	return a.render(c, http.StatusOK, view)
}

// passwordForm sets a new password; this browser goes on under a new session.
func (a *api) passwordForm(c *fiber.Ctx) error {
	view, fresh := a.security(), field(c, "new_password")
	view.RevokeTokens = field(c, "revoke_tokens") == "yes"
	if fresh != field(c, "password_again") {
		view.Problems = []webui.Problem{{Field: "password_again", Key: "problem.password_again"}}
		return a.render(c, http.StatusBadRequest, view)
	}
	issued, err := a.newPassword(c, secret.New(field(c, "password")), secret.New(fresh), view.RevokeTokens)
	problem, refused := passwordProblem(err, view.MinPassword)
	switch {
	case refused:
		problem.Field = "new_password"
		view.Problems = []webui.Problem{problem}
		return a.render(c, http.StatusBadRequest, view)
	case errors.Is(err, console.ErrInvalidCredentials):
		view.Problems = []webui.Problem{{Field: "password", Key: "problem.password_current"}}
		return a.render(c, http.StatusUnauthorized, view)
	case errors.Is(err, limits.ErrTooMany):
		retry := fault.Of(err).Retry()
		view.Wait = server.RetrySeconds(retry)
		setRetryAfter(c, retry)
		return a.render(c, http.StatusTooManyRequests, view)
	case errors.Is(err, console.ErrUnauthorized): // the session has ended meanwhile
		a.clearSession(c)
		return a.redirect(c, "/signin?return_to=/account/security")
	case errors.Is(err, access.ErrTombstones):
		return a.passwordChangedHalfway(c, err)
	case err != nil:
		return err
	}
	a.setSession(c, issued)
	if view.RevokeTokens {
		return a.redirect(c, "/account/security?outcome="+string(webui.PasswordAndDevices))
	}
	return a.redirect(c, "/account/security?outcome="+string(webui.PasswordChanged))
}

// passwordChangedHalfway tells that the password is the new one although not all of its
// consequences are known to hold on every process yet. This session has ended with it.
func (a *api) passwordChangedHalfway(c *fiber.Ctx, err error) error {
	server.Failed(c, err)
	a.clearSession(c)
	c.Locals(signedKey, nil)
	setRetryAfter(c, fault.Of(err).Retry())
	return a.render(c, server.Status(fault.Of(err).Kind()), webui.Failure{Kind: webui.Halfway})
}
