// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type setupStateResponse struct {
	Step    string  `json:"step" api:"enum=not_started|finished"`
	SetupAt *string `json:"setup_at" api:"format=date-time"`
}

func (a *api) setupState(c *fiber.Ctx) error {
	at, err := a.Installation.SetUpAt(c.UserContext())
	if err != nil {
		return err
	}
	out := setupStateResponse{"not_started", stampOrNil(at)}
	if at != nil {
		out.Step = "finished"
	}
	return c.JSON(out)
}

type setupRequest struct {
	Code      *string `json:"setup_code" doc:"the one that the first start printed, or core admin setup-code" api:"required;min=1"`
	Email     *string `json:"email" api:"required;min=1"`
	Name      *string `json:"name" api:"required;min=1"`
	Password  *string `json:"password" doc:"in plain text" api:"required;min=1"`
	Workspace *string `json:"workspace_name" api:"required;min=1"`
}

// setup creates the first owner for a script that holds the set-up code. It begins no
// session: a script signs in.
func (a *api) setup(c *fiber.Ctx) error {
	var req setupRequest
	if err := decodeJSON(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	text := func(v *string, name string) string { return requireText(&problems, v, name) }
	code, password := text(req.Code, "setup_code"), secret.New(text(req.Password, "password"))
	email, name, workspace := text(req.Email, "email"), text(req.Name, "name"), text(req.Workspace, "workspace_name")
	if err := problems.Fault(server.ErrBadRequest); err != nil {
		return err
	}
	owner, wrong := installation.ParseOwner(email, name, workspace, password)
	for _, field := range wrong {
		problems.Add("value_error", "is not valid", field)
	}
	if err := problems.Fault(server.ErrBadRequest); err != nil {
		return err
	}
	_, err := a.Installation.SetUp(c.UserContext(), secret.New(code), owner)
	if _, refused := passwordProblem(err, 0); refused {
		problems.Add("value_error", passwordRule(a), "password")
		return problems.Fault(server.ErrBadRequest)
	}
	if err != nil {
		return err
	}
	return c.Status(http.StatusCreated).JSON(success)
}

// probeSetup answers callers of an older installer, which ask here whether a set-up is
// due: it is done on the set-up page alone.
func (a *api) probeSetup(c *fiber.Ctx) error {
	at, err := a.Installation.SetUpAt(c.UserContext())
	switch {
	case err != nil:
		return err
	case at == nil:
		return installation.ErrNotSetUp
	default:
		return installation.ErrAlreadySetUp
	}
}

// setupLimit bounds guesses of the set-up code by page and by script alike.
var setupLimit = []limit{{limits.ConsoleSetupAddr, byAddress}}
