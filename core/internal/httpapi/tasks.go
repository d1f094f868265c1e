// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	stdjson "encoding/json"
	"log/slog"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// passOn answers with a runtime's own object, byte for byte.
func passOn(c *fiber.Ctx, status int, body stdjson.RawMessage) error {
	c.Set(fiber.HeaderContentType, json)
	return c.Status(status).Send(body)
}

// stopTask asks the runtime to end a task of the caller. It answers alike whatever the task
// is: nobody learns so of another's, and a client that leaves has nothing to do about a
// runtime that does not listen. The log is told.
func (a *api) stopTask(c *fiber.Ctx) error {
	who := callerOf(c)
	refused, err := a.Run.Stop(c.UserContext(), runCaller(who), who.App.App, param(c, "task"))
	if err != nil {
		return err
	}
	if refused != nil {
		a.Log.WarnContext(c.UserContext(), "a task was not stopped at its runtime", slog.String("request_id", server.RequestID(c)),
			slog.String("app_id", who.App.App.ID), slog.String("error", refused.Error()))
	}
	return c.JSON(success)
}

// eventsQuery describes what parseEventOptions takes.
type eventsQuery struct {
	IncludeStateSnapshot bool `json:"include_state_snapshot" doc:"tell first how far the run has come" api:"default=false"`
	ContinueOnPause      bool `json:"continue_on_pause" doc:"go on listening while the run waits for somebody" api:"default=false"`
}

const eventsSample = "data: " + `{"event":"workflow_finished","task_id":"9ba2a5f2-7c1e-4d0a-8a53-0c5f4f1c8f7e","workflow_run_id":"5c1f3b9e-2c0a-4f6b-9a55-4b3f7c7a1d2e",` +
	`"data":{"id":"5c1f3b9e-2c0a-4f6b-9a55-4b3f7c7a1d2e","status":"succeeded","outputs":{"answer":"Yes."},"error":null}}` + "\n\n"

// taskEvents follows a workflow run of the caller. Who leaves ends the stream and not the
// run.
func (a *api) taskEvents(c *fiber.Ctx) error {
	o, err := parseEventOptions(c)
	if err != nil {
		return err
	}
	who, attended := callerOf(c), server.Attend(c)
	s, err := a.Run.Follow(attended.Context(), runCaller(who), who.App.App, param(c, "run"), o)
	if err != nil {
		return unlessLeft(err)
	}
	return a.serve(c, attended, a.Run.Watch(s))
}

func parseEventOptions(c *fiber.Ctx) (o run.EventOptions, err error) {
	query, err := wire.Query(string(c.Request().URI().QueryString()))
	if err != nil {
		return o, asInvalidParam(err)
	}
	var problems wire.Problems
	o.Snapshot = trueOrFalse(&problems, query, "include_state_snapshot")
	o.ContinueOnPause = trueOrFalse(&problems, query, "continue_on_pause")
	return o, problems.Fault(errInvalidParam)
}

// trueOrFalse reads a parameter that is true or false; absent it is false.
func trueOrFalse(p *wire.Problems, query wire.Values, name string) bool {
	text, ok := query.Get(name)
	if ok && text != "true" && text != "false" {
		p.Add("bool_parsing", "must be true or false", name)
	}
	return text == "true"
}
