// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	stdjson "encoding/json"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/openapi"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// formAnswer is a form as runtimes describe it; it is passed on as it is.
type formAnswer struct {
	Content        string               `json:"form_content" doc:"what to show, in Markdown"`
	Inputs         []stdjson.RawMessage `json:"inputs" doc:"what the form asks for; its members are the runtime's"`
	Defaults       map[string]any       `json:"resolved_default_values" doc:"by the name of the input"`
	Actions        []formAction         `json:"user_actions" doc:"one of them is the answer"`
	ExpirationTime int64                `json:"expiration_time" doc:"seconds since 1970"`
	_              openapi.Open         // a runtime may say more
}

type formAction struct {
	ID string       `json:"id" doc:"what an answer names the action by"`
	_  openapi.Open // title, looks
}

var formSample = formAnswer{
	Content: "Shall the report go out?", Inputs: []stdjson.RawMessage{}, Defaults: map[string]any{}, Actions: []formAction{{ID: "approve"}, {ID: "reject"}},
	ExpirationTime: 1767225600,
}

// humanInput shows a form that a run of the app waits for.
func (a *api) humanInput(c *fiber.Ctx) error {
	form, err := a.Run.Form(c.UserContext(), callerOf(c).App.App, param(c, "token"))
	if err != nil {
		return err
	}
	return passOn(c, http.StatusOK, form)
}

type submitRequest struct {
	Inputs stdjson.RawMessage `json:"inputs" doc:"the form's inputs by name" api:"required;holds=object"`
	Action *string            `json:"action" doc:"the id of one of its actions; empty where it has none" api:"required;max=255"`
}

var submitSample = submitRequest{Inputs: stdjson.RawMessage(`{"comment":"Fine."}`), Action: new("approve")}

type submitted struct{}

// submitHumanInput answers a form; the run that waits for it goes on.
func (a *api) submitHumanInput(c *fiber.Ctx) error {
	var req submitRequest
	if err := decodeOpen(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	inputs := requireObject(&problems, req.Inputs, "inputs")
	if req.Action == nil {
		problems.Add("missing", "is required", "action")
	} else if len([]rune(*req.Action)) > 255 {
		problems.Add("too_long", "must be at most 255 characters", "action")
	}
	if err := problems.Fault(errInvalidParam); err != nil {
		return err
	}
	who := callerOf(c)
	if err := a.Run.Submit(c.UserContext(), runCaller(who), who.App.App, param(c, "token"), *req.Action, inputs); err != nil {
		return err
	}
	return c.JSON(submitted{})
}

// requireObject takes a JSON object as it is.
func requireObject(p *wire.Problems, v stdjson.RawMessage, loc ...any) stdjson.RawMessage {
	switch v := bytes.TrimSpace(v); {
	case len(v) == 0:
		p.Add("missing", "is required", loc...)
	case v[0] != '{':
		p.Add("type_error", "must be an object", loc...)
	}
	return v
}

// deleteConversation has the app's runtime forget a conversation of the caller.
func (a *api) deleteConversation(c *fiber.Ctx) error {
	who := callerOf(c)
	if err := a.Run.DeleteConversation(c.UserContext(), runCaller(who), who.App.App, param(c, "conversation")); err != nil {
		return err
	}
	return c.JSON(success)
}
