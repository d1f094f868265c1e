// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

func (a *api) setupPage(c *fiber.Ctx) error {
	at, err := a.Installation.SetUpAt(c.UserContext())
	if err != nil {
		return err
	}
	if at != nil {
		return a.redirect(c, "/signin")
	}
	view := webui.Setup{MinPassword: a.Console.Passwords.MinLength()}
	if isLoopback(a.Public.Host) {
		view.Code = c.Query("code") // the link that the terminal printed
	}
	return a.render(c, http.StatusOK, view)
}

// setupForm creates the first owner and signs them in.
func (a *api) setupForm(c *fiber.Ctx) error {
	view := webui.Setup{
		Code: field(c, "setup_code"), Email: field(c, "email"), Name: field(c, "name"), Workspace: field(c, "workspace_name"),
		MinPassword: a.Console.Passwords.MinLength(),
	}
	owner := parseOwner(c, &view)
	if len(view.Problems) > 0 {
		return a.render(c, http.StatusBadRequest, view)
	}
	who, err := a.Installation.SetUp(c.UserContext(), secret.New(view.Code), owner)
	switch {
	case errors.Is(err, installation.ErrAlreadySetUp):
		return a.redirect(c, "/signin")
	case errors.Is(err, installation.ErrSetupCodeWrong):
		view.Problems = []webui.Problem{{Field: "setup_code", Key: "problem.setup_code"}}
		return a.render(c, http.StatusForbidden, view)
	case err != nil:
		if p, ok := passwordProblem(err, view.MinPassword); ok {
			view.Problems = []webui.Problem{p}
			return a.render(c, http.StatusBadRequest, view)
		}
		return err
	}
	return a.begin(c, who, console.HowSetup, "/")
}

// parseOwner bounds the fields; what is wrong goes into the view.
func parseOwner(c *fiber.Ctx, view *webui.Setup) installation.Owner {
	problem := func(name string) {
		view.Problems = append(view.Problems, webui.Problem{Field: name, Key: "problem." + name})
	}
	if view.Code == "" {
		problem("setup_code")
	}
	owner, wrong := installation.ParseOwner(view.Email, view.Name, view.Workspace, secret.New(field(c, "password")))
	for _, name := range wrong {
		problem(name)
	}
	if field(c, "password") != field(c, "password_again") {
		problem("password_again")
	}
	return owner
}

func passwordProblem(err error, least int) (webui.Problem, bool) {
	p := webui.Problem{Field: "password"}
	switch {
	case errors.Is(err, account.ErrPasswordTooShort):
		p.Key, p.Args = "problem.password_short", []any{"min", least}
	case errors.Is(err, account.ErrPasswordTooLong):
		p.Key = "problem.password_long"
	case errors.Is(err, account.ErrPasswordIsEmail):
		p.Key = "problem.password_email"
	case errors.Is(err, account.ErrPasswordInvalid):
		p.Key = "problem.password_invalid"
	default:
		return p, false
	}
	return p, true
}

// begin starts a session in this browser and leads on.
func (a *api) begin(c *fiber.Ctx, who account.Account, how console.How, target string) error {
	issued, err := a.Console.Begin(c.UserContext(), who, how, console.Browser{
		Presented: a.cookie(c, sessionCookie), IP: server.ClientIP(c).String(), UserAgent: c.Get(fiber.HeaderUserAgent),
	})
	if err != nil {
		return err
	}
	a.setSession(c, issued)
	return a.redirect(c, target)
}

func (a *api) signInPage(c *fiber.Ctx) error {
	target := returnTarget(c.Query("return_to"))
	if signed(c) != nil {
		return a.redirect(c, target)
	}
	return a.render(c, http.StatusOK, webui.SignIn{ReturnTo: target, Code: codeBehind(target)})
}

// codeBehind names the device that waits behind a sign-in.
func codeBehind(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Path != "/device" {
		return ""
	}
	code, _ := canon.UserCode(u.Query().Get("user_code"))
	return code
}

// signInForm signs in and leads on. It never approves what waits there.
func (a *api) signInForm(c *fiber.Ctx) error {
	target := returnTarget(field(c, "return_to"))
	view := webui.SignIn{Email: field(c, "email"), ReturnTo: target, Code: codeBehind(target)}
	issued, err := a.signIn(c, view.Email, secret.New(field(c, "password")), field(c, "remember_me") == "yes")
	switch {
	case errors.Is(err, console.ErrInvalidCredentials):
		view.Refused = true
		return a.render(c, http.StatusUnauthorized, view)
	case errors.Is(err, limits.ErrTooMany):
		retry := fault.Of(err).Retry()
		view.Wait = server.RetrySeconds(retry)
		setRetryAfter(c, retry)
		return a.render(c, http.StatusTooManyRequests, view)
	case err != nil:
		return err
	}
	a.setSession(c, issued)
	return a.redirect(c, target)
}

// signOutForm ends the session; from a page that decides, the next sign-in leads back
// there.
func (a *api) signOutForm(c *fiber.Ctx) error {
	if err := a.Console.SignOut(c.UserContext(), a.cookie(c, sessionCookie)); err != nil {
		return err
	}
	a.clearSession(c)
	next := "/signin"
	if target := returnTarget(field(c, "return_to")); target != "/" {
		next += "?return_to=" + url.QueryEscape(target)
	}
	return a.redirect(c, next)
}
